"""Compressed messages of rclpy to arrays and back."""

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from amg_fuse_ros.ros.compressed_messages import (
    to_compressed_message,
    to_rgb_compressed,
    to_thermal_compressed,
)
from amg_fuse_ros.ros.image_messages import ImageMessageError

RGB = np.full((12, 16, 3), [200, 90, 20], np.uint8)


def sent(message):
    """The message as another process gets it."""
    return deserialize_message(serialize_message(message), CompressedImage)


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_a_fused_image_travels_compressed(codec):
    header = Header(frame_id="rgb_camera")
    message = sent(to_compressed_message(RGB, codec, header, 95))
    assert message.header.frame_id == "rgb_camera"
    assert message.format == f"rgb8; {codec} compressed bgr8"
    np.testing.assert_allclose(to_rgb_compressed(message).astype(int), RGB, atol=4)


def test_a_thermal_image_travels_compressed_and_keeps_its_counts():
    counts = np.arange(29000, 29192, dtype=np.uint16).reshape(12, 16)
    message = sent(to_compressed_message(counts, "png", Header()))
    np.testing.assert_array_equal(to_thermal_compressed(message), counts)


def test_a_bayer_pattern_is_interpolated_by_the_converter_that_is_here():
    mosaic = np.tile(np.array([[200, 90], [90, 20]], np.uint8), (6, 8))
    message = to_compressed_message(mosaic, "png", Header())
    message.format = "bayer_rggb8; png compressed "
    np.testing.assert_allclose(to_rgb_compressed(message)[5, 5], [200, 90, 20], atol=1)


def test_a_damaged_message_is_refused_as_any_other():
    message = to_compressed_message(RGB, "jpeg", Header())
    message.data = message.data[:100]
    with pytest.raises(ImageMessageError, match="cut off"):
        to_rgb_compressed(message)
