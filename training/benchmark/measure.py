"""Measure one method, in a process of its own: ``python -m training.benchmark.measure``.

A JSON object on standard input says what; one on standard output is the answer. A process of its
own, because the peak of memory is that of a process, and because nothing else then runs in it.
"""

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import cv2

from amg_fuse_ros.monitoring.memory import status_bytes
from training.benchmark.methods import CLEAN, Method
from training.benchmark.pipeline import load
from training.metrics.folder import read_image

MIB = 2**20


def measure(
    method: Method, thermal: Path, visible: Path, size: tuple[int, int], repeats: int
) -> dict[str, Any]:
    """Load a method, fuse one pair several times, and say what it took.

    Args:
        method: What to measure.
        thermal: Image of a real pair; how long sorting takes depends on what is sorted.
        visible: The other one.
        size: Width and height that the pair is brought to.
        repeats: Timed runs after one that is not.

    Returns:
        ``seconds`` (median) and ``seconds_range``; ``peak_mib`` of the process while it fused,
        ``loaded_mib`` before; ``device_mib`` on a CUDA device; the ``engine`` that ran;
        ``parameters``, ``macs`` and ``macs_fused_only`` (each with ``convolutions`` and
        ``products``), ``None`` without a network.
    """
    pair = [cv2.resize(read_image(path), size) for path in (thermal, visible)]
    fuse = load(method)
    loaded = status_bytes("VmRSS")
    _forget_peak()
    fuse(*pair)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        fuse(*pair)
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": statistics.median(seconds),
        "seconds_range": [min(seconds), max(seconds)],
        "peak_mib": _mib(status_bytes("VmHWM")),
        "loaded_mib": _mib(loaded),
        "device_mib": _device_peak(),
        "engine": fuse.engine,
        **_network_costs(method),
    }


def _network_costs(method: Method) -> dict[str, Any]:
    """Parameters and MACs, from the network as its file holds it, not as an engine runs it."""
    costs: dict[str, Any] = {"parameters": None, "macs": None, "macs_fused_only": None}
    restorer = method.restore not in ("", CLEAN)
    if method.kind != "weights" and not restorer:
        return costs
    from training.benchmark.macs import Macs, fusion_macs, restorer_macs

    parameters, total, fused_only = 0, Macs(0, 0), Macs(0, 0)
    if method.kind == "weights":
        from amg_fuse_ros.network import load_weights

        network = load_weights(method.source)
        parameters += sum(p.numel() for p in network.parameters())
        total, fused_only = fusion_macs(network)
    if restorer:
        from training.restorer import load_restorer

        model = load_restorer(method.restore)
        parameters += sum(p.numel() for p in model.parameters())
        more = restorer_macs(model)
        total, fused_only = total + more, fused_only + more
    return {
        "parameters": parameters,
        "macs": vars(total),
        "macs_fused_only": vars(fused_only),
    }


def _forget_peak() -> None:
    # Where that cannot be done, the peak counts loading, too.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _device_peak() -> float | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return float(torch.cuda.max_memory_allocated() / MIB)


def _mib(count: int | None) -> float | None:
    return None if count is None else count / MIB


def main() -> None:
    """Answer the question on standard input."""
    question = json.load(sys.stdin)
    answer = measure(
        Method(**question["method"]),
        Path(question["thermal"]),
        Path(question["visible"]),
        tuple(question["size"]),
        question["repeats"],
    )
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
