"""Image messages become arrays and arrays become messages, with either conversion library."""

import contextlib
import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amg_fuse_ros.image_encoding import MAX_SIDE
from amg_fuse_ros.ros import image_messages
from amg_fuse_ros.ros.image_messages import (
    Converter,
    ImageMessageError,
    load_converter,
    to_message,
    to_rgb,
    to_thermal,
)

BAYER_ORDERS = ("rggb", "bggr", "gbrg", "grbg")
CHANNELS_OF_RGB = {
    **{"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "8UC4": 4, "mono8": 1, "8UC1": 1},
    **{"yuv422": 2, "uyvy": 2, "yuv422_yuy2": 2, "yuyv": 2},
    **{f"bayer_{order}{bits}": 1 for order in BAYER_ORDERS for bits in (8, 16)},
}
CHANNELS_OF_THERMAL = {
    **{"mono8": 1, "8UC1": 1, "mono16": 1, "16UC1": 1},
    **{"rgb8": 3, "bgr8": 3, "8UC3": 3},
}


def usable_converters() -> list[Converter]:
    found = []
    for name in ("cv_bridge", "rosbags-image"):
        with contextlib.suppress(ImportError):
            found.append(load_converter(name))
    return found


CONVERTERS = usable_converters()


@pytest.fixture(scope="module", params=CONVERTERS, ids=lambda found: found.name)
def converter(request):
    return request.param


def message_of(
    samples: np.ndarray, encoding: str, *, padding: int = 0, big_endian: bool = False
) -> Image:
    """A message over rows of samples (H x W or H x W x C), each row followed by padding bytes."""
    samples = samples.astype(samples.dtype.newbyteorder(">" if big_endian else "<"))
    rows = [row.tobytes() + b"\xa5" * padding for row in samples]
    message = Image(
        height=samples.shape[0],
        width=samples.shape[1],
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=len(rows[0]),
    )
    message.data.frombytes(b"".join(rows))
    return message


def random_image(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def bayer_mosaic(rgb: np.ndarray, order: str) -> np.ndarray:
    """What a sensor behind a colour filter sees: ``order`` names the top left 2 x 2 pixels."""
    mosaic = np.empty(rgb.shape[:2], rgb.dtype)
    for position, colour in enumerate(order):
        row, column = divmod(position, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(colour)]
    return mosaic


# to_thermal


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_16_bit_thermal_keeps_every_count(converter, encoding, big_endian, padding):
    counts = random_image(5, 7, dtype=np.uint16)
    message = message_of(counts, encoding, padding=padding, big_endian=big_endian)
    thermal = to_thermal(message, converter=converter)
    assert thermal.dtype == np.uint16
    assert thermal.dtype.isnative
    np.testing.assert_array_equal(thermal, counts)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_8_bit_thermal_comes_as_it_is(converter, encoding, padding):
    grey = random_image(5, 7)
    thermal = to_thermal(message_of(grey, encoding, padding=padding), converter=converter)
    assert thermal.dtype == np.uint8
    np.testing.assert_array_equal(thermal, grey)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "8UC3"])
def test_a_thermal_image_in_three_equal_channels_comes_back_exactly(converter, encoding):
    grey = random_image(5, 7)
    message = message_of(np.dstack([grey] * 3), encoding, padding=1)
    np.testing.assert_array_equal(to_thermal(message, converter=converter), grey)


@pytest.mark.parametrize(("encoding", "order"), [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0])])
def test_a_coloured_thermal_image_becomes_its_luma(converter, encoding, order):
    rgb = random_image(5, 7, 3)
    thermal = to_thermal(message_of(rgb[..., order], encoding), converter=converter)
    assert thermal.shape == (5, 7)
    np.testing.assert_allclose(thermal, rgb @ [0.299, 0.587, 0.114], atol=1)


# to_rgb


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [
        ("rgb8", [0, 1, 2]),
        ("bgr8", [2, 1, 0]),
        ("8UC3", [2, 1, 0]),
        ("rgba8", [0, 1, 2, 3]),
        ("bgra8", [2, 1, 0, 3]),
        ("8UC4", [2, 1, 0, 3]),
        ("mono8", [0]),
        ("8UC1", [0]),
    ],
)
def test_channels_are_put_in_the_order_red_green_blue(converter, encoding, channels, padding):
    rgba = random_image(5, 7, 4)
    samples = rgba[..., channels]
    expected = rgba[..., :3] if len(channels) > 1 else np.dstack([samples] * 3)
    rgb = to_rgb(message_of(samples, encoding, padding=padding), converter=converter)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize(
    ("encoding", "luma_first"),
    [("yuv422", False), ("uyvy", False), ("yuv422_yuy2", True), ("yuyv", True)],
)
def test_yuv_is_decoded_as_bt_601_in_either_byte_order(converter, encoding, luma_first):
    random = np.random.default_rng(3)
    y = random.integers(16, 236, (6, 8))
    u, v = (random.integers(16, 241, (6, 4)) for _ in range(2))
    chroma = np.stack([u, v], axis=-1).reshape(6, 8)  # U of even columns, V of odd ones
    samples = np.stack([y, chroma] if luma_first else [chroma, y], axis=-1).astype(np.uint8)
    rgb = to_rgb(message_of(samples, encoding, padding=2), converter=converter)
    luma = 255 / 219 * (y - 16.0)
    blue_difference, red_difference = (
        255 / 112 * (np.repeat(difference, 2, axis=1) - 128.0) for difference in (u, v)
    )
    expected = np.stack(
        [
            luma + 0.701 * red_difference,
            luma - 0.886 * 0.114 / 0.587 * blue_difference - 0.701 * 0.299 / 0.587 * red_difference,
            luma + 0.886 * blue_difference,
        ],
        axis=-1,
    )
    np.testing.assert_allclose(rgb, expected.clip(0, 255), atol=1)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_a_bayer_pattern_is_read_in_the_order_its_name_says(converter, order, padding):
    rgb = np.full((8, 10, 3), (200, 100, 50), np.uint8)
    message = message_of(bayer_mosaic(rgb, order), f"bayer_{order}8", padding=padding)
    np.testing.assert_array_equal(to_rgb(message, converter=converter), rgb)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_16_bit_bayer_is_scaled_to_8_bits(converter, order, big_endian):
    counts = np.full((8, 10, 3), (65535, 200 * 257, 128), np.uint16)
    message = message_of(bayer_mosaic(counts, order), f"bayer_{order}16", big_endian=big_endian)
    rgb = to_rgb(message, converter=converter)
    assert rgb.dtype == np.uint8
    assert (rgb == (255, 200, 0)).all()


@pytest.mark.skipif(
    len(CONVERTERS) < 2, reason=f"{image_messages.CONVERTER} is the only usable converter here"
)
def test_both_converters_give_the_same_colours():
    for encoding, channels in CHANNELS_OF_RGB.items():
        dtype = np.uint16 if encoding.endswith("16") else np.uint8
        message = message_of(random_image(12, 16, channels, dtype=dtype), encoding)
        first, second = (to_rgb(message, converter=found) for found in CONVERTERS)
        np.testing.assert_array_equal(first, second, err_msg=encoding)


# Both


@pytest.mark.parametrize(
    ("read", "encoding", "channels"),
    [
        *((to_thermal, *item) for item in CHANNELS_OF_THERMAL.items()),
        *((to_rgb, *item) for item in CHANNELS_OF_RGB.items()),
    ],
)
def test_the_array_outlives_the_message(converter, read, encoding, channels):
    dtype = np.uint16 if "16" in encoding else np.uint8
    message = message_of(random_image(6, 8, channels, dtype=dtype), encoding)
    pixels = read(message, converter=converter)
    before = pixels.copy()
    del message
    gc.collect()
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("read", "encoding"), [(to_thermal, "32FC1"), (to_thermal, "bayer_rggb8"), (to_rgb, "16UC1")]
)
def test_another_encoding_is_named_beside_those_expected(converter, read, encoding):
    message = message_of(random_image(4, 4), encoding)
    with pytest.raises(ImageMessageError, match=rf"'{encoding}'.*expected one of .*\bmono8\b"):
        read(message, converter=converter)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": b""}, r"24 bytes, .* 0$"),
        ({"data": bytes(23)}, r"24 bytes, .* 23$"),
        ({"data": bytes(25)}, r"24 bytes, .* 25$"),
        ({"step": 11}, r"12 bytes, .* step is 11$"),
        ({"step": 0}, r"12 bytes, .* step is 0$"),
        ({"step": 13}, r"step 13 has 26 bytes, .* 24$"),
        ({"width": 0}, r"0x2 image.*1 to 16384"),
        ({"height": 0, "data": b""}, r"4x0 image.*1 to 16384"),
        ({"width": MAX_SIDE + 1}, r"16385x2 image.*1 to 16384"),
        ({"height": 2**32 - 1}, r"4x4294967295 image.*1 to 16384"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused_with_both_numbers(converter, changes, said):
    fields = {"width": 4, "height": 2, "step": 12, "encoding": "rgb8", "data": bytes(24)}
    message = Image(**(fields | changes))
    for read in (to_rgb, to_thermal):
        with pytest.raises(ImageMessageError, match=said):
            read(message, converter=converter)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_yuv_of_odd_width_is_refused(converter, encoding):
    with pytest.raises(ImageMessageError, match="width should be even"):
        to_rgb(message_of(random_image(4, 5, 2), encoding), converter=converter)


@pytest.mark.parametrize("shape", [(2, 8), (8, 2)])
def test_bayer_too_small_to_demosaic_is_refused(converter, shape):
    with pytest.raises(ImageMessageError, match="3 to 16384"):
        to_rgb(message_of(random_image(*shape), "bayer_rggb8"), converter=converter)


@settings(deadline=None)
@given(
    encoding=st.sampled_from((*CHANNELS_OF_RGB, "mono16", "16UC1", "32FC1", "", "rgb8 ")),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    excess=st.sampled_from([0, 0, 0, 0, -1, 1]),
    is_bigendian=st.sampled_from([0, 1, 255]),
)
def test_any_message_is_read_or_refused_and_nothing_else(
    converter, encoding, width, height, step, excess, is_bigendian
):
    message = Image(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=is_bigendian,
        data=bytes(max(0, step * height + excess)),
    )
    for read, shape in ((to_thermal, (height, width)), (to_rgb, (height, width, 3))):
        with contextlib.suppress(ImageMessageError):
            assert read(message, converter=converter).shape == shape


# to_message


def sent(message: Image) -> Image:
    """The message as the other side of a topic gets it."""
    return deserialize_message(serialize_message(message), Image)


@settings(deadline=None)
@given(rgb=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_published_image_is_read_back_unchanged(converter, encoding, rgb):
    message = sent(to_message(rgb, encoding, Header()))
    assert (message.encoding, message.step) == (encoding, 3 * rgb.shape[1])
    np.testing.assert_array_equal(to_rgb(message, converter=converter), rgb)


def test_bgr8_carries_blue_first():
    rgb = np.full((1, 1, 3), (1, 2, 3), np.uint8)
    assert list(to_message(rgb, "bgr8", Header()).data) == [3, 2, 1]


def test_the_message_bears_the_header_it_is_given():
    header = Header(stamp=Time(sec=5, nanosec=6), frame_id="rgb_camera")
    message = to_message(np.zeros((2, 3, 3), np.uint8), "rgb8", header)
    assert sent(message).header == header


def test_a_32fc1_mask_keeps_its_values():
    mask = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    message = sent(to_message(mask, "32FC1", Header()))
    assert (message.height, message.width, message.step) == (3, 4, 16)
    assert message.is_bigendian == (sys.byteorder == "big")
    np.testing.assert_array_equal(np.frombuffer(message.data, np.float32).reshape(3, 4), mask)


def test_a_mono8_mask_is_rounded_to_0_to_255_and_clipped():
    mask = np.array([[0, 0.501 / 255, 0.25, 1], [-0.1, 1.1, 0.499 / 255, 254.6 / 255]], np.float32)
    message = sent(to_message(mask, "mono8", Header()))
    assert (message.height, message.width, message.step) == (2, 4, 4)
    assert list(message.data) == [0, 1, 64, 255, 0, 255, 0, 255]


def test_an_8_bit_image_is_published_as_mono8_unchanged(converter):
    grey = random_image(5, 7)
    message = to_message(grey, "mono8", Header())
    np.testing.assert_array_equal(to_thermal(message, converter=converter), grey)


@pytest.mark.parametrize("part", [np.s_[::2, ::-2], np.s_[4:5:2], np.s_[:, 3:9]])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_part_of_a_larger_array_is_published_densely(converter, encoding, part):
    rgb = random_image(10, 14, 3)[part]
    message = to_message(rgb, encoding, Header())
    np.testing.assert_array_equal(to_rgb(message, converter=converter), rgb)


@pytest.mark.parametrize(
    ("array", "encoding", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), "rgb8", r"uint8 array.*got float32"),
        (np.zeros((4, 4), np.uint8), "rgb8", r"H x W x 3; got uint8 of shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), "bgr8", r"H x W x 3; got uint8 of shape \(4, 4, 4\)"),
        (np.zeros((4, 4), np.float64), "32FC1", r"float32 array.*got float64"),
        (np.zeros((4, 4, 1), np.float32), "32FC1", r"H x W; got float32 of shape \(4, 4, 1\)"),
        (np.zeros((0, 4), np.uint8), "mono8", r"non-empty float32 or uint8"),
        (np.zeros((4, 4), np.uint16), "mono16", r"rgb8, bgr8, 32FC1, mono8; encoding 'mono16'"),
    ],
)
def test_an_array_that_does_not_fit_its_encoding_is_refused(array, encoding, said):
    with pytest.raises(ImageMessageError, match=said):
        to_message(array, encoding, Header())


# The choice of a library


def test_cv_bridge_is_preferred_where_it_works():
    assert CONVERTERS[0].name == image_messages.CONVERTER


@pytest.mark.skipif(CONVERTERS[-1].name != "rosbags-image", reason="rosbags-image is not installed")
@pytest.mark.parametrize(
    "other_package",
    [
        "",
        "class CvBridge: pass",
        "raise RuntimeError('compiled for another NumPy')",
        "import numpy as np\n"
        "class CvBridge:\n"
        "    def imgmsg_to_cv2(self, *_): return np.zeros((1, 2, 3), np.uint8)",
    ],
    ids=["another package", "another class", "fails on import", "converts wrongly"],
)
def test_rosbags_image_is_taken_where_cv_bridge_is_something_else(tmp_path, other_package):
    (tmp_path / "cv_bridge.py").write_text(other_package)
    chosen = subprocess.run(
        [
            sys.executable,
            "-c",
            "from amg_fuse_ros.ros import image_messages; print(image_messages.CONVERTER)",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert chosen.stdout.strip() == "rosbags-image"


def test_an_unknown_converter_is_refused():
    with pytest.raises(ValueError, match="there are cv_bridge, rosbags-image"):
        load_converter("imageio")
