"""A detector node in the test's process, and who sends it images and listens to it."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from node_harness import image, wait_until
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from amg_fuse_ros.ros.detector_node import DetectorNode

RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LASTING = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def street(height: int = 96, width: int = 128, shift: int = 0) -> np.ndarray:
    """Noise with a red box; another place of it changes what is found."""
    pixels = np.random.default_rng(3).integers(0, 90, (height, width, 3), np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = (250, 30, 30)
    return np.roll(pixels, shift, axis=1)


def parameters(**values: Any) -> list[Parameter]:
    """Overrides; a double underscore stands for a dot."""
    return [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]


class DetectorRig:
    """Use it in a ``with`` statement, after ``rclpy.init``.

    Attributes:
        node: The detector node.
        found: Messages of the detections so far.
    """

    _numbers = itertools.count()

    def __init__(self, listening: bool = True, topic: str = "fused/image", **values: Any) -> None:
        options = {key: values.pop(key) for key in ("load", "cli_args") if key in values}
        namespace = f"/rig{next(self._numbers)}"
        values = {"warm_up": "64x64", "confidence": 0.3, "diagnostics_period_s": 0.1} | values
        self.node = DetectorNode(
            namespace=namespace, parameter_overrides=parameters(**values), **options
        )
        self.outside = rclpy.create_node("outside", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self.outside)
        self._images = self.outside.create_publisher(Image, topic, RELIABLE)
        self.found: list[Any] = []
        self._reports: list[DiagnosticArray] = []
        self.outside.create_subscription(DiagnosticArray, "/diagnostics", self._report, RELIABLE)
        self._listening: Any = None
        if listening:
            self.listen()
        self._stamps = itertools.count(1_000_000, 50)

    def __enter__(self) -> "DetectorRig":
        self.node.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()
        self._executor.shutdown()
        self.node.destroy_node()
        self.outside.destroy_node()

    def listen(self) -> None:
        from vision_msgs.msg import Detection2DArray

        self._listening = self.outside.create_subscription(
            Detection2DArray, "detections", self.found.append, RELIABLE
        )

    def leave(self) -> None:
        self.outside.destroy_subscription(self._listening)

    def wait(self, condition: Callable[[], bool]) -> bool:
        return wait_until(condition, lambda: self._executor.spin_once(timeout_sec=0.02))

    def subscribed(self) -> bool:
        return self._images.get_subscription_count() > 0

    def send(self, message: Image) -> None:
        assert self.wait(self.subscribed)
        self._images.publish(message)

    def next_image(self, pixels: np.ndarray, encoding: str = "rgb8") -> Image:
        return image(pixels, encoding, next(self._stamps))

    def detect(self, message: Image) -> Any:
        """Send an image, again when it got lost (best effort), until its detections come."""
        came: list[Any] = []

        def came_back() -> bool:
            came.extend(m for m in self.found if m.header.stamp == message.header.stamp)
            return bool(came)

        def send_and_spin() -> None:
            if next(turns) % 50 == 0:
                self._images.publish(message)
            self._executor.spin_once(timeout_sec=0.02)

        turns = itertools.count()
        assert self.wait(self.subscribed)
        assert wait_until(came_back, send_and_spin), self.diagnostics()
        return came[0]

    def set(self, **values: Any) -> tuple[bool, str]:
        result = self.node.set_parameters_atomically(parameters(**values))
        return result.successful, result.reason

    def lasting(self, kind: type, topic: str) -> Any:
        """The message that a late subscriber of a topic gets."""
        received: list[Any] = []
        subscription = self.outside.create_subscription(kind, topic, received.append, LASTING)
        assert self.wait(lambda: bool(received))
        self.outside.destroy_subscription(subscription)
        return received[-1]

    def _report(self, report: DiagnosticArray) -> None:
        if report.status[0].name == f"{self.node.get_fully_qualified_name()}: detection":
            self._reports.append(report)

    def report_of(self, fault: str) -> dict[str, str]:
        """The first report that tells this fault; the node looks for faults at intervals."""
        reports: list[dict[str, str]] = []

        def told() -> bool:
            reports.append(self.diagnostics())
            return f"fault: {fault}" in reports[-1]

        assert self.wait(told), reports[-1]
        return reports[-1]

    def diagnostics(self) -> dict[str, str]:
        """What the next report says, with its level and message."""
        self._reports.clear()
        assert self.wait(lambda: bool(self._reports))
        status = self._reports[-1].status[0]
        values = {v.key: v.value for v in status.values}
        return {**values, "level": str(status.level[0]), "message": status.message}
