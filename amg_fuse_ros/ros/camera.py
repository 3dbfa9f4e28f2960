"""One camera as the node sees it: its topic, its health, its messages as arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from amg_fuse_ros.monitoring import Event, StreamMonitor, content_digest
from amg_fuse_ros.ros.compressed_messages import to_rgb_compressed, to_thermal_compressed
from amg_fuse_ros.ros.image_messages import ImageMessageError, to_rgb, to_thermal
from amg_fuse_ros.ros.subscriptions import subscribe_newest
from amg_fuse_ros.ros.time_jumps import stamp_ns_of

ImageLike: TypeAlias = Image | CompressedImage

_CONVERTERS: dict[tuple[str, str], Callable[[Any], NDArray[Any]]] = {
    ("thermal", "raw"): to_thermal,
    ("thermal", "compressed"): to_thermal_compressed,
    ("rgb", "raw"): to_rgb,
    ("rgb", "compressed"): to_rgb_compressed,
    ("image", "raw"): to_rgb,
    ("image", "compressed"): to_rgb_compressed,
}


class Job(NamedTuple):
    """What becomes one frame: a pair, or one image while the other camera is missing."""

    thermal: ImageLike | None
    rgb: ImageLike | None
    arrived: float
    """When the later one came, monotonic seconds."""


class Camera:
    """Subscribes to one camera while it exists, and watches what comes.

    Attributes:
        name: ``thermal``, ``rgb``, or ``image`` of one that may be either.
        topic: The full name of what it subscribes to.
        monitor: The health of its stream.
        mismatch: What is wrong with a publisher's QoS, in words, until an image comes; else empty.
        frame_id: Of the newest image; ``None`` before there was one.
        size: Width and height of the newest image that was read; ``None`` before there was one.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        transport: str,
        reliability: ReliabilityPolicy,
        monitor: StreamMonitor,
        on_image: Callable[[ImageLike], None],
        on_event: Callable[[Event], None],
        topic: str = "",
    ) -> None:
        """Subscribe.

        Args:
            node: Who subscribes.
            name: ``thermal``, ``rgb`` or ``image``.
            transport: ``raw``, or ``compressed``, whose topic ends in ``/compressed`` as those of
                image_transport do.
            reliability: Asked of the publisher.
            monitor: Watches the stream.
            on_image: Called with each message, after the monitor has seen it.
            on_event: Called with what is remarkable about a message, before ``on_image``.
            topic: Of the images as they are, by default ``NAME/image_raw``.
        """
        self.name = name
        self.monitor = monitor
        self.mismatch = ""
        self.frame_id: str | None = None
        self.size: tuple[int, int] | None = None
        self._node = node
        self._convert = _CONVERTERS[name, transport]
        self._on_image = on_image
        self._on_event = on_event
        kind: type = Image
        topic = node.resolve_topic_name(topic or f"{name}/image_raw")
        self._unused = ("compressed", f"{topic}/compressed")
        if transport == "compressed":
            # The base topic is what gets remapped, as with image_transport.
            self._unused = ("raw", topic)
            kind, topic = CompressedImage, f"{topic}/compressed"
        self._type = f"sensor_msgs/msg/{kind.__name__}"
        self._subscription: Subscription = subscribe_newest(
            node, kind, topic, self._take, reliability, self._note_mismatch
        )
        self.topic = self._subscription.topic_name

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def publishers(self) -> int:
        """How many publish the topic, whether their QoS fits or not."""
        return self._node.count_publishers(self.topic)

    def why_silent(self) -> str:
        """What the topic's publishers tell about why nothing comes, for people."""
        types = [info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)]
        if self._type in types:
            return f"{types.count(self._type)} publish it: does the camera send?"
        if types:
            return f"it is published as {types[0]}, expected is {self._type}"
        transport, topic = self._unused
        if self._node.count_publishers(topic):
            return (
                f"nobody publishes it, but {topic} is published: set transport.{self.name} to "
                f"{transport}"
            )
        return "nobody publishes it: is the driver running, is the topic's name right?"

    def read(self, message: ImageLike) -> NDArray[Any]:
        """The message's pixels; see `amg_fuse_ros.ros.image_messages`.

        Raises:
            ImageMessageError: They cannot be read; the monitor has noted why.
        """
        try:
            pixels = self._convert(message)
        except ImageMessageError as error:
            self.monitor.could_not_be_read(str(error))
            raise
        self.size = pixels.shape[1], pixels.shape[0]
        return np.asarray(pixels)

    def _note_mismatch(self, text: str) -> None:
        self.mismatch = text

    def _take(self, message: ImageLike) -> None:
        form = (
            message.format
            if isinstance(message, CompressedImage)
            else f"{message.width}x{message.height} {message.encoding}"
        )
        self.mismatch = ""
        self.frame_id = message.header.frame_id
        digest = content_digest(message.data) if self.monitor.limits.frozen_s else 0
        stamp_ns = stamp_ns_of(message)
        for event in self.monitor.note(stamp_ns, form, digest):
            self._on_event(event)
        self._on_image(message)
