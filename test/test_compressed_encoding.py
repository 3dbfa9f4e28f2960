"""Compressed messages become arrays, or are refused before they cost anything."""

import array
import struct
import tracemalloc
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.compressed_encoding import (
    compress,
    compressed_header,
    compressed_rgb_array,
    compressed_thermal_array,
)
from amg_fuse_ros.compressed_header import MAX_SCANS
from amg_fuse_ros.image_encoding import ImageEncodingError

COLOURS = np.zeros((24, 32, 3), np.uint8)
COLOURS[:, :16] = [220, 40, 10]
COLOURS[:, 16:] = [10, 60, 200]
COUNTS = np.random.default_rng(3).integers(0, 65536, (24, 32)).astype(np.uint16)


@dataclass
class Message:
    """The fields of sensor_msgs/CompressedImage; real ones are in test/bags and test/ros."""

    format: str
    data: Any


def coded(pixels, codec="png"):
    return cv2.imencode(f".{codec}", pixels)[1].tobytes()


def bgr(pixels):
    return np.ascontiguousarray(pixels[..., ::-1])


def with_size(png_or_jpeg, width, height):
    """The same file, its header claiming another size (with a good checksum)."""
    data = bytearray(png_or_jpeg)
    if data[0] == 0x89:
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("text", ["mono16; png compressed ", "16UC1; png compressed ", "png", ""])
def test_thermal_counts_in_png_stay_exact(text):
    thermal = compressed_thermal_array(Message(text, coded(COUNTS)))
    assert thermal.dtype == np.uint16
    np.testing.assert_array_equal(thermal, COUNTS)


@pytest.mark.parametrize("text", ["mono8; png compressed ", "8UC1; png compressed ", "png"])
def test_thermal_of_eight_bits_comes_back_as_it_was(text):
    grey = (COUNTS >> 8).astype(np.uint8)
    np.testing.assert_array_equal(compressed_thermal_array(Message(text, coded(grey))), grey)


@pytest.mark.parametrize("text", ["mono8; jpeg compressed mono8", "jpeg", "JPEG", "jpg"])
def test_a_grey_jpeg_is_a_thermal_image(text):
    grey = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (24, 1))
    thermal = compressed_thermal_array(Message(text, coded(grey, "jpg")))
    np.testing.assert_allclose(thermal.astype(int), grey, atol=6)


def test_grey_in_three_equal_channels_loses_nothing():
    grey = (COUNTS >> 8).astype(np.uint8)
    data = coded(np.dstack([grey] * 3))
    np.testing.assert_array_equal(
        compressed_thermal_array(Message("bgr8; png compressed bgr8", data)), grey
    )


@pytest.mark.parametrize(
    "text", ["rgb8; png compressed bgr8", "bgr8; png compressed bgr8", "png", "rgb8; png"]
)
def test_colours_come_back_as_red_green_blue(text):
    data = coded(bgr(COLOURS))
    np.testing.assert_array_equal(compressed_rgb_array(Message(text, data)), COLOURS)


@pytest.mark.parametrize("text", ["rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8"])
def test_jpeg_colours_are_close(text):
    rgb = compressed_rgb_array(Message(text, coded(bgr(COLOURS), "jpg")))
    assert np.abs(rgb[:, [4, 28]].astype(int) - COLOURS[:, [4, 28]]).max() < 8


def test_old_publishers_that_gave_the_codec_rgb_are_understood():
    message = Message("rgb8; png compressed rgb8", coded(COLOURS))
    np.testing.assert_array_equal(compressed_rgb_array(message), COLOURS)


def test_colours_of_sixteen_bits_are_scaled_to_eight():
    data = coded(bgr(COLOURS).astype(np.uint16) * 257)
    message = Message("rgb16; png compressed bgr16", data)
    np.testing.assert_array_equal(compressed_rgb_array(message), COLOURS)


def test_alpha_is_dropped():
    data = coded(np.dstack([bgr(COLOURS), np.full((24, 32), 9, np.uint8)]))
    message = Message("rgba8; png compressed bgr8", data)
    np.testing.assert_array_equal(compressed_rgb_array(message), COLOURS)


def test_grey_becomes_three_equal_channels():
    rgb = compressed_rgb_array(Message("mono8; png compressed ", coded(COLOURS[..., 0])))
    np.testing.assert_array_equal(rgb, np.dstack([COLOURS[..., 0]] * 3))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_bayer_pattern_in_png_is_interpolated(bits):
    tile = np.array([[200, 120], [120, 40]]) * (257 if bits == 16 else 1)
    data = coded(np.tile(tile, (6, 6)).astype(f"u{bits // 8}"))
    rgb = compressed_rgb_array(Message(f"bayer_rggb{bits}; png compressed ", data))
    np.testing.assert_allclose(rgb[4:8, 4:8].reshape(-1, 3), [[200, 120, 40]] * 16, atol=1)


def test_a_tag_for_upright_display_turns_no_image():
    jpeg = coded(bgr(COLOURS), "jpg")
    tiff = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    exif = b"Exif\x00\x00" + tiff
    tagged = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert compressed_rgb_array(Message("jpeg", tagged)).shape == COLOURS.shape


@pytest.mark.parametrize("data", [array.array, np.frombuffer, bytes, memoryview])
def test_data_may_be_what_any_ros_library_gives(data):
    png = coded(bgr(COLOURS))
    made = {array.array: lambda: array.array("B", png)}.get(
        data, lambda: np.frombuffer(png, np.uint8) if data is np.frombuffer else data(png)
    )
    np.testing.assert_array_equal(compressed_rgb_array(Message("png", made())), COLOURS)


@pytest.mark.parametrize("codec", ["jpg", "png"])
def test_the_header_tells_size_and_kind_without_decoding(codec):
    header = compressed_header(Message("", coded(bgr(COLOURS), codec)))
    assert (header.width, header.height, header.channels, header.bits) == (32, 24, 3, 8)


@pytest.mark.parametrize(
    ("size", "complaint"),
    [
        ((60000, 60000), "60000x60000 .*should be 1 to 16384"),
        ((16384, 16384), "16384x16384 .*no camera's size"),
        ((0, 480), "0x480 .*should be 1 to"),
    ],
)
@pytest.mark.parametrize("codec", ["jpg", "png"])
def test_a_small_file_that_claims_a_huge_image_costs_no_memory(codec, size, complaint):
    message = Message("", with_size(coded(bgr(COLOURS), codec), *size))
    tracemalloc.start()
    try:
        with pytest.raises(ImageEncodingError, match=complaint):
            compressed_rgb_array(message)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_endless_scans_is_not_begun():
    jpeg = coded(bgr(COLOURS), "jpg")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    with pytest.raises(ImageEncodingError, match=f"more than {MAX_SCANS} scans"):
        compressed_rgb_array(Message("jpeg", jpeg[:-2] + scan * MAX_SCANS + jpeg[-2:]))


@pytest.mark.parametrize("codec", ["jpg", "png"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.7, 0.97])
def test_a_cut_off_file_is_called_that(codec, part):
    data = coded(np.dstack([COUNTS.astype(np.uint8)] * 3), codec)
    message = Message("", data[: round(len(data) * part)])
    with pytest.raises(ImageEncodingError, match=r"cut off|neither JPEG nor PNG"):
        compressed_rgb_array(message)


def test_zeros_that_a_camera_pads_its_buffer_with_do_no_harm():
    padded = coded(bgr(COLOURS), "jpg") + bytes(500)
    assert compressed_rgb_array(Message("jpeg", padded)).shape == COLOURS.shape


@pytest.mark.parametrize(
    ("text", "data", "complaint"),
    [
        ("rgb8; jpeg compressed bgr8", b"", "empty.*set the publisher's format parameter to png"),
        ("jpeg", b"GIF89a......", "47 49 46 38 39 61 .*neither JPEG nor PNG"),
        ("jpeg", coded(COLOURS), "says jpeg, but the data is png"),
        ("png", coded(COLOURS, "jpg"), "says png, but the data is jpeg"),
        ("mono16; png compressed ", coded(COLOURS), "says 16 bits, but the PNG has 8"),
        ("mono8; png compressed ", coded(COUNTS), "says 8 bits, but the PNG has 16"),
        ("tiff", coded(COLOURS), "'tiff' is not read here; expected jpeg or png"),
        ("rgb8; webp compressed bgr8", coded(COLOURS), "not read here; expected jpeg or png"),
        ("16UC1; compressedDepth png", bytes(12) + coded(COUNTS), "not compressedDepth"),
        ("h264", b"\x00\x00\x00\x01\x67", "not read here"),
    ],
)
def test_what_does_not_fit_is_refused_with_words(text, data, complaint):
    for read in (compressed_rgb_array, compressed_thermal_array):
        with pytest.raises(ImageEncodingError, match=complaint):
            read(Message(text, data))


def test_counts_squeezed_into_jpeg_are_refused_with_the_remedy():
    grey = coded((COUNTS >> 8).astype(np.uint8), "jpg")
    with pytest.raises(ImageEncodingError, match=r"JPEG leaves 8 of .* parameter to png"):
        compressed_thermal_array(Message("mono16; jpeg compressed mono8", grey))


def test_a_thermal_png_on_the_visible_topic_is_noticed():
    with pytest.raises(ImageEncodingError, match="is this the thermal topic"):
        compressed_rgb_array(Message("mono16; png compressed ", coded(COUNTS)))


def test_sixteen_bits_in_colour_are_no_thermal_image():
    data = coded(np.dstack([COUNTS] * 3))
    with pytest.raises(ImageEncodingError, match="should have one channel, this PNG has 3"):
        compressed_thermal_array(Message("png", data))


def test_a_fused_image_is_sent_as_image_transport_would():
    sent = compress(COLOURS, "jpeg", quality=95)
    assert sent.format == "rgb8; jpeg compressed bgr8"
    assert np.abs(compressed_rgb_array(Message(*sent)).astype(int) - COLOURS)[:, 28].max() < 8
    assert len(compress(COLOURS, "jpeg", quality=20).data) < len(sent.data)


def test_a_mask_is_sent_as_grey_and_comes_back_within_one_step():
    mask = np.linspace(-0.1, 1.1, 24 * 32, dtype=np.float32).reshape(24, 32)
    sent = compress(mask, "png")
    assert sent.format == "mono8; png compressed "
    back = compressed_thermal_array(Message(*sent)) / 255
    np.testing.assert_allclose(back, mask.clip(0, 1), atol=0.51 / 255)


def test_counts_are_sent_whole():
    sent = compress(COUNTS, "png")
    assert sent.format == "mono16; png compressed "
    np.testing.assert_array_equal(compressed_thermal_array(Message(*sent)), COUNTS)


@pytest.mark.parametrize(
    ("pixels", "codec", "quality", "complaint"),
    [
        (COUNTS, "jpeg", 90, "JPEG has 8 bits"),
        (COLOURS, "webp", 90, "codec should be one of jpeg, png"),
        (COLOURS, "jpeg", 0, "quality should be 1 to 100"),
        (COLOURS.astype(float), "png", 90, "not float64"),
        (COLOURS[:0], "png", 90, "shape"),
        (COLOURS[..., :2], "png", 90, "shape"),
        (np.zeros((1, 70000), np.uint8), "jpeg", 90, "cannot be written as jpeg"),
    ],
)
def test_what_cannot_be_compressed_is_refused(pixels, codec, quality, complaint):
    with pytest.raises(ImageEncodingError, match=complaint):
        compress(pixels, codec, quality)


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_png_keeps_every_image_exact(seed, height, width, dtype):
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype)
    np.testing.assert_array_equal(
        compressed_thermal_array(Message(*compress(pixels, "png"))), pixels
    )
