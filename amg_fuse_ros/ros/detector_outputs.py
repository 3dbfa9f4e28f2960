"""What the detector node publishes: detections, what their classes are, the image with boxes."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from amg_fuse_ros.detection import (
    Detections,
    detection_array_fields,
    draw,
    label_info_fields,
    vision_info_fields,
)
from amg_fuse_ros.ros.compressed_messages import to_compressed_message
from amg_fuse_ros.ros.detection_messages import message_of
from amg_fuse_ros.ros.image_messages import to_message
from amg_fuse_ros.ros.outputs import heard
from amg_fuse_ros.setting import Settings


class DetectionOutputs:
    """The publishers of a configured detector node; each image is made only if somebody subscribes.

    Attributes:
        topic: Full name of the detections' topic.
    """

    def __init__(
        self,
        node: LifecycleNode,
        vision: ModuleType,
        transport: str,
        reliability: ReliabilityPolicy,
    ) -> None:
        """Create the publishers.

        Args:
            node: Whose they are; they publish while it is active.
            vision: ``vision_msgs.msg``.
            transport: Of the image: ``raw``, ``compressed`` or ``both``.
            reliability: Offered to subscribers of detections and images.
        """
        self._node, self._vision = node, vision
        self._all: list[Any] = []
        newest = QoSProfile(depth=1, reliability=reliability)  # nobody wants old ones late
        lasting = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )

        def create(kind: type, topic: str, profile: QoSProfile) -> Any:
            self._all.append(node.create_lifecycle_publisher(kind, topic, profile))
            return self._all[-1]

        self.topic = node.resolve_topic_name("detections")
        image = node.resolve_topic_name("detections/image")
        self._array = create(vision.Detection2DArray, "detections", newest)
        self._image: Any = (
            create(Image, "detections/image", newest) if transport != "compressed" else None
        )
        self._compressed: Any = (
            create(CompressedImage, f"{image}/compressed", newest) if transport != "raw" else None
        )
        self._vision_info = create(vision.VisionInfo, "detections/vision_info", lasting)
        self._label_info: Any = None
        if hasattr(vision, "LabelInfo"):  # not in every distribution's vision_msgs
            self._label_info = create(vision.LabelInfo, "detections/label_info", lasting)

    def close(self) -> None:
        """Take the publishers back."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
        self._all.clear()

    def wanted(self) -> bool:
        """Whether anybody subscribes to detections or to the image with them."""
        return any(heard(each) for each in (self._array, self._image, self._compressed))

    def publish_classes(self, method: str, names: Mapping[int, str], confidence: float) -> None:
        """Tell what the classes are; also to those who subscribe later.

        Args:
            method: The network's name.
            names: Class number to class name.
            confidence: Least score of what is reported.
        """
        now = self._node.get_clock().now().to_msg()
        stamp = now.sec, now.nanosec
        fields = vision_info_fields(method, names, "", stamp)
        self._vision_info.publish(message_of(self._vision.VisionInfo, fields))
        if self._label_info is not None:
            fields = label_info_fields(names, confidence, "", stamp)
            self._label_info.publish(message_of(self._vision.LabelInfo, fields))

    def publish(
        self, found: Detections, image: NDArray[np.uint8], header: Header, settings: Settings
    ) -> None:
        """Publish what was found in an image.

        Args:
            found: In pixels of the image.
            image: H W 3, RGB; it is left as it is.
            header: The image's; that of all messages.
            settings: The node's, for the class's form and the quality.
        """
        if heard(self._array):
            stamp = header.stamp.sec, header.stamp.nanosec
            named = settings["class_id"] == "name"
            fields = detection_array_fields(found, header.frame_id, stamp, named=named)
            self._array.publish(message_of(self._vision.Detection2DArray, fields))
        raw, compressed = heard(self._image), heard(self._compressed)
        if not (raw or compressed):
            return
        drawn = draw(image, found)
        if raw:
            self._image.publish(to_message(drawn, "rgb8", header))
        if compressed:
            quality = int(settings["transport.jpeg_quality"])
            self._compressed.publish(to_compressed_message(drawn, "jpeg", header, quality))
