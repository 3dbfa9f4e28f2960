"""Arrays are checked once, in front of everything, and refused in words that say what came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from amg_fuse_ros.imaging.arrays import MAX_SIDE, as_rgb, as_thermal

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COUNTS = GREY.astype(np.uint16) * 1000
COLOR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)

ANY_ARRAY = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.float32, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@pytest.mark.parametrize("thermal", [GREY, COUNTS], ids=["8-bit", "16-bit"])
def test_thermal_images_come_out_as_h_w_with_their_bits(thermal):
    for given_as in (thermal, thermal[..., None], np.repeat(thermal[..., None], 3, axis=2)):
        found = as_thermal(given_as)
        assert found.dtype == thermal.dtype
        np.testing.assert_array_equal(found, thermal)


def test_rgb_images_come_out_as_they_are_and_grey_ones_repeated():
    np.testing.assert_array_equal(as_rgb(COLOR), COLOR)
    repeated = np.stack([GREY, GREY, GREY], axis=-1)
    np.testing.assert_array_equal(as_rgb(GREY), repeated)
    np.testing.assert_array_equal(as_rgb(GREY[..., None]), repeated)


def test_views_of_any_layout_are_taken():
    bgr = np.ascontiguousarray(COLOR[..., ::-1])
    np.testing.assert_array_equal(as_rgb(bgr[..., ::-1]), COLOR)
    np.testing.assert_array_equal(as_thermal(COUNTS[::-1, ::2]), COUNTS[::-1, ::2].copy())


REFUSED_BY_BOTH = [
    ([[1, 2]], "expected a numpy array, found list"),
    (None, "expected a numpy array, found NoneType"),
    (GREY / 255, "found float64"),
    (np.full((3, 4), np.nan, np.float32), "found float32 with NaN"),
    (GREY.astype(np.int16), "found int16"),
    (GREY > 3, "found bool"),
    (GREY.astype(object), "found object"),
    (np.zeros((0, 4), np.uint8), r"found an empty array \(0, 4\)"),
    (np.zeros((3, 4, 0), np.uint8), r"found an empty array \(3, 4, 0\)"),
    (GREY[0], r"expected two or three dimensions, found \(4,\)"),
    (np.uint8(3) * np.ones((), np.uint8), "found"),
    (COLOR[None], r"expected two or three dimensions, found \(1, 3, 4, 3\)"),
    (np.dstack([COLOR, GREY]), r"found.* \(3, 4, 4\)"),
    (COLOR[..., :2], r"found.* \(3, 4, 2\)"),
    (np.zeros((1, MAX_SIDE + 1), np.uint8), r"sides up to 16384, found \(1, 16385\)"),
]


@pytest.mark.parametrize(("array", "words"), REFUSED_BY_BOTH)
def test_other_arrays_are_refused_with_what_was_found(array, words):
    with pytest.raises(ValueError, match=f"^thermal image: .*{words}"):
        as_thermal(array)
    with pytest.raises(ValueError, match=f"^RGB image: .*{words}"):
        as_rgb(array)


def test_a_thermal_image_in_false_colours_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"three different channels; publish the .* grey image"):
        as_thermal(COLOR)


def test_a_16_bit_rgb_image_is_refused():
    with pytest.raises(ValueError, match="RGB image: expected uint8, found uint16"):
        as_rgb(COLOR.astype(np.uint16))


def taken_or_refused(check, array):
    try:
        return check(array)
    except ValueError as error:
        return str(error)


@given(ANY_ARRAY)
def test_any_array_is_either_taken_or_refused_as_a_value(array):
    thermal, rgb = taken_or_refused(as_thermal, array), taken_or_refused(as_rgb, array)
    for found, shape in ((thermal, array.shape[:2]), (rgb, (*array.shape[:2], 3))):
        if isinstance(found, str):
            assert "found" in found
        else:
            assert found.dtype == array.dtype
            assert found.shape == shape
            assert found.flags.c_contiguous
