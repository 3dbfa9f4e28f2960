"""What was measured on this machine, and which engine ``auto`` takes because of it.

Nothing is measured when the node starts. ``amg-fuse build-engine`` and ``amg-fuse info --verify``
measure, with progress; what they found is remembered in the cache folder for this machine, these
weights and these versions. Where nothing was measured, ``auto`` is eager, or what :func:`usual`
names.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from amg_fuse_ros.engine.base import EngineUnavailableError
from amg_fuse_ros.engine.cache import cache_folder
from amg_fuse_ros.engine.fidelity import shortfall
from amg_fuse_ros.engine.machine import machine
from amg_fuse_ros.engine.openvino import OpenVinoEngine
from amg_fuse_ros.engine.processor import multiplies_bf16
from amg_fuse_ros.engine.static import require
from amg_fuse_ros.network import FusionNetwork
from amg_fuse_ros.network.checkpoint import fingerprint
from amg_fuse_ros.network.nano import NANO

WORTH = 0.9
"""Another engine is taken only if it needs less than this fraction of eager's time."""


@dataclass(frozen=True)
class Measurement:
    """An engine in a precision, measured in one resolution beside eager fp32."""

    engine: str
    precision: str
    resolution: str
    """Inside the network, WxH: multiples of 8."""
    seconds: float
    psnr_db: float

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} {1e3 * self.seconds:.0f} ms, {self.psnr_db:.1f} dB"


@dataclass(frozen=True)
class Choice:
    """What to run in a resolution, and why."""

    engine: str
    precision: str
    why: str


def choose(measured: Iterable[Measurement], precision: str = "auto") -> Choice | None:
    """The fastest engine of those measured in one resolution whose fidelity suffices.

    Args:
        measured: Of one resolution.
        precision: Take no other than this; ``"auto"`` takes any.

    Returns:
        ``None`` if eager fp32 was not among them, or nothing in that precision.
    """
    rows = list(measured)
    eager = next((r for r in rows if (r.engine, r.precision) == ("eager", "fp32")), None)
    if eager is None:
        return None
    good = [r for r in rows if shortfall(r.precision, r.psnr_db, eager.psnr_db) is None]
    wanted = [r for r in good if precision in ("auto", r.precision)]
    if not wanted:
        return None
    fastest = min(wanted, key=lambda r: r.seconds)
    usual = next((r for r in wanted if r.engine == "eager"), None)
    if usual is not None and fastest.seconds > WORTH * usual.seconds:
        fastest = usual
    others = [f"{r}" + ("" if r in good else " (too little)") for r in rows if r != fastest]
    return Choice(fastest.engine, fastest.precision, f"measured {fastest}; " + "; ".join(others))


def usual(size: str, device: str, precision: str = "auto") -> Choice | None:
    """What runs where nothing was measured, if that is not eager.

    Nano consists of dense convolutions, which OpenVINO runs in half of torch's time on a CPU, and
    is built for it in seconds. Its picture is right in bfloat16, too.
    """
    engine = OpenVinoEngine.name
    if size != NANO.name or device != "cpu" or precision not in (*_USUAL, "auto"):
        return None
    try:
        require(engine, engine, *OpenVinoEngine.needs)
    except EngineUnavailableError:
        return None
    if precision == "auto":
        precision = "bf16" if multiplies_bf16() else "fp32"
    return Choice(engine, precision, "usual for nano on a CPU; nothing was measured here")


_USUAL = ("fp32", "bf16")


def choices(
    network: FusionNetwork, device: str, precision: str = "auto"
) -> dict[tuple[int, int], Choice]:
    """What to run on this machine, by height and width of the padded image."""
    by_size: dict[tuple[int, int], list[Measurement]] = {}
    for row in remembered(network, device):
        width, height = map(int, row.resolution.split("x"))
        by_size.setdefault((height, width), []).append(row)
    found = {size: choose(rows, precision) for size, rows in by_size.items()}
    return {size: choice for size, choice in found.items() if choice is not None}


def anything_remembered() -> bool:
    """Whether anything was ever measured here; asks for no weights, so it costs nothing."""
    return _folder().is_dir()


def remembered(network: FusionNetwork, device: str) -> list[Measurement]:
    """What was measured here with these weights and versions."""
    if not anything_remembered():
        return []
    try:
        content = json.loads(_file(network, device).read_text())
        return [Measurement(**row) for row in content["measured"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(network: FusionNetwork, device: str, measured: Iterable[Measurement]) -> Path:
    """Keep measurements; they replace earlier ones of the same engine, precision and resolution."""
    rows = {(r.engine, r.precision, r.resolution): r for r in remembered(network, device)}
    rows |= {(r.engine, r.precision, r.resolution): r for r in measured}
    file = _file(network, device)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(device), "measured": [asdict(r) for r in rows.values()]}
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(file)
    return file


def _folder() -> Path:
    return cache_folder() / "measured"


def _file(network: FusionNetwork, device: str) -> Path:
    key = {**machine(device), "device": device, "weights": fingerprint(network.state_dict())}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return _folder() / f"{digest}.json"
