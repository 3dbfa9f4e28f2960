"""What a ``sensor_msgs/Image`` holds, as numpy: one check for live topics and for bags.

Works on any object with the message's fields, so rclpy's and rosbags' messages both fit. No
conversion library checks that encoding, sizes and data agree, and not each handles row padding and
byte order, so every message is checked and packed here, in front of them.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MAX_SIDE = 16384
"""Pixels: a wider or higher image is taken for a damaged message."""


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/Image`` that describe its pixels."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


Convert = Callable[[Any, str | None], Array]
"""A conversion library: (checked message, target encoding or None for as it is) -> pixels."""


def convert_with_rosbags(message: Any, encoding: str | None) -> Array:
    """Convert with ``rosbags-image``, which a machine with ``cv_bridge`` need not have."""
    from rosbags.image import message_to_cvimage

    return message_to_cvimage(message, encoding)


class ImageEncodingError(ValueError):
    """An image message whose fields contradict each other, or of an encoding not read here."""


@dataclass(frozen=True)
class Encoding:
    """How an encoding lies in memory and what a conversion library is asked to make of it.

    Attributes:
        name: What libraries call it; OpenCV's generic names (8UC3) go under what cameras mean.
        target: The encoding to convert to, None where the pixels are wanted as they are.
        channels: Samples per pixel in memory.
        sample_bytes: Bytes per sample.
        min_side: Demosaicing smaller images gives black.
        even_width: Two neighbours share their colour.
    """

    name: str
    target: str | None
    channels: int = 1
    sample_bytes: int = 1
    min_side: int = 1
    even_width: bool = False


_BAYER_ORDERS = ("rggb", "bggr", "gbrg", "grbg")

THERMAL_ENCODINGS: Mapping[str, Encoding] = {
    "mono8": Encoding("mono8", None),
    "8UC1": Encoding("mono8", None),
    "mono16": Encoding("mono16", None, sample_bytes=2),
    "16UC1": Encoding("mono16", None, sample_bytes=2),
    # Some drivers send grey in three equal channels.
    "rgb8": Encoding("rgb8", "mono8", 3),
    "bgr8": Encoding("bgr8", "mono8", 3),
    "8UC3": Encoding("bgr8", "mono8", 3),
}
"""What a thermal camera is read in."""

RGB_ENCODINGS: Mapping[str, Encoding] = {
    "rgb8": Encoding("rgb8", None, 3),
    "bgr8": Encoding("bgr8", "rgb8", 3),
    "8UC3": Encoding("bgr8", "rgb8", 3),
    "rgba8": Encoding("rgba8", "rgb8", 4),
    "bgra8": Encoding("bgra8", "rgb8", 4),
    "8UC4": Encoding("bgra8", "rgb8", 4),
    "mono8": Encoding("mono8", "rgb8"),
    "8UC1": Encoding("mono8", "rgb8"),
    "yuv422": Encoding("yuv422", "rgb8", 2, even_width=True),
    "uyvy": Encoding("yuv422", "rgb8", 2, even_width=True),
    "yuv422_yuy2": Encoding("yuv422_yuy2", "rgb8", 2, even_width=True),
    "yuyv": Encoding("yuv422_yuy2", "rgb8", 2, even_width=True),
    **{
        f"bayer_{order}8": Encoding(f"bayer_{order}8", "rgb8", min_side=3)
        for order in _BAYER_ORDERS
    },
    **{
        f"bayer_{order}16": Encoding(f"bayer_{order}16", "rgb16", sample_bytes=2, min_side=3)
        for order in _BAYER_ORDERS
    },
}
"""What a visible camera is read in."""

MASK_ENCODINGS: Mapping[str, Encoding] = {
    "32FC1": Encoding("32FC1", None, sample_bytes=4),
    "mono8": Encoding("mono8", None),
}
"""What a mask is published in."""


def thermal_array(message: ImageMessage, convert: Convert = convert_with_rosbags) -> Array:
    """The thermal image in a message.

    Args:
        message: In one of `THERMAL_ENCODINGS`; colour is turned to grey, which leaves three equal
            channels exact.
        convert: The library to convert with.

    Returns:
        HxW, uint8 or uint16, in this machine's byte order; may be a read-only view of the message.

    Raises:
        ImageEncodingError: For another encoding, or fields that contradict each other.
    """
    return _pixels(message, _encoding(message, THERMAL_ENCODINGS, "thermal camera"), convert)


def rgb_array(message: ImageMessage, convert: Convert = convert_with_rosbags) -> Array:
    """The visible image in a message.

    Args:
        message: In one of `RGB_ENCODINGS`; grey becomes three equal channels, alpha is dropped,
            Bayer patterns are interpolated, 16 bits are scaled from 0..65535 to 0..255.
        convert: The library to convert with.

    Returns:
        HxWx3 uint8 in the order R, G, B; may be a read-only view of the message.

    Raises:
        ImageEncodingError: For another encoding, or fields that contradict each other.
    """
    pixels = _pixels(message, _encoding(message, RGB_ENCODINGS, "visible camera"), convert)
    if pixels.dtype == np.uint16:
        # Done here because libraries differ: one rounds, the other truncates.
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / 65535))
    return pixels


def mask_array(message: ImageMessage, convert: Convert = convert_with_rosbags) -> Array:
    """The mask in a message: how much of each pixel comes from the visible camera.

    Args:
        message: In one of `MASK_ENCODINGS`.
        convert: The library to convert with.

    Returns:
        HxW, float32 (0..1 as it was sent) or uint8 (0..255); may be a read-only view of the
        message.

    Raises:
        ImageEncodingError: For another encoding, or fields that contradict each other.
    """
    return _pixels(message, _encoding(message, MASK_ENCODINGS, "mask"), convert)


def _encoding(message: ImageMessage, known: Mapping[str, Encoding], what: str) -> Encoding:
    if message.encoding not in known:
        raise ImageEncodingError(
            f"encoding {message.encoding!r} is not one a {what} is read in; "
            f"expected one of {', '.join(known)}"
        )
    return known[message.encoding]


def _pixels(message: ImageMessage, encoding: Encoding, convert: Convert) -> Array:
    _check_sizes(message, encoding)
    data = _packed(message, encoding)
    # Libraries read just these fields; a namespace over the data saves a copy into a message.
    dense = SimpleNamespace(
        height=message.height,
        width=message.width,
        encoding=encoding.name,
        is_bigendian=int(sys.byteorder == "big"),
        step=data.size // message.height,
        data=data,
    )
    try:
        return convert(dense, encoding.target)
    except Exception as error:  # each library has its own errors, and OpenCV's come through
        raise ImageEncodingError(
            f"a {message.width}x{message.height} image of encoding {message.encoding!r} "
            f"cannot be converted: {error}"
        ) from error


def _check_sizes(message: ImageMessage, encoding: Encoding) -> None:
    width, height, step = message.width, message.height, message.step
    what = f"a {width}x{height} image of encoding {message.encoding!r}"
    if not (encoding.min_side <= min(width, height) and max(width, height) <= MAX_SIDE):
        raise ImageEncodingError(
            f"{what} cannot be used: width and height should be {encoding.min_side} to {MAX_SIDE}"
        )
    if encoding.even_width and width % 2:
        raise ImageEncodingError(
            f"{what} cannot be used: two neighbours share their colour, the width should be even"
        )
    row = width * encoding.channels * encoding.sample_bytes
    if step < row:
        raise ImageEncodingError(f"{what} has rows of {row} bytes, but its step is {step}")
    size = memoryview(message.data).nbytes
    if size != step * height:
        raise ImageEncodingError(
            f"{what} with step {step} has {step * height} bytes, but its data holds {size}"
        )


def _packed(message: ImageMessage, encoding: Encoding) -> Array:
    """The message's bytes without row padding and in this machine's byte order."""
    data = np.frombuffer(message.data, np.uint8)
    row = message.width * encoding.channels * encoding.sample_bytes
    if message.step > row:
        data = np.ascontiguousarray(data.reshape(message.height, message.step)[:, :row]).reshape(-1)
    if encoding.sample_bytes > 1 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        data = data.view(f"u{encoding.sample_bytes}").byteswap().view(np.uint8)
    return data
