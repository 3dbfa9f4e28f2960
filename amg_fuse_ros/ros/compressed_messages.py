"""``sensor_msgs/CompressedImage`` to and from numpy arrays.

What a message may hold and how it is checked is told in `amg_fuse_ros.compressed_encoding`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from amg_fuse_ros.compressed_encoding import (
    compress,
    compressed_rgb_array,
    compressed_thermal_array,
)
from amg_fuse_ros.ros.image_messages import CONVERTER, Converter, load_converter

_CONVERTER = load_converter(CONVERTER)


def to_thermal_compressed(message: CompressedImage) -> NDArray[Any]:
    """The thermal image in a compressed message.

    Args:
        message: Grey JPEG or PNG of 8 bits, or PNG of 16 bits.

    Returns:
        H x W, uint8 or uint16.

    Raises:
        ImageMessageError: It is another format, damaged, too large, or not what it says.
    """
    return compressed_thermal_array(message)


def to_rgb_compressed(
    message: CompressedImage, *, converter: Converter = _CONVERTER
) -> NDArray[np.uint8]:
    """The colour image in a compressed message.

    Args:
        message: JPEG or PNG; in PNG also a Bayer pattern.
        converter: The library that interpolates Bayer patterns.

    Returns:
        H x W x 3, uint8, RGB.

    Raises:
        ImageMessageError: It is another format, damaged, too large, or not what it says.
    """
    return compressed_rgb_array(message, converter.convert)


def to_compressed_message(
    array: NDArray[Any], format: str, header: Header, quality: int = 90
) -> CompressedImage:
    """A compressed message of a fused image or a mask.

    Args:
        array: The image as uint8, H x W x 3, RGB; or the mask as float32, H x W, 0..1, which
            becomes 0..255 (rounded and clipped); or H x W uint8, or uint16 (png only).
        format: ``"jpeg"`` or ``"png"``.
        header: The message's header; shared, not copied.
        quality: Of JPEG, 1 to 100.

    Raises:
        ImageMessageError: The array doesn't fit, or the format is another one.
    """
    compressed = compress(array, format, quality)
    message = CompressedImage(header=header, format=compressed.format)
    message.data.frombytes(compressed.data)
    return message
