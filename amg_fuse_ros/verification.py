"""Are the engines here right, and how fast? Against float64 eager, on drawn or own pairs."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.engine import ENGINES, Engine, EngineUnavailableError, create_engine
from amg_fuse_ros.engine.choice import Measurement
from amg_fuse_ros.engine.fidelity import psnr_db, shortfall
from amg_fuse_ros.engine.static import padded
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network import FusionNetwork

PRECISIONS = ("fp32", "bf16", "fp16")
Pair = tuple[NDArray[Any], NDArray[Any]]
"""Thermal and RGB, as :meth:`amg_fuse_ros.fusion.Fuser.fuse` takes them."""


@dataclass(frozen=True)
class Verdict:
    """What an engine did on all pairs."""

    engine: str
    precision: str
    psnr_db: float = 0.0
    """Of the fused image against eager float64, the worst pair."""
    mask_difference: float = 0.0
    """The largest of any pixel of any pair; the mask lies in 0..1."""
    seconds: float = 0.0
    """Median of a pair in the engine."""
    problem: str | None = None
    """Why it fails; ``None`` if it passes."""

    def __str__(self) -> str:
        name = f"{self.engine} {self.precision}: "
        if self.seconds == 0:
            return f"{name}FAIL, {self.problem}"
        told = "pass" if self.problem is None else f"FAIL, {self.problem}"
        return (
            f"{name}{told}; {self.psnr_db:.1f} dB, mask differs by at most "
            f"{self.mask_difference:.3f}, {1e3 * self.seconds:.0f} ms"
        )


def available(network: FusionNetwork, device: str = "auto") -> list[tuple[str, str]]:
    """Engine and precision of all that can run here, eager fp32 first.

    ``compile`` is left out on the CPU: there it takes minutes to build and is slower than eager.
    Name it to try it nevertheless.
    """
    found = []
    for engine in ENGINES:
        for precision in PRECISIONS:
            try:
                made = create_engine(network, engine, device, precision)
            except EngineUnavailableError:
                continue
            if (engine, made.device) != ("compile", "cpu"):
                found.append((engine, precision))
    return found


def verify(
    load: Callable[[], FusionNetwork],
    pairs: Sequence[Pair],
    kinds: Sequence[tuple[str, str]],
    *,
    device: str = "auto",
    rounds: int = 1,
    progress: Callable[[str], object] = lambda _: None,
) -> list[Verdict]:
    """Compare engines with eager float64, and time them in turn.

    Args:
        load: Gives the network anew: engines change the one that they are given.
        pairs: What to fuse, one at least.
        kinds: Engine and precision of each; eager fp32 is put before them if it is not there.
        device: Where they run.
        rounds: How many times each pair is fused for the time, after one that is not counted.
        progress: Called with a line for people at each step.

    Returns:
        One verdict for each kind, in their order.
    """
    usual = ("eager", "fp32")
    kinds = [usual, *(kind for kind in kinds if kind != usual)]
    progress("eager float64")
    exact = Fuser(create_engine(load(), "eager", device, "fp64"))
    references = [_fuse(exact, pair) for pair in pairs]
    del exact
    fusers: dict[tuple[str, str], Fuser] = {}
    differences: dict[tuple[str, str], tuple[float, float]] = {}
    problems: dict[tuple[str, str], str] = {}
    for kind in kinds:
        progress(" ".join(kind))
        try:
            fuser = Fuser(create_engine(load(), kind[0], device, kind[1]))
            differences[kind] = _compare(fuser, pairs, references)
            fusers[kind] = fuser
        except Exception as error:  # one that cannot be built is a verdict, too
            problems[kind] = str(error) or repr(error)
    seconds: dict[tuple[str, str], list[float]] = {kind: [] for kind in fusers}
    for _ in range(rounds):
        for pair in pairs:
            for kind, fuser in fusers.items():
                seconds[kind].append(fuser.fuse(*pair).timings["engine"])
    verdicts = []
    for kind in kinds:
        if kind in problems:
            verdicts.append(Verdict(*kind, problem=problems[kind]))
            continue
        psnr, mask = differences[kind]
        problem = shortfall(kind[1], psnr, differences.get(usual, (psnr, 0.0))[0])
        verdicts.append(Verdict(*kind, psnr, mask, statistics.median(seconds[kind]), problem))
    return verdicts


def measurements(verdicts: Sequence[Verdict], width: int, height: int) -> list[Measurement]:
    """What is to be remembered of verdicts on pairs of one resolution; failures are not."""
    resolution = f"{padded(width)}x{padded(height)}"
    return [
        Measurement(v.engine, v.precision, resolution, v.seconds, v.psnr_db)
        for v in verdicts
        if v.seconds > 0
    ]


class _Keeper:
    """Hands an engine's result on and keeps it: the fuser's image is rounded to bytes."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.kept = engine, np.empty(0, np.float32)
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision

    def fuse(self, visible: NDArray[np.float32], thermal: NDArray[np.float32]) -> Any:
        self.kept = self.engine.fuse(visible, thermal)
        return self.kept


def _fuse(fuser: Fuser, pair: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    keeper = _Keeper(fuser.engine)
    mask = Fuser(keeper).fuse(*pair).mask
    return keeper.kept, mask


def _compare(
    fuser: Fuser,
    pairs: Sequence[Pair],
    references: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> tuple[float, float]:
    worst, largest = 200.0, 0.0
    for pair, (image, mask) in zip(pairs, references, strict=True):
        found, found_mask = _fuse(fuser, pair)
        worst = min(worst, psnr_db(found, image))
        largest = max(largest, float(np.abs(found_mask - mask).max()))
    return worst, largest
