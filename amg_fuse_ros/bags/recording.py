"""A rosbag2 recording (sqlite3 or mcap), read message by message.

A bag is input from outside. rosbags can compile the message definitions a bag brings along into
Python; that is not done here: messages are decoded by the fixed standard definitions only, and
what those do not know is passed on as bytes or left alone.
"""

import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from amg_fuse_ros.bags.bounded_reading import BoundedReader

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = frozenset({IMAGE, COMPRESSED_IMAGE})
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

MAX_CHUNK_BYTES = 1 << 30
"""Largest uncompressed mcap chunk that is read; recorders write chunks of about 1 MB."""


class BagError(Exception):
    """A bag that cannot be read or written, told for the person who named it."""


class MessageError(ValueError):
    """One message of a bag that cannot be decoded."""


class RawMessage(NamedTuple):
    """A message as it lies in the bag."""

    topic: str
    msgtype: str
    record_ns: int
    """When it was recorded, nanoseconds since the epoch."""
    data: bytes
    """The serialised message (CDR with its encapsulation header)."""


class Header(NamedTuple):
    """``std_msgs/Header``: when and in which frame a sensor measured."""

    stamp_ns: int
    frame_id: str

    @classmethod
    def of(cls, message: Any) -> "Header":
        """The header of a decoded message.

        Args:
            message: A message of rosbags or rclpy that has a ``header``.

        Returns:
            Its stamp in nanoseconds and its frame.
        """
        stamp = message.header.stamp
        return cls(stamp.sec * 10**9 + stamp.nanosec, message.header.frame_id)


@lru_cache(maxsize=1)
def typestore() -> Any:
    """The standard message types of ROS 2 Jazzy, as rosbags knows them.

    Image, CameraInfo and their parts are the same in Humble and Kilted.
    """
    return get_typestore(Stores.ROS2_JAZZY)


class Recording:
    """A bag opened for reading; use it in a ``with`` statement.

    Args:
        path: A bag folder with its ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file.

    Raises:
        BagError: On entering, if there is no readable bag.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._reader: Any = None

    def __enter__(self) -> "Recording":
        try:
            self._reader = BoundedReader(self.path)
            self._reader.open()
            self._check_chunks()
        # A damaged file surfaces as any exception of rosbags, sqlite, YAML, zstd or struct.
        except Exception as error:
            self.close()
            raise BagError(_why_unreadable(self.path, error)) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files; done by leaving the ``with`` statement."""
        reader, self._reader = self._reader, None
        if reader is not None and reader.is_open:
            reader.close()

    def topics(self, msgtype: str | None = None) -> dict[str, int]:
        """The recorded topics and their numbers of messages.

        Args:
            msgtype: Only topics of this type, such as `IMAGE`.

        Returns:
            Message counts by topic, in alphabetical order.
        """
        counts: dict[str, int] = {}
        for connection in self._reader.connections:
            if msgtype is None or connection.msgtype == msgtype:
                counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        return dict(sorted(counts.items()))

    def image_topics(self) -> dict[str, int]:
        """The topics with images, raw and compressed, and their numbers of messages.

        Returns:
            Message counts by topic, in alphabetical order.
        """
        raw, compressed = self.topics(IMAGE), self.topics(COMPRESSED_IMAGE)
        counts = {topic: raw.get(topic, 0) + compressed.get(topic, 0) for topic in raw | compressed}
        return dict(sorted(counts.items()))

    def types(self) -> dict[str, str]:
        """The message type of each topic, in alphabetical order of the topics.

        Returns:
            Types by topic; of a topic that was recorded with several types, the first.
        """
        types: dict[str, str] = {}
        for connection in self._reader.connections:
            types.setdefault(connection.topic, connection.msgtype)
        return dict(sorted(types.items()))

    @property
    def start_ns(self) -> int:
        """Record time of the first message, nanoseconds since the epoch; 0 for an empty bag."""
        return self._reader.start_time if self._reader.message_count else 0

    @property
    def duration_ns(self) -> int:
        """Nanoseconds from the first to the last message."""
        return max(0, self._reader.duration - 1)

    def messages(
        self, topics: Collection[str] | None = None, msgtypes: Collection[str] | None = None
    ) -> Iterator[RawMessage]:
        """Reads messages in the order of their record times, one at a time.

        Args:
            topics: Only these topics; all when not given.
            msgtypes: Only messages of these types.

        Yields:
            The messages, undecoded.

        Raises:
            BagError: When the file is damaged so that reading cannot go on.
        """
        wanted = [
            connection
            for connection in self._reader.connections
            if (topics is None or connection.topic in topics)
            and (msgtypes is None or connection.msgtype in msgtypes)
        ]
        if not wanted:
            return
        count = 0
        try:
            for connection, record_ns, data in self._reader.messages(wanted):
                # sqlite stores what it is given, of whatever type.
                if not isinstance(data, bytes) or not isinstance(record_ns, int):
                    raise TypeError(f"message {count + 1} on {connection.topic} is not binary")
                yield RawMessage(connection.topic, connection.msgtype, record_ns, data)
                count += 1
        except Exception as error:
            raise BagError(
                f"{self.path}: reading broke off after {count} messages: {_reason(error)}"
            ) from error

    def decode(self, message: RawMessage) -> Any:
        """Decodes a message of a standard type.

        Args:
            message: What `messages` yielded.

        Returns:
            The message; its arrays are views of ``message.data``.

        Raises:
            MessageError: For damaged bytes or a type that is not a standard one.
        """
        return decode(message.data, message.msgtype)

    def _check_chunks(self) -> None:
        """Refuses chunk sizes no file can have, before memory is taken for them."""
        storage = self._reader.storage
        for part in getattr(storage, "storages", [storage]):
            size = part.path.stat().st_size
            for chunk in getattr(part, "chunks", ()):
                end = chunk.chunk_start_offset + chunk.chunk_length
                if end > size or chunk.compressed_size > size:
                    raise ValueError(f"{part.path.name} ends inside a chunk")
                if chunk.uncompressed_size > MAX_CHUNK_BYTES:
                    raise ValueError(
                        f"{part.path.name} holds a chunk of {chunk.uncompressed_size} bytes"
                    )


def decode(data: bytes, msgtype: str) -> Any:
    """Decodes serialised bytes of a standard message type.

    Args:
        data: CDR with its encapsulation header.
        msgtype: For instance ``sensor_msgs/msg/Image``.

    Returns:
        rosbags' message object; its arrays are views of ``data``.

    Raises:
        MessageError: For damaged bytes or a type that is not a standard one.
    """
    if msgtype not in typestore().fielddefs:
        raise MessageError(f"type {msgtype!r} is not a standard ROS 2 message")
    try:
        return typestore().deserialize_cdr(data, msgtype)
    except (SerdeError, struct.error, ValueError, IndexError) as error:
        raise MessageError(f"the message cannot be decoded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "a size in the file is larger than the memory"
    return str(error) or type(error).__name__


def _why_unreadable(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"there is no bag at {path}"
    if path.suffix == ".bag":
        return f"{path} is a ROS 1 bag; convert it: rosbags-convert --src {path} --dst NEW_BAG"
    if path.is_dir() and not (path / "metadata.yaml").exists():
        with suppress(OSError):
            files = sorted(x.name for x in path.iterdir() if x.suffix in {".mcap", ".db3"})
            if files:
                return (
                    f"{path} has no metadata.yaml, as when a recorder was killed; "
                    f"run `ros2 bag reindex {path}` or pass the file itself: {path / files[0]}"
                )
        return f"{path} is a folder without a metadata.yaml; pass a rosbag2 folder or file"
    if path.is_file() and path.suffix not in {".mcap", ".db3"}:
        return f"{path} is not a bag; pass a rosbag2 folder, an .mcap or a .db3 file"
    hint = ""
    if "end magic" in str(error) or "footer" in str(error):
        hint = "; the recording was cut off: `mcap recover` restores what is complete"
    return f"{path} cannot be read as a bag: {_reason(error)}{hint}"
