"""Times candidates in turn and measures their fidelity."""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.benchmark.candidates import EXACT, PLAIN, Candidate, Case
from amg_fuse_ros.benchmark.environment import environment
from amg_fuse_ros.benchmark.worker import Fused, Told, Worker, workers
from amg_fuse_ros.engine.fidelity import psnr_db
from amg_fuse_ros.resolution import Resolution

Report = Callable[[str], object]
Times = dict[tuple[Candidate, Resolution], list[Fused]]


def compare(
    case: Case,
    candidates: list[Candidate],
    *,
    frames: int = 5,
    against_plain: bool = True,
    fidelity: bool = True,
    progress: Report = lambda _: None,
) -> dict[str, Any]:
    """Fuse ``frames`` frames with every candidate, in turn, after one that is not counted.

    Args:
        case: Network, resolutions, device.
        candidates: What to time.
        frames: Timed frames of each candidate in each resolution.
        against_plain: Time the plain formulation with them.
        fidelity: Compare the first pair's fused image with that of eager float64.
        progress: Called with a line for people at each step.

    Returns:
        ``environment``, ``case`` and ``results``, JSON-ready: for every candidate and resolution
        ``engine``, ``precision``, ``resolution``, ``seconds_median``, ``ratio_to_plain`` (how
        many times as fast as the plain formulation, the median of the rounds' ratios) and
        ``psnr_db`` (either ``None`` where it was not measured), and more that is explained in
        ``docs/performance.md``.

    Raises:
        EngineError: If a candidate fails.
    """
    if against_plain:
        candidates = [PLAIN, *(c for c in candidates if c != PLAIN)]
    images = _exact_images(case, progress) if fidelity else {}
    with workers(candidates, case) as started:
        fidelities: dict[tuple[Candidate, Resolution], float] = {}
        for resolution in case.resolutions:  # the first frame, which is not counted
            for worker in started:
                progress(f"{resolution}: first frame of {worker.candidate}")
                image = worker.image(resolution, 0)
                if resolution in images:
                    found = psnr_db(image, images[resolution])
                    fidelities[worker.candidate, resolution] = found
        before = {worker.candidate: worker.tell() for worker in started}
        times = _take_turns(started, case, frames, progress)
        after = {worker.candidate: worker.tell() for worker in started}

    def row(candidate: Candidate, resolution: Resolution) -> dict[str, Any]:
        told = after[candidate]
        return {
            "engine": candidate.engine,
            "precision": told.precision,
            "resolution": str(resolution),
            **_statistics(times, candidate, resolution),
            "psnr_db": fidelities.get((candidate, resolution)),
            **_about(told, before[candidate]),
        }

    return {
        "environment": environment(after[candidates[0]].threads),
        "case": {"size": case.size, "weights": case.weights or "shipped", "frames": frames},
        "results": [row(c, r) for r in case.resolutions for c in candidates],
    }


def _exact_images(case: Case, progress: Report) -> dict[Resolution, NDArray[np.float32]]:
    images = {}
    with workers([EXACT], case) as (exact,):
        for resolution in case.resolutions:
            progress(f"{resolution}: the image of eager float64")
            images[resolution] = exact.image(resolution, 0)
    return images


def _take_turns(started: list[Worker], case: Case, frames: int, progress: Report) -> Times:
    times: Times = {(w.candidate, r): [] for w in started for r in case.resolutions}
    for number in range(frames):
        progress(f"frame {number + 1} of {frames}")
        for resolution in case.resolutions:
            for worker in started:
                taken = worker.fuse(resolution, number)
                times[worker.candidate, resolution].append(taken)
    return times


def _statistics(times: Times, candidate: Candidate, resolution: Resolution) -> dict[str, Any]:
    seconds = [fused.seconds for fused in times[candidate, resolution]]
    ratio = None
    if (PLAIN, resolution) in times:
        plain = [fused.seconds for fused in times[PLAIN, resolution]]
        ratio = statistics.median(p / s for p, s in zip(plain, seconds, strict=True))
    around = [fused.around_engine for fused in times[candidate, resolution]]
    return {
        "seconds_median": statistics.median(seconds),
        "seconds_least": min(seconds),
        "seconds_most": max(seconds),
        "ratio_to_plain": ratio,
        "around_engine_ms": 1e3 * statistics.median(around),
    }


def _about(told: Told, before: Told) -> dict[str, Any]:
    return {
        "device": told.device,
        "start_s": told.start_s,
        "peak_mb": told.peak_mb,
        "growth_mb": told.resident_mb - before.resident_mb,
    }
