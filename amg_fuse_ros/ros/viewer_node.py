"""Shows live in Rerun what the fusion node receives and publishes; can record it, too.

Run it in the fusion node's namespace. It subscribes as best effort and with a queue of one, so it
never holds a publisher up; what it is too slow for, it misses.
"""

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from amg_fuse_ros.image_encoding import ImageEncodingError, mask_array
from amg_fuse_ros.ros.compressed_messages import to_rgb_compressed, to_thermal_compressed
from amg_fuse_ros.ros.detection_messages import boxes_of, class_names, load_vision_messages
from amg_fuse_ros.ros.image_messages import to_rgb, to_thermal
from amg_fuse_ros.ros.process import run_node
from amg_fuse_ros.ros.time_jumps import stamp_ns_of
from amg_fuse_ros.view import RerunLog

MILLISECONDS = " [ms]"
"""What ends the keys of durations in /diagnostics."""

CLOSING_S = 1.0
"""To write what was logged; within the time that a process has after a signal."""

OLDEST_S = 60.0
"""An older stamp is a bag's, and says nothing of how late its image is."""


class ViewerNode(Node):
    """Logs the images, masks and latencies of one fusion node, and what is found in its images.

    Raises:
        ViewError: rerun-sdk is not installed, or the file cannot be written.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("viewer_node", **node_options)
        viewer = self._declare("viewer", "spawn", "spawn, none, or rerun+http://HOST:9876/proxy.")
        file = self._declare("file", "", "A .rrd file to record into as well.")
        cameras = self._declare(
            "transport", "raw", "How the cameras' images come: raw, compressed."
        )
        output = self._declare("output_transport", "raw", "And how fused image and mask do.")
        quality = ParameterDescriptor(
            description="JPEG quality of what is logged.",
            read_only=True,
            integer_range=[IntegerRange(from_value=1, to_value=100)],
        )
        self._log = RerunLog(
            file or None,
            viewer=viewer,
            quality=self.declare_parameter("jpeg_quality", 90, quality).value,
        )
        self._newest_ns = 0
        self._complained: set[str] = set()
        log = self._log
        self._show("thermal/image_raw", cameras, (to_thermal, to_thermal_compressed), log.thermal)
        self._show("rgb/image_raw", cameras, (to_rgb, to_rgb_compressed), log.rgb)
        self._show("fused/image", output, (to_rgb, to_rgb_compressed), self._log_fused)
        self._show("fused/mask", output, (mask_array, to_thermal_compressed), log.mask)
        self._subscribe(DiagnosticArray, "/diagnostics", self._log_diagnostics)
        self._names: Mapping[str, str] = {}
        self._show_detections()
        self.get_logger().info(f"logging to {', '.join(filter(None, (viewer, file)))}")

    def start(self) -> None:
        """Nothing is left to be done: subscriptions are there."""

    def close(self) -> None:
        """Ends the recording, so that its file is complete."""
        self._log.close(CLOSING_S)

    def _declare(self, name: str, default: str, description: str) -> str:
        descriptor = ParameterDescriptor(description=description, read_only=True)
        value: str = self.declare_parameter(name, default, descriptor).value
        return value

    def _show(
        self,
        topic: str,
        transport: str,
        readers: tuple[Callable[[Any], Any], Callable[[Any], Any]],
        log: Callable[[int, Any], None],
    ) -> None:
        """Logs a topic's images, raw or compressed, each with its reader."""
        compressed = transport == "compressed"
        read = readers[compressed]
        name = self.resolve_topic_name(topic) + ("/compressed" if compressed else "")

        def take(message: Any) -> None:
            try:
                log(stamp_ns_of(message), read(message))
            except ImageEncodingError as error:
                if name not in self._complained:
                    self._complained.add(name)
                    self.get_logger().warning(f"{name}: {error}")
            else:
                self._complained.discard(name)

        self._subscribe(CompressedImage if compressed else Image, name, take)

    def _show_detections(self) -> None:
        """Logs what a detector node finds, where vision_msgs is installed."""
        try:
            vision = load_vision_messages()
        except ModuleNotFoundError:
            return
        self._subscribe(vision.Detection2DArray, "detections", self._log_detections)
        lasting = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        topic = "detections/vision_info"
        self.create_subscription(vision.VisionInfo, topic, self._take_names, lasting)

    def _take_names(self, info: Any) -> None:
        self._names = class_names(info)

    def _log_detections(self, array: Any) -> None:
        boxes, captions, class_ids = boxes_of(array, self._names)
        self._log.detections(stamp_ns_of(array), boxes, captions, class_ids)

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(kind, topic, callback, profile)

    def _log_fused(self, stamp_ns: int, image: Any) -> None:
        self._log.fused(stamp_ns, image)
        self._newest_ns = stamp_ns
        age = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        if 0 <= age <= OLDEST_S:
            self._log.latencies(stamp_ns, {"age on arrival": age})

    def _log_diagnostics(self, array: DiagnosticArray) -> None:
        if not self._newest_ns:
            return  # nothing to say of which image
        for status in array.status:
            if status.name.startswith(f"{self.get_namespace().rstrip('/')}/"):
                part = "detection " if status.name.endswith(": detection") else ""
                found = {f"{part}{stage}": s for stage, s in latencies_of(status).items()}
                self._log.latencies(self._newest_ns, found)


def latencies_of(status: DiagnosticStatus) -> dict[str, float]:
    """The durations in a status of the fusion node.

    Args:
        status: With values such as ``latency p95 [ms]: 81.50`` and
            ``engine p50/p95 [ms]: 70.10/75.00``.

    Returns:
        Seconds by name, ``engine p95``; what has no value yet (``-``) is left out.
    """
    found = {}
    for pair in status.values:
        if not pair.key.endswith(MILLISECONDS):
            continue
        stage, _, names = pair.key.removesuffix(MILLISECONDS).rpartition(" ")
        for name, value in zip(names.split("/"), pair.value.split("/"), strict=False):
            try:
                found[f"{stage} {name}"] = float(value) / 1e3
            except ValueError:
                continue
    return found


def main(args: list[str] | None = None) -> None:
    """Run the viewer node until SIGINT or SIGTERM."""
    run_node(lambda: ViewerNode, args)


if __name__ == "__main__":
    main()
