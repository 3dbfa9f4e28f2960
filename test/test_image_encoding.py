"""Image messages become arrays, or are refused with what is wrong with them."""

import array
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amg_fuse_ros.image_encoding import (
    LAYOUTS,
    THERMAL,
    ImageEncodingError,
    check_image,
    image_array,
    rgb_array,
    thermal_array,
)


@dataclass
class Message:
    """The fields of sensor_msgs/Image; a real one is used in test_bags and test/ros."""

    height: int
    width: int
    encoding: str
    step: int
    data: Any
    is_bigendian: int = 0


def message_of(pixels: np.ndarray, encoding: str, padding: int = 0) -> Message:
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return Message(height, width, encoding, rows.shape[1], rows.tobytes())


def some_pixels(encoding: str, height: int = 6, width: int = 8) -> np.ndarray:
    layout = LAYOUTS[encoding]
    shape = (height, width) if layout.channels == 1 else (height, width, layout.channels)
    return np.random.default_rng(7).integers(0, 256, shape).astype(layout.dtype)


@pytest.mark.parametrize("encoding", LAYOUTS)
@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_come_back_as_they_were_with_and_without_row_padding(encoding, padding):
    pixels = some_pixels(encoding)
    array_ = image_array(message_of(pixels, encoding, padding))
    assert array_.dtype == LAYOUTS[encoding].dtype
    np.testing.assert_array_equal(array_, pixels)


def test_the_data_of_an_rclpy_message_is_an_array_and_works_as_well():
    pixels = some_pixels("rgb8")
    message = message_of(pixels, "rgb8")
    message.data = array.array("B", message.data)
    np.testing.assert_array_equal(image_array(message), pixels)


def test_an_unpadded_image_is_a_view_not_a_copy():
    message = message_of(some_pixels("mono8"), "mono8")
    message.data = np.frombuffer(message.data, np.uint8)
    assert np.shares_memory(image_array(message), message.data)


def test_big_endian_counts_are_turned_into_this_machines_order():
    counts = np.array([[0x0102, 0xA0B0]], np.uint16)
    message = replace(message_of(counts.astype(">u2"), "16UC1"), is_bigendian=1)
    thermal = thermal_array(message)
    assert thermal.dtype == np.dtype(np.uint16)
    np.testing.assert_array_equal(thermal, counts)


@pytest.mark.parametrize(
    ("encoding", "pixel", "rgb"),
    [
        ("rgb8", [10, 20, 30], [10, 20, 30]),
        ("bgr8", [10, 20, 30], [30, 20, 10]),
        ("8UC3", [10, 20, 30], [30, 20, 10]),
        ("rgba8", [10, 20, 30, 255], [10, 20, 30]),
        ("bgra8", [10, 20, 30, 0], [30, 20, 10]),
        ("rgb16", [10 * 257, 20 * 257, 30 * 257], [10, 20, 30]),
    ],
)
def test_colours_keep_their_places(encoding, pixel, rgb):
    pixels = np.full((4, 4, len(pixel)), pixel, LAYOUTS[encoding].dtype)
    np.testing.assert_array_equal(rgb_array(message_of(pixels, encoding))[2, 2], rgb)


@pytest.mark.parametrize(("encoding", "grey"), [("mono8", 77), ("mono16", 77 * 257)])
def test_a_grey_visible_image_becomes_three_equal_channels(encoding, grey):
    pixels = np.full((4, 4), grey, LAYOUTS[encoding].dtype)
    rgb = rgb_array(message_of(pixels, encoding))
    assert rgb.shape == (4, 4, 3)
    assert rgb.dtype == np.uint8
    assert (rgb == 77).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_pattern_of_an_evenly_coloured_wall_gives_its_colour(pattern, bits):
    colour = {"r": 200, "g": 120, "b": 40}
    dtype = np.dtype(f"u{bits // 8}")
    tile = np.array([colour[c] for c in pattern]).reshape(2, 2)
    mosaic = np.tile(tile * (257 if bits == 16 else 1), (6, 6)).astype(dtype)
    rgb = rgb_array(message_of(mosaic, f"bayer_{pattern}{bits}"))
    np.testing.assert_allclose(rgb[4:8, 4:8].reshape(-1, 3), [[200, 120, 40]] * 16, atol=1)


@pytest.mark.parametrize(
    ("encoding", "two_pixels"),
    [
        ("yuv422", [90, 145, 240, 145]),
        ("uyvy", [90, 145, 240, 145]),
        ("yuyv", [145, 90, 145, 240]),
        ("yuv422_yuy2", [145, 90, 145, 240]),
    ],
)
def test_yuv_with_red_chroma_is_red(encoding, two_pixels):
    pixels = np.tile(np.array(two_pixels, np.uint8), (4, 3)).reshape(4, 6, 2)
    red, green, blue = rgb_array(message_of(pixels, encoding))[1, 1].astype(int)
    assert red > 250
    assert green < 110
    assert blue < 110


@pytest.mark.parametrize("encoding", sorted(set(LAYOUTS) - THERMAL))
def test_a_colour_camera_on_the_thermal_topic_is_refused_by_name(encoding):
    with pytest.raises(ImageEncodingError, match=rf"thermal.*not '{encoding}'"):
        thermal_array(message_of(some_pixels(encoding), encoding))


def test_depth_on_the_visible_topic_is_refused():
    with pytest.raises(ImageEncodingError, match="not 32FC1"):
        rgb_array(message_of(some_pixels("32FC1"), "32FC1"))


GOOD = message_of(np.zeros((4, 6, 3), np.uint8), "rgb8")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"encoding": "jpeg"}, r"encoding 'jpeg' .*supported are mono8"),
        ({"encoding": ""}, "encoding ''"),
        ({"height": 0}, "empty: 6x0"),
        ({"width": 0}, "empty: 0x4"),
        ({"step": 17}, "step is 17, but a row of 6 pixels rgb8 takes 18 bytes"),
        ({"data": bytes(71)}, "data holds 71 bytes, but step 18 x height 4 is 72"),
        ({"data": bytes(73)}, "data holds 73 bytes"),
        ({"data": b""}, "data holds 0 bytes"),
        ({"height": 2**32 - 1, "width": 2**32 - 1}, "is the message damaged"),
        ({"encoding": "rgba8"}, "takes 24 bytes"),
        ({"encoding": "yuyv", "width": 5}, "width 5 should be even"),
    ],
)
def test_fields_that_contradict_each_other_are_named(change, complaint):
    with pytest.raises(ImageEncodingError, match=complaint):
        check_image(replace(GOOD, **change))


@given(
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    encoding=st.one_of(st.sampled_from(sorted(LAYOUTS)), st.text(max_size=8)),
    is_bigendian=st.integers(0, 255),
    size=st.integers(0, 300),
)
def test_wild_fields_end_in_an_image_or_a_plain_error(**fields):
    size = fields.pop("size")
    message = Message(data=bytes(size), **fields)
    try:
        rgb = rgb_array(message)
    except ImageEncodingError:
        return
    assert rgb.shape == (message.height, message.width, 3)


@given(
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    padding=st.integers(0, 3),
    encoding=st.sampled_from(sorted(set(LAYOUTS) - {"32FC1"})),
)
def test_every_consistent_small_image_converts(width, height, padding, encoding):
    if LAYOUTS[encoding].channels == 2:
        width *= 2
    pixels = some_pixels(encoding, height, width)
    rgb = rgb_array(message_of(pixels, encoding, padding))
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
