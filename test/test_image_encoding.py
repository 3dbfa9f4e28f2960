"""Image messages become arrays, or are refused with what is wrong with them."""

import array
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.image_encoding import (
    RGB_ENCODINGS,
    THERMAL_ENCODINGS,
    ImageEncodingError,
    rgb_array,
    thermal_array,
)

ENCODINGS = {**THERMAL_ENCODINGS, **RGB_ENCODINGS}
NATIVE = ["mono8", "8UC1", "mono16", "16UC1"]


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
    known = ENCODINGS[encoding]
    shape = (height, width) if known.channels == 1 else (height, width, known.channels)
    dtype = np.dtype(f"u{known.sample_bytes}")
    return np.random.default_rng(7).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("encoding", NATIVE)
@pytest.mark.parametrize("padding", [0, 5])
def test_thermal_counts_come_back_as_they_were_sent(encoding, padding):
    pixels = some_pixels(encoding)
    thermal = thermal_array(message_of(pixels, encoding, padding))
    assert thermal.dtype == pixels.dtype
    np.testing.assert_array_equal(thermal, pixels)


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_row_padding_is_no_part_of_the_picture(padding):
    pixels = some_pixels("rgb8")
    np.testing.assert_array_equal(rgb_array(message_of(pixels, "rgb8", padding)), pixels)


def test_the_data_of_an_rclpy_message_is_an_array_and_works_as_well():
    pixels = some_pixels("rgb8")
    message = message_of(pixels, "rgb8")
    message.data = array.array("B", message.data)
    np.testing.assert_array_equal(rgb_array(message), pixels)


def test_an_image_that_needs_no_conversion_is_a_view_not_a_copy():
    message = message_of(some_pixels("rgb8"), "rgb8")
    message.data = np.frombuffer(message.data, np.uint8)
    assert np.shares_memory(rgb_array(message), message.data)


def test_big_endian_counts_are_turned_into_this_machines_order():
    counts = np.array([[0x0102, 0xA0B0]], np.uint16)
    message = replace(message_of(counts.astype(">u2"), "16UC1"), is_bigendian=1)
    thermal = thermal_array(message)
    assert thermal.dtype == np.dtype(np.uint16)
    np.testing.assert_array_equal(thermal, counts)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "8UC3"])
def test_a_thermal_camera_that_sends_grey_as_colour_loses_nothing(encoding):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    thermal = thermal_array(message_of(np.dstack([grey] * 3), encoding))
    np.testing.assert_array_equal(thermal, grey)


@pytest.mark.parametrize(
    ("encoding", "pixel", "rgb"),
    [
        ("rgb8", [10, 20, 30], [10, 20, 30]),
        ("bgr8", [10, 20, 30], [30, 20, 10]),
        ("8UC3", [10, 20, 30], [30, 20, 10]),
        ("rgba8", [10, 20, 30, 255], [10, 20, 30]),
        ("bgra8", [10, 20, 30, 0], [30, 20, 10]),
        ("8UC4", [10, 20, 30, 9], [30, 20, 10]),
    ],
)
def test_colours_keep_their_places(encoding, pixel, rgb):
    pixels = np.full((4, 4, len(pixel)), pixel, np.uint8)
    np.testing.assert_array_equal(rgb_array(message_of(pixels, encoding))[2, 2], rgb)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_a_grey_visible_image_becomes_three_equal_channels(encoding):
    rgb = rgb_array(message_of(np.full((4, 4), 77, np.uint8), encoding))
    assert rgb.shape == (4, 4, 3)
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


@pytest.mark.parametrize("encoding", sorted(set(RGB_ENCODINGS) - set(THERMAL_ENCODINGS)))
def test_a_colour_camera_on_the_thermal_topic_is_refused_by_name(encoding):
    with pytest.raises(ImageEncodingError, match=rf"'{encoding}' is not one a thermal camera"):
        thermal_array(message_of(some_pixels(encoding), encoding))


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1", "jpeg", ""])
def test_what_is_no_visible_image_is_refused_with_what_would_be(encoding):
    message = Message(4, 6, encoding, 24, bytes(96))
    with pytest.raises(ImageEncodingError, match=rf"'{encoding}' is not .*expected one of rgb8"):
        rgb_array(message)


GOOD = message_of(np.zeros((4, 6, 3), np.uint8), "rgb8")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"height": 0}, "6x0 .*height should be 1 to"),
        ({"width": 0}, "0x4 "),
        ({"step": 17}, "rows of 18 bytes, but its step is 17"),
        ({"data": bytes(71)}, "step 18 has 72 bytes, but its data holds 71"),
        ({"data": bytes(73)}, "data holds 73"),
        ({"data": b""}, "data holds 0"),
        ({"height": 2**32 - 1, "width": 2**32 - 1}, "should be 1 to 16384"),
        ({"encoding": "rgba8"}, "rows of 24 bytes"),
        ({"encoding": "yuyv", "width": 5}, "width should be even"),
        ({"encoding": "bayer_rggb8", "width": 2}, "should be 3 to"),
    ],
)
def test_fields_that_contradict_each_other_are_named(change, complaint):
    with pytest.raises(ImageEncodingError, match=complaint):
        rgb_array(replace(GOOD, **change))


@settings(deadline=None)
@given(
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    encoding=st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=8)),
    is_bigendian=st.integers(0, 255),
    size=st.integers(0, 300),
)
def test_wild_fields_end_in_an_image_or_a_plain_error(**fields):
    size = fields.pop("size")
    message = Message(data=bytes(size), **fields)
    for read in (thermal_array, rgb_array):
        try:
            pixels = read(message)
        except ImageEncodingError:
            continue
        assert pixels.shape[:2] == (message.height, message.width)


@settings(deadline=None)
@given(
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    padding=st.integers(0, 3),
    encoding=st.sampled_from(sorted(RGB_ENCODINGS)),
)
def test_every_consistent_small_image_converts(width, height, padding, encoding):
    known = RGB_ENCODINGS[encoding]
    width = max(width, known.min_side) * (2 if known.even_width else 1)
    height = max(height, known.min_side)
    rgb = rgb_array(message_of(some_pixels(encoding, height, width), encoding, padding))
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
