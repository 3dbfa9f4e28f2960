"""What a ``sensor_msgs/Image`` holds, as numpy: checked once, for live topics and bags alike.

Works on any object with the message's fields, so rclpy's and rosbags' messages both fit. The
colour conversions are rosbags-image's; it relies on ``step``, ``data`` and ``encoding`` agreeing,
which is what is checked here first.
"""

import sys
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from rosbags.image import image as rosbags_image

Array = npt.NDArray[Any]

MAX_PIXELS = 1 << 27
"""Largest image accepted: 134 million pixels, several times any camera's."""


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/Image`` that describe its pixels."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class Layout(NamedTuple):
    """How the pixels of an encoding lie in memory."""

    dtype: np.dtype[Any]
    channels: int
    colour: str
    """Name of the encoding under which rosbags-image converts its colours."""


class ImageEncodingError(ValueError):
    """An image message whose fields contradict each other or that nothing here can read."""


def _layouts() -> dict[str, Layout]:
    u8, u16, f32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)
    layouts = {
        "mono8": Layout(u8, 1, "mono8"),
        "mono16": Layout(u16, 1, "mono16"),
        # OpenCV's generic names: one channel is grey, three are BGR by OpenCV's custom.
        "8UC1": Layout(u8, 1, "mono8"),
        "16UC1": Layout(u16, 1, "mono16"),
        "8UC3": Layout(u8, 3, "bgr8"),
        "32FC1": Layout(f32, 1, "32FC1"),
    }
    layouts |= {name: Layout(u8, 3, name) for name in ("rgb8", "bgr8")}
    layouts |= {name: Layout(u8, 4, name) for name in ("rgba8", "bgra8")}
    layouts |= {name: Layout(u16, 3, name) for name in ("rgb16", "bgr16")}
    layouts |= {name: Layout(u8, 2, name) for name in ("uyvy", "yuyv", "yuv422", "yuv422_yuy2")}
    for pattern in ("rggb", "bggr", "gbrg", "grbg"):
        layouts[f"bayer_{pattern}8"] = Layout(u8, 1, f"bayer_{pattern}8")
        layouts[f"bayer_{pattern}16"] = Layout(u16, 1, f"bayer_{pattern}16")
    return layouts


LAYOUTS = _layouts()
"""Every encoding that can be read, by its ROS name."""

GREY = frozenset(name for name, layout in LAYOUTS.items() if layout.colour in {"mono8", "mono16"})
"""Encodings of one intensity channel: what a thermal camera delivers."""

THERMAL = GREY | {"rgb8", "bgr8", "8UC3"}
"""Encodings accepted as thermal; the colour ones carry a grey picture in three equal channels."""


def check_image(message: ImageMessage) -> Layout:
    """Checks that encoding, size, step and data of an image message agree.

    Args:
        message: ``sensor_msgs/Image`` of rclpy or rosbags.

    Returns:
        Where the pixels lie in ``message.data``.

    Raises:
        ImageEncodingError: With what was expected and what was found.
    """
    layout = LAYOUTS.get(message.encoding)
    if layout is None:
        raise ImageEncodingError(
            f"encoding {message.encoding!r} cannot be read; supported are {', '.join(LAYOUTS)}"
        )
    height, width = message.height, message.width
    if height < 1 or width < 1:
        raise ImageEncodingError(f"the image is empty: {width}x{height} pixels")
    if height * width > MAX_PIXELS:
        raise ImageEncodingError(
            f"{width}x{height} pixels are more than the {MAX_PIXELS} accepted; "
            "is the message damaged?"
        )
    row = width * layout.channels * layout.dtype.itemsize
    if message.step < row:
        raise ImageEncodingError(
            f"step is {message.step}, but a row of {width} pixels {message.encoding} "
            f"takes {row} bytes"
        )
    size = memoryview(message.data).nbytes
    if size != message.step * height:
        raise ImageEncodingError(
            f"data holds {size} bytes, but step {message.step} x height {height} "
            f"is {message.step * height}"
        )
    if layout.channels == 2 and width % 2:
        raise ImageEncodingError(
            f"{message.encoding} stores two pixels together, so width {width} should be even"
        )
    return layout


def image_array(message: ImageMessage) -> Array:
    """The pixels as they were sent, without row padding and in this machine's byte order.

    Args:
        message: ``sensor_msgs/Image`` of rclpy or rosbags.

    Returns:
        HxW (one channel) or HxWxC, dtype of the encoding. A view of the message's data where
        neither padding nor byte order is in the way, read-only if that data is.

    Raises:
        ImageEncodingError: As `check_image`.
    """
    layout = check_image(message)
    row = message.width * layout.channels * layout.dtype.itemsize
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, :row]
    pixels = np.ascontiguousarray(rows).view(layout.dtype)
    if layout.dtype.itemsize > 1 and bool(message.is_bigendian) != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    if layout.channels > 1:
        return pixels.reshape(message.height, message.width, layout.channels)
    return pixels


def thermal_array(message: ImageMessage) -> Array:
    """A thermal image as the fusion takes it.

    Args:
        message: An image in one of the encodings `THERMAL`.

    Returns:
        HxW, uint8 or uint16; HxWx3 uint8 for a camera that sends grey as colour.

    Raises:
        ImageEncodingError: As `check_image`, or for an encoding that is not a thermal camera's.
    """
    if message.encoding in LAYOUTS and message.encoding not in THERMAL:
        raise ImageEncodingError(
            f"a thermal image should be one of {', '.join(sorted(THERMAL))}, "
            f"not {message.encoding!r}"
        )
    return image_array(message)


def rgb_array(message: ImageMessage) -> Array:
    """A visible image as the fusion takes it.

    Args:
        message: An image in any encoding of `LAYOUTS` except 32FC1; grey becomes three equal
            channels, 16 bits are scaled to 8, Bayer patterns are interpolated.

    Returns:
        HxWx3 uint8 in the order R, G, B.

    Raises:
        ImageEncodingError: As `check_image`, or for an encoding without brightness.
    """
    if message.encoding == "32FC1":
        raise ImageEncodingError("a visible image should hold colour or grey, not 32FC1")
    pixels = image_array(message)
    colour = LAYOUTS[message.encoding].colour
    return np.asarray(rosbags_image.convert_color(pixels, colour, "rgb8"))
