"""What each method costs on this machine: all methods in one run, each in a process of its own."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from amg_fuse_ros.engine.processor import processor
from training.benchmark.identity import ROOT, digest, method_key, torch_version, write_whole
from training.benchmark.methods import CLEAN, Method

SIZE = (640, 480)
REPEATS = 3
_PACKAGE = Path(__file__).parent


def measure_all(
    methods: Sequence[Method],
    pair: tuple[Path, Path],
    cache: Path,
    *,
    size: tuple[int, int] = SIZE,
    repeats: int = REPEATS,
    again: bool = False,
) -> dict[str, Any]:
    """Measure every method that can be run, or recall the same measurement on this machine.

    One method that changed makes all of them measured anew: numbers of different hours do not
    belong into one table.

    Args:
        methods: Those with results only are left out, and those that are handed the clean pair:
            they cost what they cost without.
        pair: Thermal and visible file of a real pair.
        cache: Folder that keeps the measurements.
        size: Width and height at which time and memory are taken.
        repeats: Timed runs of each, after one that is not timed.
        again: Measure although a measurement is kept.

    Returns:
        ``machine`` (processor, threads, load, date), ``size``, ``repeats`` and ``methods``: by
        name what :func:`training.benchmark.measure.measure` returns, or ``problem``.
    """
    runnable = [m for m in methods if m.kind != "results" and m.restore != CLEAN]
    machine = _machine()
    key = digest(
        [
            json.dumps([machine, size, repeats, torch_version()]).encode(),
            *((method.name + method_key(method)).encode() for method in runnable),
            *(path.read_bytes() for path in pair),
            *((_PACKAGE / name).read_bytes() for name in ("measure.py", "macs.py")),
        ]
    )
    kept = cache / f"{key}.json"
    if not again and (measured := _recall(kept)) is not None:
        return measured
    measured = {
        "machine": {
            **machine,
            "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
        "size": list(size),
        "repeats": repeats,
        "methods": {
            method.name: _measure(method, pair, size, repeats)
            for method in track(runnable, "measuring", console=Console(stderr=True))
        },
    }
    if not any("problem" in answer for answer in measured["methods"].values()):
        write_whole(kept, json.dumps(measured).encode())
    return measured


def _measure(
    method: Method, pair: tuple[Path, Path], size: tuple[int, int], repeats: int
) -> Mapping[str, Any]:
    question = {
        "method": asdict(method),
        "thermal": str(pair[0].resolve()),
        "visible": str(pair[1].resolve()),
        "size": size,
        "repeats": repeats,
    }
    done = subprocess.run(
        [sys.executable, "-m", "training.benchmark.measure"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        return {"problem": last[0]}
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def _machine() -> dict[str, Any]:
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": threads,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch_version(),
    }


def _recall(path: Path) -> dict[str, Any] | None:
    try:
        measured = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return measured if isinstance(measured, dict) and "methods" in measured else None
