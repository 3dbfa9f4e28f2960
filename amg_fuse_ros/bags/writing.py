"""Writes rosbag2 recordings (mcap) that appear under their name only when they are complete."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from amg_fuse_ros.bags.recording import (
    CAMERA_INFO,
    IMAGE,
    BagError,
    Header,
    RawMessage,
    typestore,
)
from amg_fuse_ros.image_encoding import Array

WRITTEN_ENCODINGS: dict[str, tuple[type, int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "mono8": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}
"""Type and number of the samples in a pixel."""

METADATA_VERSION = 8
"""Read by every rosbag2 from Humble on; version 9 changes only how QoS is spelt."""

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class CameraModel:
    """What a ``CameraInfo`` says about a camera; see ``sensor_msgs/CameraInfo`` for the terms."""

    k: Sequence[float]
    """Intrinsic matrix, nine values by rows."""
    d: Sequence[float] = (0.0,) * 5
    distortion_model: str = "plumb_bob"
    r: Sequence[float] = IDENTITY
    p: Sequence[float] | None = None
    """Projection matrix, twelve values by rows; from ``k`` when not given."""


def image_message(pixels: Array, encoding: str, header: Header) -> Any:
    """A ``sensor_msgs/Image`` of an array.

    Args:
        pixels: HxWx3 uint8 for rgb8 and bgr8, HxW uint8, uint16 or float32 for mono8, mono16 and
            32FC1.
        encoding: One of `WRITTEN_ENCODINGS`.
        header: Stamp and frame.

    Returns:
        The message; its data is a view of ``pixels`` where they are contiguous.

    Raises:
        ValueError: If pixels and encoding do not fit.
    """
    if encoding not in WRITTEN_ENCODINGS:
        known = ", ".join(WRITTEN_ENCODINGS)
        raise ValueError(f"encoding should be one of {known}, not {encoding!r}")
    dtype, channels = WRITTEN_ENCODINGS[encoding]
    wanted = () if channels == 1 else (channels,)
    if pixels.dtype != dtype or pixels.shape[2:] != wanted or pixels.ndim < 2 or not pixels.size:
        shape = "x".join(["H", "W", *map(str, wanted)])
        raise ValueError(
            f"{encoding} takes {shape} {np.dtype(dtype)}, not {pixels.shape} {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    return typestore().types[IMAGE](
        header=header_message(header),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=len(data) // height,
        data=data,
    )


def camera_info_message(model: CameraModel, width: int, height: int, header: Header) -> Any:
    """A ``sensor_msgs/CameraInfo`` of a camera model.

    Args:
        model: Intrinsics and distortion.
        width: Image width, pixels.
        height: Image height, pixels.
        header: Stamp and frame.

    Returns:
        The message.

    Raises:
        ValueError: If the matrices have the wrong numbers of values.
    """
    k, r = _vector(model.k, 9, "k"), _vector(model.r, 9, "r")
    p = np.insert(k, (3, 6, 9), 0.0) if model.p is None else _vector(model.p, 12, "p")
    types = typestore().types
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return types[CAMERA_INFO](
        header=header_message(header),
        height=height,
        width=width,
        distortion_model=model.distortion_model,
        d=np.array(model.d, np.float64),
        k=k,
        r=r,
        p=p,
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def header_message(header: Header) -> Any:
    """A ``std_msgs/Header``.

    Args:
        header: Stamp and frame.

    Returns:
        The message.
    """
    types = typestore().types
    sec, nanosec = divmod(header.stamp_ns, 10**9)
    stamp = types["builtin_interfaces/msg/Time"](sec, nanosec)
    return types["std_msgs/msg/Header"](stamp, header.frame_id)


class BagWriter:
    """Writes a bag in a hidden folder beside its place and moves it there when it is complete.

    Use it in a ``with`` statement: leaving it normally publishes the bag, leaving it by an
    exception (a full disk, Ctrl-C) removes what was written. A killed process leaves at most a
    hidden folder ``.NAME.partial-*``.

    Args:
        path: The bag folder to create; parents are created, too.

    Raises:
        BagError: On entering, if something is there already or the place cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._folder: Path | None = None
        self._writer: Any = None
        self._connections: dict[tuple[str, str], Connection] = {}

    def __enter__(self) -> "BagWriter":
        if os.path.lexists(self.path):
            raise BagError(f"{self.path} exists already; name another bag or remove it")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(
                tempfile.mkdtemp(prefix=f".{self.path.name}.partial-", dir=self.path.parent)
            )
            self._writer = Writer(
                self._folder / self.path.name,
                version=METADATA_VERSION,
                storage_plugin=StoragePlugin.MCAP,
            )
            self._writer.open()
        except OSError as error:
            self._discard()
            raise self._failure(error) from error
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None:
                self._publish()
        except OSError as error:
            raise self._failure(error) from error
        finally:
            self._discard()

    def write_image(
        self, topic: str, pixels: Array, encoding: str, header: Header, record_ns: int
    ) -> None:
        """Writes an image.

        Args:
            topic: Where, for instance ``/fused/image``.
            pixels: As `image_message` takes them.
            encoding: One of `WRITTEN_ENCODINGS`.
            header: Stamp and frame.
            record_ns: Record time, nanoseconds since the epoch.

        Raises:
            ValueError: If pixels and encoding do not fit.
            BagError: If the disk is full or fails.
        """
        self.write_message(topic, image_message(pixels, encoding, header), record_ns)

    def write_message(self, topic: str, message: Any, record_ns: int) -> None:
        """Writes a message of a standard type.

        Args:
            topic: Where.
            message: A message of rosbags' standard types, such as `camera_info_message` makes.
            record_ns: Record time, nanoseconds since the epoch.

        Raises:
            BagError: If the disk is full or fails.
        """
        msgtype = message.__msgtype__
        data = typestore().serialize_cdr(message, msgtype)
        self._write(self._connection(topic, msgtype), record_ns, data)

    def write_raw(self, message: RawMessage) -> None:
        """Writes a message of another bag as it is.

        Args:
            message: From `Recording.messages`, of a standard type.

        Raises:
            BagError: If the disk is full or fails.
        """
        connection = self._connection(message.topic, message.msgtype)
        self._write(connection, message.record_ns, message.data)

    def _connection(self, topic: str, msgtype: str) -> Connection:
        connection = self._connections.get((topic, msgtype))
        if connection is None:
            connection = self._writer.add_connection(topic, msgtype, typestore=typestore())
            self._connections[topic, msgtype] = connection
        return connection

    def _write(self, connection: Connection, record_ns: int, data: bytes | memoryview) -> None:
        try:
            self._writer.write(connection, record_ns, data)
        except OSError as error:
            raise self._failure(error) from error

    def _publish(self) -> None:
        self._writer.close()
        bag = self._writer.path
        self._writer = None
        for file in bag.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        if os.path.lexists(self.path):
            raise BagError(f"{self.path} has appeared meanwhile; name another bag or remove it")
        bag.rename(self.path)

    def _discard(self) -> None:
        writer, self._writer = self._writer, None
        folder, self._folder = self._folder, None
        try:
            if writer is not None:
                writer.abort()
        except OSError:
            pass  # the disk is full: closing cannot flush, and what was written is removed anyway
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _failure(self, error: OSError) -> BagError:
        why = error.strerror or str(error)
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            why += "; free some space or name another place. Nothing was kept"
        return BagError(f"{self.path} cannot be written: {why}")


def _vector(values: Sequence[float], length: int, name: str) -> Array:
    vector = np.array(values, np.float64).reshape(-1)
    if len(vector) != length:
        raise ValueError(f"camera model: {name} should have {length} values, not {len(vector)}")
    return vector
