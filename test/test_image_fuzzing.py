"""Whatever an image message holds ends in an image of the size it says, or in one plain error.

``AMG_FUZZ_CASES=10000 pytest test/test_image_fuzzing.py`` tries that many cases in all; without it
a few hundred run.
"""

import array
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from amg_fuse_ros.compressed_encoding import (
    compressed_header,
    compressed_rgb_array,
    compressed_thermal_array,
)
from amg_fuse_ros.image_encoding import (
    MAX_SIDE,
    RGB_ENCODINGS,
    THERMAL_ENCODINGS,
    ImageEncodingError,
    rgb_array,
    thermal_array,
)

CASES = int(os.environ.get("AMG_FUZZ_CASES", "400"))
ENCODINGS = {**THERMAL_ENCODINGS, **RGB_ENCODINGS}
OTHER_ENCODINGS = ["", "32FC1", "64FC1", "16SC1", "nv12", "rgb16", "bayer_rggb", "MONO8", "\0", "é"]


def cases(share: float) -> Any:
    wanted = max(1, round(CASES * share))
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=wanted, deadline=None, suppress_health_check=slow)


@dataclass
class RawMessage:
    """The fields of sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


@dataclass
class CompressedMessage:
    """The fields of sensor_msgs/CompressedImage."""

    format: str
    data: Any


def fits(message: RawMessage, known: Any) -> bool:
    """Whether the fields agree, from the message's definition rather than from the code."""
    encoding = known.get(message.encoding)
    if encoding is None:
        return False
    smallest = 3 if encoding.name.startswith("bayer") else 1
    row = message.width * encoding.channels * encoding.sample_bytes
    return (
        smallest <= message.width <= MAX_SIDE
        and smallest <= message.height <= MAX_SIDE
        and not (encoding.name.startswith("yuv") and message.width % 2)
        and message.step >= row
        and len(message.data) == message.step * message.height
    )


SIDES = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 2, 3, 2**16, 2**31, 2**32 - 1]))
CONTAINERS = st.sampled_from(
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, "u1")]
)


@st.composite
def raw_messages(draw: Any, known_encodings: Any) -> RawMessage:
    """Consistent messages, and ones in which a few fields are off by a little or by far."""
    others = st.sampled_from([*ENCODINGS, *OTHER_ENCODINGS])
    encoding = draw(st.one_of(st.sampled_from([*known_encodings]), others))
    known = ENCODINGS.get(encoding)
    row_bytes = known.channels * known.sample_bytes if known else draw(st.integers(1, 8))
    width, height = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    step = width * row_bytes + draw(st.sampled_from([0, 0, 0, 1, 2, 7, 64]))
    size = step * height
    fields = st.lists(st.sampled_from(["width", "height", "step", "size"]), max_size=2)
    for field in draw(st.one_of(st.just([]), fields)):
        if field == "width":
            width = draw(SIDES)
        elif field == "height":
            height = draw(SIDES)
        elif field == "step":
            step = draw(st.one_of(SIDES, st.just(max(0, step - 1)), st.just(step + 1)))
        else:
            size = draw(st.one_of(st.integers(0, 20_000), st.just(max(0, size - 1))))
    seed, wrap = draw(st.integers(0, 255)), draw(CONTAINERS)
    data = np.random.default_rng(seed).bytes(size)
    return RawMessage(height, width, encoding, draw(st.integers(0, 255)), step, wrap(data))


def samples(message: RawMessage, dtype: str, channels: int) -> np.ndarray:
    """The message's samples, read one by one by its definition."""
    order = ">" if message.is_bigendian else "<"
    data, size = bytes(message.data), np.dtype(dtype).itemsize
    rows = [
        np.frombuffer(data, order + dtype, message.width * channels, row * message.step)
        for row in range(message.height)
    ]
    assert size * message.width * channels <= message.step
    return np.array(rows).reshape(message.height, message.width, channels)


@cases(0.3)
@given(message=raw_messages(THERMAL_ENCODINGS))
def test_a_raw_thermal_image_is_read_if_and_only_if_its_fields_agree(message):
    try:
        thermal = thermal_array(message)
    except ImageEncodingError as error:
        note(str(error))
        event("refused")
        assert not fits(message, THERMAL_ENCODINGS)
        return
    event("read")
    assert fits(message, THERMAL_ENCODINGS)
    known = THERMAL_ENCODINGS[message.encoding]
    assert thermal.shape == (message.height, message.width)
    assert thermal.dtype == f"u{known.sample_bytes}"
    if known.channels == 1:
        expected = samples(message, f"u{known.sample_bytes}", 1)[..., 0]
        np.testing.assert_array_equal(thermal, expected)


@cases(0.3)
@given(message=raw_messages(RGB_ENCODINGS))
def test_a_raw_visible_image_is_read_if_and_only_if_its_fields_agree(message):
    try:
        rgb = rgb_array(message)
    except ImageEncodingError as error:
        note(str(error))
        event("refused")
        assert not fits(message, RGB_ENCODINGS)
        return
    event("read")
    assert fits(message, RGB_ENCODINGS)
    assert rgb.shape == (message.height, message.width, 3)
    assert rgb.dtype == np.uint8
    name = RGB_ENCODINGS[message.encoding].name
    if name in {"rgb8", "bgr8", "rgba8", "bgra8"}:
        colours = samples(message, "u1", len(name) - 1)[..., :3]
        np.testing.assert_array_equal(
            rgb, colours if name.startswith("rgb") else colours[..., ::-1]
        )


FORMATS = [
    *("", "jpeg", "png", "jpg", "JPEG", "tiff", "webp", "h264", ";", "; jpeg", "jpeg; png"),
    *("rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8", "rgb8; png compressed rgb8"),
    *("mono8; png compressed ", "mono16; png compressed ", "16UC1; png compressed "),
    *(
        "mono16; jpeg compressed mono8",
        "mono8; jpeg compressed mono8",
        "rgba8; png compressed bgr8",
    ),
    *("bayer_rggb8; png compressed ", "bayer_gbrg16; png compressed ", "bayer_x9; png compressed "),
    *("rgb16; png compressed bgr16", "32FC1; png compressed ", "16UC1; compressedDepth png"),
]


@st.composite
def files(draw: Any) -> bytes:
    """JPEG and PNG files of all kinds that OpenCV writes."""
    shape = draw(st.sampled_from([(), (3,), (4,)]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), *shape)
    noise = np.random.default_rng(draw(st.integers(0, 255)))
    if draw(st.booleans()):
        shape = shape[:2] if shape[2:] == (4,) else shape
        options = [cv2.IMWRITE_JPEG_QUALITY, draw(st.integers(1, 100))]
        options += [cv2.IMWRITE_JPEG_PROGRESSIVE, draw(st.integers(0, 1))]
        options += [cv2.IMWRITE_JPEG_RST_INTERVAL, draw(st.sampled_from([0, 0, 1, 5]))]
        return cv2.imencode(".jpg", noise.integers(0, 256, shape).astype(np.uint8), options)[
            1
        ].tobytes()
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    pixels = noise.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    return cv2.imencode(".png", pixels)[1].tobytes()


@st.composite
def damaged(draw: Any) -> bytes:
    """Files with bytes changed, removed, doubled or added, and PNG checksums made right again."""
    data = bytearray(draw(files()))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.one_of(st.integers(0, min(64, len(data))), st.integers(0, len(data))))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 1000]))
        how = draw(st.sampled_from(["change", "remove", "double", "add", "cut"]))
        if how == "change":
            data[at : at + length] = draw(st.binary(min_size=1, max_size=4))
        elif how == "remove":
            del data[at : at + length]
        elif how == "double":
            data[at:at] = data[at : at + length]
        elif how == "add":
            data[at:at] = draw(st.binary(max_size=16))
        elif draw(st.booleans()):
            del data[at:]
    if data.startswith(b"\x89PNG") and draw(st.booleans()):
        data = with_good_checksums(data)
    return bytes(data)


def with_good_checksums(png: bytearray) -> bytearray:
    at = 8
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 8 + length
        if end + 4 > len(png):
            break
        struct.pack_into(">I", png, end, zlib.crc32(png[at + 4 : end]))
        at = end + 4
    return png


def check_compressed(message: CompressedMessage) -> int:
    read = 0
    for decode, colours in ((compressed_thermal_array, ()), (compressed_rgb_array, (3,))):
        try:
            pixels = decode(message)
        except ImageEncodingError as error:
            note(str(error))
            continue
        header = compressed_header(message)
        assert pixels.shape == (header.height, header.width, *colours)
        assert pixels.dtype in ((np.uint8,) if colours else (np.uint8, np.uint16))
        read += 1
    event(f"read by {read} of 2")
    return read


@cases(0.3)
@given(data=damaged(), text=st.sampled_from(FORMATS), wrap=CONTAINERS)
def test_a_damaged_compressed_image_keeps_its_size_or_is_refused(data, text, wrap):
    check_compressed(CompressedMessage(text, wrap(data)))


@cases(0.05)
@given(data=files())
def test_every_whole_file_is_read(data):
    # Sixteen bits are grey for the thermal camera or colour for the visible one, not both.
    expected = 1 if data.startswith(b"\x89PNG") and data[24] == 16 else 2
    assert check_compressed(CompressedMessage("", data)) == expected


@cases(0.05)
@given(
    data=st.builds(
        lambda magic, rest: magic + rest,
        st.sampled_from(
            [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\x00\x11\x08"]
        ),
        st.binary(max_size=400),
    ),
    text=st.one_of(st.sampled_from(FORMATS), st.text(max_size=30)),
)
def test_bytes_that_were_never_an_image_end_in_the_plain_error(data, text):
    check_compressed(CompressedMessage(text, data))
