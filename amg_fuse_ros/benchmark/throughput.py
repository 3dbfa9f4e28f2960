"""Pairs per second where nobody waits for a single one: folders and bags."""

import os
import time
from dataclasses import replace
from typing import Any

from amg_fuse_ros.benchmark.candidates import Candidate, Case
from amg_fuse_ros.benchmark.comparison import Report
from amg_fuse_ros.benchmark.worker import Worker, workers
from amg_fuse_ros.resolution import Resolution


def throughput(
    case: Case,
    candidates: list[Candidate],
    *,
    frames: int = 6,
    progress: Report = lambda _: None,
) -> list[dict[str, Any]]:
    """Pairs per second of one process with all threads and of two with half of them each.

    Args:
        case: Network, resolutions, device.
        candidates: What to time.
        frames: Pairs that are fused for each number, after one that is not counted.
        progress: Called with a line for people at each step.

    Returns:
        For each candidate, resolution and number of processes: ``engine``, ``precision``,
        ``resolution``, ``processes``, ``threads_each``, ``pairs_per_second``. JSON-ready.
    """
    threads = case.threads or os.cpu_count() or 1
    found = []
    for candidate in candidates:
        for count in (1, 2):
            each = max(1, threads // count)
            with workers([candidate] * count, replace(case, threads=each)) as started:
                for resolution in case.resolutions:
                    progress(f"{resolution}: {candidate} in {count} processes")
                    found.append(
                        {
                            "engine": candidate.engine,
                            "precision": started[0].tell().precision,
                            "resolution": str(resolution),
                            "processes": count,
                            "threads_each": each,
                            "pairs_per_second": _rate(started, resolution, frames),
                        }
                    )
    return found


def _rate(started: list[Worker], resolution: Resolution, frames: int) -> float:
    rounds = -(-frames // len(started))
    for worker in started:
        worker.fuse(resolution, 0)
    began = time.perf_counter()
    for worker in started:
        for number in range(rounds):
            worker.order("fuse", resolution, number)
    for worker in started:
        for _ in range(rounds):
            worker.answer()
    return rounds * len(started) / (time.perf_counter() - began)
