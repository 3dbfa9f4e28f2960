"""``sensor_msgs/Image`` to and from numpy arrays.

What a message may hold and how it is checked is told in `amg_fuse_ros.image_encoding`. Behind that
check the pixels are converted by ``cv_bridge`` where it is installed and works, else by
``rosbags-image``; `CONVERTER` says which.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amg_fuse_ros.image_encoding import ImageEncodingError, rgb_array, thermal_array

ImageMessageError = ImageEncodingError
"""The one error of this module: a message, or an array to become one, is not what it should be."""

_OUTPUTS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "rgb8": (("uint8",), 3),
    "bgr8": (("uint8",), 3),
    "32FC1": (("float32",), 1),
    "mono8": (("float32", "uint8"), 1),
}


class Converter(NamedTuple):
    """A library that turns image messages into arrays.

    ``convert(message, encoding)`` returns the pixels in ``encoding``, or unchanged for ``None``.
    """

    name: str
    convert: Callable[[Any, str | None], NDArray[Any]]


def load_converter(name: str) -> Converter:
    """Loads a conversion library and tries it on a small image.

    Args:
        name: ``"cv_bridge"`` or ``"rosbags-image"``.

    Raises:
        ValueError: There is no such converter.
        ImportError: It is not installed, is another package of the same name, or does not work
            with the NumPy or OpenCV that is installed.
    """
    if name not in _LOADERS:
        raise ValueError(f"No converter {name!r}; there are {', '.join(_LOADERS)}.")
    bgr = Image(height=1, width=2, encoding="bgr8", step=6, data=bytes(range(6)))
    try:
        converter = Converter(name, _LOADERS[name]())
        rgb = np.asarray(rgb_array(bgr, converter.convert))
    except Exception as error:  # a binary built for other libraries fails in many ways
        raise ImportError(f"{name} is not usable ({type(error).__name__}: {error})") from error
    if rgb.tolist() != [[[2, 1, 0], [5, 4, 3]]]:
        raise ImportError(f"{name} is not usable (it converts bgr8 to rgb8 wrongly)")
    return converter


def _load_cv_bridge() -> Callable[[Any, str | None], NDArray[Any]]:
    from cv_bridge import CvBridge

    bridge = CvBridge()
    return lambda message, encoding: bridge.imgmsg_to_cv2(message, encoding or "passthrough")


def _load_rosbags_image() -> Callable[[Any, str | None], NDArray[Any]]:
    from rosbags.image import message_to_cvimage

    return message_to_cvimage


_LOADERS = {"cv_bridge": _load_cv_bridge, "rosbags-image": _load_rosbags_image}


def _first_usable_converter() -> Converter:
    try:
        return load_converter("cv_bridge")
    except ImportError as error:
        no_cv_bridge = error
    try:
        return load_converter("rosbags-image")
    except ImportError as error:
        raise ImportError(
            f"No library to convert image messages: {no_cv_bridge}; {error}. Install the package"
            " ros-<distro>-cv-bridge, or rosbags-image with pip."
        ) from error


_CONVERTER = _first_usable_converter()

CONVERTER: str = _CONVERTER.name
"""The library that converts messages here: ``"cv_bridge"`` or ``"rosbags-image"``."""


def to_thermal(message: Image, *, converter: Converter = _CONVERTER) -> NDArray[Any]:
    """The thermal image in a message.

    Args:
        message: In one of `image_encoding.THERMAL_ENCODINGS`: mono8, 8UC1, mono16 and 16UC1 as they
            are; rgb8, bgr8 and 8UC3 (taken for bgr8) as grey, exact where the channels are equal.
        converter: The library to convert with.

    Returns:
        H x W, uint8 or uint16, in this machine's byte order. It may share the message's memory
        (and keeps that alive): read it only.

    Raises:
        ImageMessageError: The message is of another encoding, or its sizes contradict each other.
    """
    return thermal_array(message, converter.convert)


def to_rgb(message: Image, *, converter: Converter = _CONVERTER) -> NDArray[np.uint8]:
    """The colour image in a message.

    Args:
        message: In one of `image_encoding.RGB_ENCODINGS`.
        converter: The library to convert with.

    Returns:
        H x W x 3, uint8, RGB. It may share the message's memory (and keeps that alive): read it
        only.

    Raises:
        ImageMessageError: The message is of another encoding, or its sizes contradict each other.
    """
    return rgb_array(message, converter.convert)


def to_message(array: NDArray[Any], encoding: str, header: Header) -> Image:
    """An image message of a fused image or a mask.

    Args:
        array: For ``rgb8`` and ``bgr8`` the image as uint8, H x W x 3, RGB (``bgr8`` reorders it).
            For ``32FC1`` the mask as float32, H x W, 0..1. For ``mono8`` that mask, which becomes
            0..255 (rounded and clipped), or a uint8 H x W image as it is.
        encoding: The message's encoding.
        header: The message's header; shared, not copied.

    Raises:
        ImageMessageError: The encoding is another one, or the array doesn't fit it.
    """
    if encoding not in _OUTPUTS:
        raise ImageMessageError(
            f"Images are published as {', '.join(_OUTPUTS)}; encoding {encoding!r} is none of them."
        )
    dtypes, channels = _OUTPUTS[encoding]
    shape_fits = array.ndim == 2 if channels == 1 else array.ndim == 3 and array.shape[2] == 3
    if array.dtype.name not in dtypes or not shape_fits or array.size == 0:
        shape = "H x W" if channels == 1 else "H x W x 3"
        raise ImageMessageError(
            f"A message of encoding {encoding!r} needs a non-empty {' or '.join(dtypes)} array"
            f" of shape {shape}; got {array.dtype} of shape {array.shape}."
        )
    if encoding == "bgr8":
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    elif encoding == "mono8" and array.dtype != np.uint8:
        array = cv2.multiply(array, 255.0, dtype=cv2.CV_8U)
    message = Image(
        header=header,
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=array.nbytes // array.shape[0],
    )
    # One copy. Data given to the constructor are copied twice more, and an assigned ndarray is
    # walked through pixel by pixel (640x480x3: 0.03 ms here, 0.7 ms and 47 ms there).
    message.data.frombytes(array.reshape(-1).view(np.uint8).data)
    return message
