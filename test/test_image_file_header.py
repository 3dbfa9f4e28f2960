"""Image files are sized before they are decoded; what is too large or unknown is refused."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.bags.folders import IMAGE_SUFFIXES, read_rgb, read_thermal
from amg_fuse_ros.image_encoding import ImageEncodingError
from amg_fuse_ros.image_file_header import check_image_file

GREY = np.random.default_rng(4).integers(0, 256, (24, 32), np.uint8)
KINDS = sorted(IMAGE_SUFFIXES - {".jpeg", ".tif"})


def written(suffix, pixels=GREY, options=()):
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def with_size(suffix, width, height):
    """A file of this kind whose header claims another size."""
    data = bytearray(written(suffix))
    if suffix == ".bmp":
        struct.pack_into("<ii", data, 18, width, -height)
    elif suffix == ".tiff":
        (at,) = struct.unpack_from("<I", data, 4)
        for place in range(at + 2, len(data) - 11, 12):
            (tag,) = struct.unpack_from("<H", data, place)
            if tag in {256, 257}:
                side = width if tag == 256 else height
                struct.pack_into("<HII", data, place + 2, 4, 1, side)
    elif suffix == ".pgm":
        data[:12] = b"P5\n# a camera\n%d\n%d\n255\n" % (width, height)
    return bytes(data)


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_image_that_is_looked_for_can_be_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(written(suffix))
    assert read_thermal(path).shape == (24, 32)
    assert read_rgb(path).shape == (24, 32, 3)


@pytest.mark.parametrize("quality", [50, 101])
def test_webp_is_sized_whether_it_is_lossy_or_not(quality):
    pixels = np.dstack([GREY] * 3)
    check_image_file(written(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality]))


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".pgm"])
@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (16384, 16384), (10**9, 1)])
def test_a_size_that_is_no_cameras_is_refused_before_it_is_decoded(suffix, width, height):
    with pytest.raises(ImageEncodingError, match=f"{width}x{height} "):
        check_image_file(with_size(suffix, width, height))


@pytest.mark.parametrize("chunk", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_of_the_largest_size_is_refused(chunk):
    data = b"RIFF\x40\0\0\0WEBP" + chunk + b"\x10\0\0\0" + b"\xff" * 40
    with pytest.raises(
        ImageEncodingError, match=r"a 16383x16383 WebP|a 16384x16384 WebP|16777216x"
    ):
        check_image_file(data)


@pytest.mark.parametrize(
    "data",
    [
        *(b"#?RADIANCE\n", b"v/1\x01", b"GIF89a", b"PF\n3 3\n", b"II+\0", b"\0" * 100),
        *(b"BM", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"RIFF1234WEBPabcd", b"P5\n12", b"P5 9 9"),
    ],
)
def test_what_is_no_image_of_a_camera_does_not_reach_a_decoder(tmp_path, data):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.png is not an image"):
        read_rgb(path)


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match=r"has 1099511627776 bytes"):
        read_rgb(path)


@settings(deadline=None)
@given(
    start=st.sampled_from([b"BM", b"II*\0", b"MM\0*", b"RIFF1234WEBPVP8 ", b"P5 ", b""]),
    rest=st.binary(max_size=200),
)
def test_damaged_headers_end_in_the_plain_error_or_a_size_that_can_be_afforded(start, rest):
    try:
        check_image_file(start + rest)
    except ImageEncodingError:
        return
    # Within the limits, so decoding it costs little, whatever else is wrong.
    cv2.imdecode(np.frombuffer(start + rest, np.uint8), cv2.IMREAD_UNCHANGED)
