"""Lets cameras misbehave for a while, and sees whether the node stays up and recovers each time.

    python -m tools.soak --minutes 30

A real fusion node in its own process, real publishers here. Healthy seconds and faults take turns;
after each fault the node has a few seconds to fuse new images again. The report says what was not
recovered from, and by how much the node's memory grew. Exit code 1 if anything was missed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import rclpy

from amg_fuse_ros.monitoring.memory import resident_mb
from tools.soak_cameras import FAULTS, Cameras

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ = 20.0
HEALTHY_S = (1.5, 3.0)
FAULTY_S = (1.5, 4.0)
RECOVERY_S = 15.0
"""Patience after a fault; a machine that is busy with other things needs some."""
SETTLED_AFTER = 0.25
"""Share of the time after which memory is expected to stay as it is."""


def start_node(log: Path, namespace: str, scale: float) -> subprocess.Popen[bytes]:
    """The node as users start it, in a namespace of its own."""
    options = {
        "network.scale": scale,
        "faults.missing_after_s": 0.5,
        "faults.frozen_after_s": 1.0,
        "diagnostics_period_s": 0.5,
    }
    parameters = [word for name, value in options.items() for word in ("-p", f"{name}:={value}")]
    with log.open("wb") as file:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "amg_fuse_ros.ros.executables", "--ros-args"),
                *("-r", f"__ns:={namespace}", *parameters),
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={
                "FASTRTPS_DEFAULT_PROFILES_FILE": str(ROOT / "config" / "fastdds.xml"),
                **os.environ,
            },
        )


def soak(
    minutes: float, seed: int, scale: float, tell: Callable[[str], object]
) -> dict[str, object]:
    """Run the schedule.

    Args:
        minutes: How long, without the node's start.
        seed: Of the schedule and the images.
        scale: Of the network; small, since it is the node that is tried.
        tell: Told of each miss as it happens.

    Returns:
        JSON-ready: counts of faults by kind, what was ``missed``, memory in MB when settled and at
        the end, its growth in percent, images fused.
    """
    rng = random.Random(seed)
    namespace = f"/soak_{os.getpid()}"
    log = Path(tempfile.mkdtemp()) / "node.log"
    rclpy.init()
    node = start_node(log, namespace, scale)
    cameras = Cameras(namespace, RATE_HZ, seed)
    tried: Counter[str] = Counter()
    missed: list[str] = []
    settled_mb = 0.0
    memory: list[tuple[float, float]] = []
    schedule: list[str] = []
    try:
        if not cameras.recovers(60):
            raise RuntimeError(f"the node does not fuse: {log.read_text()[-2000:]}")
        began = time.monotonic()
        while (now := time.monotonic() - began) < 60 * minutes and node.poll() is None:
            if not schedule:
                schedule = rng.sample(sorted(FAULTS), len(FAULTS))
            fault = schedule.pop()
            tried[fault] += 1
            cameras.run(rng.uniform(*HEALTHY_S))
            cameras.run(rng.uniform(*FAULTY_S), FAULTS[fault])
            cameras.heal()
            if not cameras.recovers(RECOVERY_S):
                missed.append(f"{fault} after {now:.0f} s")
                tell(f"missed: {missed[-1]}")
            memory.append((now, resident_mb(node.pid)))
            if not settled_mb and now >= SETTLED_AFTER * 60 * minutes:
                settled_mb = memory[-1][1]
        alive = node.poll() is None
        end_mb = resident_mb(node.pid) if alive else 0.0
    finally:
        node.terminate()
        node.wait()
        cameras.close()
        rclpy.try_shutdown()
    text = log.read_text(errors="replace")
    if not alive:
        missed.append(f"the node ended with code {node.returncode}")
    if "Traceback" in text:
        missed.append("the node's log holds a traceback")
    return {
        "minutes": minutes,
        "faults": dict(sorted(tried.items())),
        "missed": missed,
        "fused": cameras.fused,
        "settled_mb": round(settled_mb, 1),
        "end_mb": round(end_mb, 1),
        "growth_percent": round(100 * (end_mb / settled_mb - 1), 2) if settled_mb else None,
        "log": str(log),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run, print the report as JSON, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0.1, help="network.scale of the node")
    parser.add_argument(
        "--max-growth", type=float, default=2.0, help="percent of memory; more is a failure"
    )
    given = parser.parse_args(arguments)
    report = soak(
        given.minutes, given.seed, given.scale, lambda line: sys.stderr.write(line + "\n")
    )
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    growth = report["growth_percent"]
    grown = isinstance(growth, float) and growth > given.max_growth
    return 1 if report["missed"] or grown else 0


if __name__ == "__main__":
    sys.exit(main())
