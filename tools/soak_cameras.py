"""Two cameras that can be made to misbehave, and a listener to what becomes of their images."""

import random
import time
from collections.abc import Callable

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from amg_fuse_ros.ros.image_messages import to_message

PAYLOADS = 32
"""Different images of each camera; drawn once, since drawing takes longer than publishing."""

Sent = dict[str, Image | None]
"""What the cameras are about to publish, by name; a fault changes it."""
Fault = Callable[["Cameras", Sent], None]


class Cameras:
    """Publishes pairs at a rate while it listens for fused images.

    Attributes:
        fused: Fused images received.
        rng: For the faults' choices.
        stamp_ms: Of the images to come; a fault may set it.
        memory: What a fault wants to keep from one tick to the next, forgotten when it ends.
    """

    def __init__(self, namespace: str, rate_hz: float, seed: int) -> None:
        """Create publishers and the listener.

        Args:
            namespace: Of the node.
            rate_hz: Pairs per second.
            seed: Of images and faults.
        """
        self.fused = 0
        self.rng = random.Random(seed)
        self.stamp_ms = 1_000_000
        self.memory: dict[str, Image] = {}
        self._period_s = 1 / rate_hz
        self._newest_ms = 0
        self._node = rclpy.create_node("soak_cameras", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._publishers = {
            name: self._node.create_publisher(Image, f"{name}/image_raw", qos)
            for name in ("thermal", "rgb")
        }
        self._node.create_subscription(Image, "fused/image", self._take, qos)
        numbers = np.random.default_rng(seed)
        header = Image().header
        self._payloads = {
            "thermal": [
                to_message(numbers.integers(0, 256, (96, 128), np.uint8), "mono8", header)
                for _ in range(PAYLOADS)
            ],
            "rgb": [
                to_message(numbers.integers(0, 256, (120, 160, 3), np.uint8), "rgb8", header)
                for _ in range(PAYLOADS)
            ],
        }

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()

    def heal(self) -> None:
        """Behave again; time goes on from where it was."""
        self.memory.clear()

    def run(self, seconds: float, fault: Fault | None = None) -> None:
        """Publish for so long, with a fault or without."""
        until = time.monotonic() + seconds
        due = time.monotonic()
        while time.monotonic() < until:
            self._tick(fault)
            due += self._period_s
            while time.monotonic() < due:
                self._executor.spin_once(timeout_sec=max(0.0, due - time.monotonic()))

    def recovers(self, within_s: float) -> bool:
        """Publish healthy pairs until three new ones came back fused, or the time is over."""
        until = time.monotonic() + within_s
        self._newest_ms = 0
        start_ms, seen = self.stamp_ms, set()
        while time.monotonic() < until:
            self.run(self._period_s)
            if self._newest_ms > start_ms:
                seen.add(self._newest_ms)
            if len(seen) >= 3:
                return True
        return False

    def fresh(self, name: str) -> Image:
        """A new image of a camera, stamped now."""
        template = self.rng.choice(self._payloads[name])
        message = Image(
            height=template.height,
            width=template.width,
            encoding=template.encoding,
            step=template.step,
        )
        message.data = template.data  # shared; what damages it makes its own
        stamp(message, self.stamp_ms)
        message.header.frame_id = name
        return message

    def _tick(self, fault: Fault | None) -> None:
        self.stamp_ms += round(1000 * self._period_s)
        sent: Sent = {name: self.fresh(name) for name in ("thermal", "rgb")}
        if fault is not None:
            fault(self, sent)
        for name, message in sent.items():
            if message is not None:
                self._publishers[name].publish(message)

    def _take(self, message: Image) -> None:
        self.fused += 1
        self._newest_ms = message.header.stamp.sec * 1000 + message.header.stamp.nanosec // 10**6


def stamp(message: Image, milliseconds: int) -> None:
    """Set a message's stamp."""
    message.header.stamp.sec, rest = divmod(milliseconds, 1000)
    message.header.stamp.nanosec = rest * 10**6


def _without(name: str) -> Fault:
    def fault(_: Cameras, sent: Sent) -> None:
        sent[name] = None

    return fault


def _frozen(name: str) -> Fault:
    def fault(cameras: Cameras, sent: Sent) -> None:
        still = cameras.memory.setdefault(name, cameras.fresh(name))
        stamp(still, cameras.stamp_ms)
        sent[name] = still

    return fault


def _damaged(name: str) -> Fault:
    def fault(cameras: Cameras, sent: Sent) -> None:
        message, rng = sent[name], cameras.rng
        assert message is not None
        kind = rng.randrange(6)
        if kind == 0:
            message.data = message.data[: rng.randrange(len(message.data))]
        elif kind == 1:
            message.step = rng.randrange(2**16)
        elif kind == 2:
            message.width, message.height = rng.randrange(2**32), rng.randrange(2**32)
        elif kind == 3:
            message.encoding = rng.choice(
                ["32FC1", "h264", "", "bayer_rggb16", "8UC4", "\N{SNOWMAN}"]
            )
        elif kind == 4:
            message.width = message.height = message.step = 0
            message.data = message.data[:0]
        else:
            message.is_bigendian = 1
            message.encoding = "mono16"

    return fault


def _nothing(_: Cameras, sent: Sent) -> None:
    sent["thermal"] = sent["rgb"] = None


def _stamps_stand(_: Cameras, sent: Sent) -> None:
    if sent["thermal"] is not None:
        stamp(sent["thermal"], 77_000)


def _disorder(cameras: Cameras, sent: Sent) -> None:
    for message in sent.values():
        if message is not None:
            stamp(message, cameras.stamp_ms - cameras.rng.randrange(300))


def _jumps(cameras: Cameras, sent: Sent) -> None:
    if cameras.rng.random() < 0.1:
        cameras.stamp_ms = cameras.rng.randrange(10**5, 10**9)
    for message in sent.values():
        if message is not None:
            stamp(message, cameras.stamp_ms)


def _other_format(cameras: Cameras, sent: Sent) -> None:
    height, width = cameras.rng.randrange(1, 200), cameras.rng.randrange(1, 200)
    for name, encoding, shape in (
        ("thermal", "mono16", (height, width)),
        ("rgb", "bgr8", (height, width, 3)),
    ):
        pixels = np.random.default_rng(cameras.stamp_ms).integers(0, 256, shape, np.uint8)
        data = pixels.astype(np.uint16) if encoding == "mono16" else pixels
        message = Image(height=height, width=width, encoding=encoding, step=data.nbytes // height)
        message.data.frombytes(data.tobytes())
        stamp(message, cameras.stamp_ms)
        sent[name] = message


FAULTS: dict[str, Fault] = {
    "both cameras missing": _nothing,
    "clocks jump": _jumps,
    "formats change": _other_format,
    "rgb damaged": _damaged("rgb"),
    "rgb frozen": _frozen("rgb"),
    "rgb missing": _without("rgb"),
    "stamps out of order": _disorder,
    "stamps stand still": _stamps_stand,
    "thermal damaged": _damaged("thermal"),
    "thermal frozen": _frozen("thermal"),
    "thermal missing": _without("thermal"),
}
