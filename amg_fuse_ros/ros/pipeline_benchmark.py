"""How long a pair is in the node, with the network, or without: then the engine is a copy.

Cameras and a listener run in a process of their own, at the cameras' rate, and stamp their images
with the time of publishing. Run by ``amg-fuse bench --pipeline``.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amg_fuse_ros.allocator import keep_big_blocks
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.monitoring import Statistics
from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.ros.diagnostics import STAGES
from amg_fuse_ros.ros.fusion_node import FusionNode
from amg_fuse_ros.ros.image_messages import to_message

WARM_UP_PAIRS = 20
DIFFERENT_IMAGES = 8
PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"


class CopyEngine:
    """Stands in for the network: returns the visible image."""

    name, device, precision = "copy", "cpu", "fp32"

    def fuse(
        self,
        visible: np.ndarray,
        thermal: np.ndarray,  # noqa: ARG002
    ) -> np.ndarray:
        """A copy of the visible image, as any engine returns memory of its own."""
        return visible.copy()


def measure(
    width: int, height: int, rate_hz: float, pairs: int, network: str = "", weights: str = ""
) -> dict[str, object]:
    """Run node and cameras for so many pairs.

    Args:
        width: Of both cameras' images, pixels.
        height: Of both cameras' images, pixels.
        rate_hz: Pairs per second.
        pairs: That are measured, after some for warming up.
        network: Size of the network that runs; empty: none, the visible image is copied.
        weights: Its file; empty: the shipped one.

    Returns:
        JSON-ready: ``latency_ms_p50`` and ``latency_ms_p95`` from the later image's stamp to the
        publication of the fused image; ``overhead_ms_p50`` and ``overhead_ms_p95`` from the later
        message's arrival in the node, if no network runs; ``stages`` (milliseconds, p50), counts
        of pairs.

    Raises:
        RuntimeError: If the network cannot be loaded, or the images do not arrive.
    """
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE))
    namespace = f"/amg_fuse_bench_{os.getpid()}"
    rclpy.init()

    about = ""

    def load(*_: object) -> Fuser:
        nonlocal about
        if not network:
            return Fuser(CopyEngine(), steady=True)
        fuser = Fuser.from_options(weights=weights, size=network, steady=True)
        fuser.warm_up(Resolution(width, height))
        fuser.reset()
        about = f"{fuser.engine.name} {fuser.engine.precision} on {fuser.engine.device}"
        return fuser

    node = FusionNode(namespace=namespace, load=load)
    node.start()
    if node.problem:
        node.close()
        rclpy.try_shutdown()
        raise RuntimeError(f"it cannot be configured: {node.problem}")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=(executor,), daemon=True)
    spinning.start()
    total = WARM_UP_PAIRS + pairs
    cameras = subprocess.Popen(
        [
            *(sys.executable, "-m", __spec__.name, "--cameras", namespace),
            *("--size", f"{width}x{height}", "--rate", str(rate_hz), "--pairs", str(10 * total)),
        ]
    )
    try:
        statistics = node.statistics
        _wait_for(statistics, WARM_UP_PAIRS, 30 + WARM_UP_PAIRS / rate_hz)
        statistics.reset()
        _wait_for(statistics, pairs, 30 + 3 * pairs / rate_hz)
    finally:
        cameras.terminate()
        cameras.wait()
        executor.shutdown(timeout_sec=1)
        node.close()
        rclpy.try_shutdown()
    latency_p50, latency_p95 = statistics.milliseconds("age", 0.5, 0.95)
    result: dict[str, object] = {"latency_ms_p50": latency_p50, "latency_ms_p95": latency_p95}
    if not network:
        p50, p95 = statistics.milliseconds("latency", 0.5, 0.95)
        result |= {"overhead_ms_p50": p50, "overhead_ms_p95": p95}
    return {
        **result,
        "network": f"{network} {about}".strip(),
        "weights": weights,
        "stages": {stage: statistics.milliseconds(stage, 0.5)[0] for stage in STAGES},
        "pairs": statistics.total("pairs"),
        "fused": statistics.total("fused"),
        "dropped": statistics.total("dropped"),
        "resolution": f"{width}x{height}",
        "rate_hz": rate_hz,
    }


def play_cameras(namespace: str, width: int, height: int, rate_hz: float, pairs: int) -> None:
    """Publish pairs at a rate, and subscribe to fused image and mask."""
    rclpy.init()
    node = rclpy.create_node("cameras", namespace=namespace)
    qos = qos_profile_sensor_data
    publishers = [node.create_publisher(Image, f"{n}/image_raw", qos) for n in ("thermal", "rgb")]
    for topic in ("fused/image", "fused/mask"):
        node.create_subscription(Image, topic, lambda _: None, qos)
    rng = np.random.default_rng(0)
    images = [
        (
            to_message(rng.integers(0, 256, (height, width), np.uint8), "mono8", Header()),
            to_message(rng.integers(0, 256, (height, width, 3), np.uint8), "rgb8", Header()),
        )
        for _ in range(DIFFERENT_IMAGES)
    ]
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    due = monotonic()
    for number in range(pairs):
        while monotonic() < due:
            executor.spin_once(timeout_sec=max(0.0, due - monotonic()))
        due += 1 / rate_hz
        stamp = node.get_clock().now().to_msg()
        for publisher, message in zip(publishers, images[number % DIFFERENT_IMAGES], strict=True):
            message.header.stamp = stamp
            publisher.publish(message)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print JSON; with ``--cameras`` be the cameras."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", metavar="NAMESPACE")
    parser.add_argument("--size", type=Resolution.parse, default=Resolution(640, 480))
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--pairs", type=int, default=240)
    parser.add_argument("--network", default="")
    parser.add_argument("--weights", default="")
    given = parser.parse_args(arguments)
    width, height = given.size.width, given.size.height
    if given.cameras:
        with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
            play_cameras(given.cameras, width, height, given.rate, given.pairs)
    else:
        keep_big_blocks()  # as the node's process does
        result = measure(width, height, given.rate, given.pairs, given.network, given.weights)
        sys.stdout.write(json.dumps(result) + "\n")


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except (ExternalShutdownException, RuntimeError):  # the benchmark is over
        return


def _wait_for(statistics: Statistics, fused: int, patience_s: float) -> None:
    deadline = monotonic() + patience_s
    waiting = threading.Event()
    while statistics.total("fused") < fused:
        if monotonic() > deadline:
            raise RuntimeError(
                f"{statistics.total('fused')} of {fused} pairs came through in {patience_s:.0f} s; "
                "is another DDS configuration in the environment?"
            )
        waiting.wait(0.05)


if __name__ == "__main__":
    main()
