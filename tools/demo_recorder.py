"""What the demo records: the node's images beside the cameras', and when they came."""

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from amg_fuse_ros.ros.image_messages import to_rgb, to_thermal

SOURCES_KEPT = 100


@dataclass
class Frame:
    """One fused image with what belongs to it."""

    stamp_ns: int
    image: NDArray[np.uint8]
    latency_ms: float
    """From the stamp of the RGB image, set when it was played, to the arrival here."""
    mask: NDArray[np.float32] | None = None
    rgb: NDArray[np.uint8] | None = None
    thermal: NDArray[Any] | None = None


@dataclass
class Recorded:
    """All that came back from the node."""

    frames: list[Frame] = field(default_factory=list)
    diagnostics: dict[str, str] = field(default_factory=dict)
    """The node's last report."""
    first_s: float = 0.0
    last_s: float = 0.0

    def summary(self, pairs: int, scale: float) -> str:
        """Lines for people: pairs, fused, dropped, latency, and at which scale."""
        latencies = np.array([f.latency_ms for f in self.frames] or [np.nan])
        rate = (len(self.frames) - 1) / max(self.last_s - self.first_s, 1e-9)
        lines = [
            "",
            f"pairs in          {pairs} played, {self.diagnostics.get('pairs', '-')} paired",
            f"fused out         {len(self.frames)} received, {max(rate, 0):.1f} Hz",
            f"dropped           {self.diagnostics.get('dropped', '-')} (latest wins)",
            f"latency p50/p95   {np.percentile(latencies, 50):.0f} / "
            f"{np.percentile(latencies, 95):.0f} ms, from the RGB stamp to the fused image here",
            f"network           size {self.diagnostics.get('size', '-')}, engine "
            f"{self.diagnostics.get('engine', '-')} "
            f"{self.diagnostics.get('precision', '')} on {self.diagnostics.get('device', '-')}",
        ]
        if scale < 1:
            lines.append(
                f"REDUCED SCALE     fused at {scale:g} of the RGB size "
                f"({self.diagnostics.get('fused at', '-')}), so that this machine keeps up; "
                "pictures/full_scale/ shows the network at full size"
            )
        return "\n".join(lines) + "\n"

    def write_bag(self, out: Path) -> None:
        """Write the fused images and masks as a bag."""
        from amg_fuse_ros.bags import BagWriter, Header

        with BagWriter(out) as writer:
            for frame in self.frames:
                header = Header(frame.stamp_ns, "rgb_camera")
                writer.write_image("/fused/image", frame.image, "rgb8", header, frame.stamp_ns)
                if frame.mask is not None:
                    writer.write_image("/fused/mask", frame.mask, "32FC1", header, frame.stamp_ns)


class Recorder(Node):
    """Subscribes to the node's topics and to the cameras'."""

    def __init__(self) -> None:
        super().__init__("demo_recorder")
        self.recorded = Recorded()
        self._rgb: dict[int, Image] = {}
        self._thermal: dict[int, Image] = {}
        self._masks: dict[int, NDArray[np.float32]] = {}
        keep = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(Image, "fused/image", self._take_fused, keep)
        self.create_subscription(Image, "fused/mask", self._take_mask, keep)
        self.create_subscription(Image, "rgb/image_raw", lambda m: _keep(self._rgb, m), keep)
        self.create_subscription(
            Image, "thermal/image_raw", lambda m: _keep(self._thermal, m), keep
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)

    def node_is_ready(self) -> bool:
        """Whether the fusion node has said that it is active."""
        return self.recorded.diagnostics.get("state") == "active"

    def _take_fused(self, message: Image) -> None:
        stamp = _stamp_ns(message)
        rgb, thermal = self._rgb.get(stamp), _nearest(self._thermal, stamp)
        now = monotonic()
        if not self.recorded.frames:
            self.recorded.first_s = now
        self.recorded.last_s = now
        self.recorded.frames.append(
            Frame(
                stamp,
                to_rgb(message),
                (self.get_clock().now().nanoseconds - stamp) / 1e6,
                self._masks.pop(stamp, None),
                None if rgb is None else to_rgb(rgb),
                None if thermal is None else to_thermal(thermal),
            )
        )

    def _take_mask(self, message: Image) -> None:
        mask = np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
        stamp = _stamp_ns(message)
        for frame in reversed(self.recorded.frames):
            if frame.stamp_ns == stamp:
                frame.mask = mask
                return
        self._masks[stamp] = mask

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.hardware_id == "amg_fuse_ros":
                self.recorded.diagnostics = {v.key: v.value for v in status.values}


def _stamp_ns(message: Image) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _keep(messages: dict[int, Image], message: Image) -> None:
    messages[_stamp_ns(message)] = message
    if len(messages) > SOURCES_KEPT:
        del messages[min(messages)]


def _nearest(messages: dict[int, Image], stamp: int) -> Image | None:
    if not messages:
        return None
    return messages[min(messages, key=lambda other: abs(other - stamp))]
