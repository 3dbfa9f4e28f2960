"""Pictures for people."""

import numpy as np
import pytest
from small_pairs import smooth_image

from amg_fuse_ros.imaging.visualize import color_mask, mask_to_bytes, overlay_mask, side_by_side


def test_a_mask_becomes_grey_levels_by_rounding():
    mask = np.array([[0, 0.5, 1], [0.0019, 0.002, 0.998]], np.float32)
    np.testing.assert_array_equal(mask_to_bytes(mask), [[0, 128, 255], [0, 1, 254]])


def test_a_mask_beyond_its_range_is_clipped_rather_than_wrapped():
    np.testing.assert_array_equal(mask_to_bytes(np.array([[-0.1, 1.1]], np.float32)), [[0, 255]])


def test_the_thermal_cameras_share_is_red_and_the_visible_ones_blue():
    red, _, blue = color_mask(np.full((2, 3), 0.1, np.float32))[0, 0].astype(int)
    assert red > blue + 100
    red, _, blue = color_mask(np.full((2, 3), 0.9, np.float32))[0, 0].astype(int)
    assert blue > red + 100


def test_an_overlay_mixes_the_picture_and_the_masks_colours():
    image, mask = smooth_image(12, 16, 3), smooth_image(12, 16).astype(np.float32) / 255
    np.testing.assert_array_equal(overlay_mask(image, mask, 0), image)
    np.testing.assert_array_equal(overlay_mask(image, mask, 1), color_mask(mask))
    half = overlay_mask(image, mask, 0.5).astype(float)
    np.testing.assert_allclose(half, (image.astype(float) + color_mask(mask)) / 2, atol=1)


def test_panels_stand_in_a_row_at_the_height_of_the_first_with_room_for_captions():
    rgb, thermal = smooth_image(40, 60, 3), smooth_image(20, 25)
    picture = side_by_side({"RGB": rgb, "thermal": thermal})
    caption = picture.shape[0] - 40
    assert picture.shape == (40 + caption, 60 + 50, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[caption:, :60], rgb)
    assert caption > 10
    assert picture[:caption, :60].max() > 200


@pytest.mark.parametrize(
    "panel",
    [
        np.array([[0, 255]], np.uint8),
        np.array([[7000, 9000]], np.uint16),
        np.array([[0, 1]], np.float32),
    ],
    ids=["8-bit thermal", "16-bit thermal", "mask"],
)
def test_thermal_images_and_masks_are_shown_in_grey_from_black_to_white(panel):
    panel = np.kron(panel, np.ones((40, 40), panel.dtype))
    shown = side_by_side({"panel": panel})[-40:]
    np.testing.assert_array_equal(shown[:, :40], 0)
    np.testing.assert_array_equal(shown[:, 40:], 255)
