"""What the node publishes: fused image, mask, camera_info, raw and compressed."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from amg_fuse_ros.ros.compressed_messages import to_compressed_message
from amg_fuse_ros.ros.image_messages import to_message
from amg_fuse_ros.setting import Settings


class FrameListener(Protocol):
    """Another part of this process that works on fused images."""

    def wants_frames(self) -> bool:
        """Whether it has something to do for one now; must return at once."""

    def take_frame(self, image: NDArray[np.uint8], header: Header) -> None:
        """Take a fused image; must return at once, and leave image and header as they are.

        Args:
            image: H W 3, RGB.
            header: Of the RGB image that went in.
        """


class Outputs:
    """The publishers of a configured node; each message is made only if somebody subscribes.

    Attributes:
        topics: Full names of those of the images, as they are published.
    """

    def __init__(
        self,
        node: LifecycleNode,
        transport: str,
        reliability: ReliabilityPolicy,
        listener: FrameListener | None = None,
    ) -> None:
        """Create the publishers.

        Args:
            node: Whose they are; they publish while it is active.
            transport: ``raw``, ``compressed`` or ``both``.
            reliability: Offered to subscribers.
            listener: Gets each fused image that it wants, before it is published.
        """
        self._node, self._listener = node, listener
        self._all: list[Any] = []
        profile = QoSProfile(depth=1, reliability=reliability)  # nobody wants old frames late

        def create(kind: type, topic: str) -> Any:
            self._all.append(node.create_lifecycle_publisher(kind, topic, profile))
            return self._all[-1]

        fused_topic = node.resolve_topic_name("fused/image")
        mask_topic = node.resolve_topic_name("fused/mask")
        raw, compressed = transport != "compressed", transport != "raw"
        self._fused: Any = create(Image, "fused/image") if raw else None
        self._mask: Any = create(Image, "fused/mask") if raw else None
        self._fused_compressed: Any = (
            create(CompressedImage, f"{fused_topic}/compressed") if compressed else None
        )
        self._mask_compressed: Any = (
            create(CompressedImage, f"{mask_topic}/compressed") if compressed else None
        )
        self.topics = tuple(publisher.topic_name for publisher in self._all)
        self._info = create(CameraInfo, "fused/camera_info")

    def close(self) -> None:
        """Take the publishers back."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
        self._all.clear()

    def wanted(self) -> bool:
        """Whether anybody subscribes to a fused image or a mask, or listens in this process."""
        if self._listener is not None and self._listener.wants_frames():
            return True
        images = (self._fused, self._mask, self._fused_compressed, self._mask_compressed)
        return any(heard(publisher) for publisher in images)

    def publish(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.float32],
        header: Header,
        info: CameraInfo | None,
        settings: Settings,
    ) -> None:
        """Publish one frame.

        Args:
            image: Fused image, H W 3, RGB.
            mask: H W, 0..1.
            header: Of all messages.
            info: Of the RGB camera; its header is replaced.
            settings: The node's, for encodings and quality.
        """
        if self._listener is not None and self._listener.wants_frames():
            self._listener.take_frame(image, header)
        if heard(self._fused):
            self._fused.publish(to_message(image, str(settings["fused.encoding"]), header))
        if heard(self._fused_compressed):
            quality = int(settings["transport.jpeg_quality"])
            self._fused_compressed.publish(to_compressed_message(image, "jpeg", header, quality))
        if settings["mask.publish"]:
            if heard(self._mask):
                self._mask.publish(to_message(mask, str(settings["mask.encoding"]), header))
            if heard(self._mask_compressed):
                self._mask_compressed.publish(to_compressed_message(mask, "png", header))
        if info is not None:
            info.header = header
            self._info.publish(info)


def heard(publisher: Any) -> bool:
    """Whether there is such a publisher and anybody subscribes to it."""
    return publisher is not None and publisher.get_subscription_count() > 0
