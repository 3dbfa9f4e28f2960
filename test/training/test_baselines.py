import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from training.baselines import BASELINES, colorize, fuse_baseline, guided_filter

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())
RNG = np.random.default_rng(7)
THERMAL = RNG.integers(0, 256, (37, 50), dtype=np.uint8)
VISIBLE = RNG.integers(0, 256, (37, 50, 3), dtype=np.uint8)
LUMA = cv2.cvtColor(VISIBLE, cv2.COLOR_RGB2GRAY)
ANY_IMAGE = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40))


@pytest.mark.shared
@pytest.mark.parametrize("case", GOLDEN["programs"], ids=lambda case: case["id"])
def test_the_golden_fused_images_come_out_to_the_last_bit(case, shared_dir):
    thermal, visible, fused = (
        cv2.imread(str(shared_dir / "golden" / "metrics" / case[role]), cv2.IMREAD_UNCHANGED)
        for role in ("a", "b", "fused")
    )
    name = {"avg": "average", "lap": "laplacian", "max": "maximum"}[case["id"][-3:]]
    np.testing.assert_array_equal(fuse_baseline(name, thermal, visible), fused)


def test_the_average_rounds_halves_up():
    fused = fuse_baseline("average", np.array([[0, 10, 255]], np.uint8), np.uint8([[1, 13, 255]]))
    np.testing.assert_array_equal(fused, [[1, 12, 255]])


def test_colour_is_fused_by_its_luma():
    np.testing.assert_array_equal(
        fuse_baseline("maximum", THERMAL, VISIBLE), np.maximum(THERMAL, LUMA)
    )


def test_visible_and_thermal_alone_are_copies_of_that_camera():
    np.testing.assert_array_equal(fuse_baseline("visible", THERMAL, VISIBLE), LUMA)
    np.testing.assert_array_equal(fuse_baseline("thermal", THERMAL, VISIBLE), THERMAL)


@settings(max_examples=30, deadline=None)
@given(ANY_IMAGE, st.sampled_from(sorted(BASELINES)))
def test_two_equal_images_fuse_to_the_same_image_at_any_size(image, name):
    np.testing.assert_array_equal(fuse_baseline(name, image, image), image)


def test_the_laplacian_takes_each_detail_from_the_camera_that_has_it():
    y, x = np.mgrid[:64, :96]
    texture = np.where((x + y) % 2, 90, 110).astype(np.uint8)
    flat = np.full_like(texture, 100)
    thermal, visible = texture.copy(), texture.copy()
    thermal[:, 48:], visible[:, :48] = flat[:, 48:], flat[:, :48]
    fused = fuse_baseline("laplacian", thermal, visible)
    away_from_the_seam = np.abs(x - 48) > 3
    np.testing.assert_array_equal(fused[away_from_the_seam], texture[away_from_the_seam])


def test_the_guided_filter_takes_each_side_from_the_camera_that_has_detail_there():
    y, x = np.mgrid[:160, :240]
    texture = np.where((x // 2 + y // 2) % 2, 90, 110).astype(np.uint8)
    flat = np.full_like(texture, 100)
    thermal, visible = texture.copy(), texture.copy()
    thermal[:, 120:], visible[:, :120] = flat[:, 120:], flat[:, :120]
    fused = fuse_baseline("guided_filter", thermal, visible).astype(int)
    away_from_the_seam = np.abs(x - 120) > 12
    assert np.abs(fused - texture)[away_from_the_seam].max() <= 1
    average = fuse_baseline("average", thermal, visible).astype(int)
    assert np.abs(average - texture)[away_from_the_seam].min() >= 4


def test_the_guided_filters_weights_follow_an_edge_that_the_choice_between_cameras_misses():
    _, x = np.mgrid[:96, :128]
    dark_and_bright = np.where(x < 64, 40, 200).astype(np.uint8)
    rng = np.random.default_rng(3)
    thermal = np.clip(dark_and_bright + np.where(x < 64, rng.normal(0, 12, x.shape), 0), 0, 255)
    fused = fuse_baseline("guided_filter", thermal.astype(np.uint8), dark_and_bright)
    step = fused[:, 66:70].mean() - fused[:, 58:62].mean()
    assert step == pytest.approx(160, abs=6)  # no halo across the edge


@settings(max_examples=30, deadline=None)
@given(ANY_IMAGE, st.integers(0, 255))
def test_the_guided_filter_stays_near_the_range_of_its_inputs(image, level):
    flat = np.full_like(image, level)
    fused = guided_filter(image.astype(float), flat.astype(float))
    reach = np.ptp([image.min(), image.max(), level]) + 1e-6
    assert fused.min() >= min(image.min(), level) - reach
    assert fused.max() <= max(image.max(), level) + reach


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"average, maximum, laplacian, .* found 'wavelet'"):
        fuse_baseline("wavelet", THERMAL, VISIBLE)


def test_a_pair_of_two_sizes_is_refused():
    with pytest.raises(ValueError, match="thermal 50x36, visible 50x37"):
        fuse_baseline("average", THERMAL[:-1], VISIBLE)


def test_colouring_a_fused_image_keeps_its_luma_and_the_visible_hue():
    visible = np.full((8, 9, 3), (90, 120, 60), np.uint8)
    colored = colorize(np.full((8, 9), 150, np.uint8), visible)
    luma = cv2.cvtColor(colored, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(luma - 150).max() <= 1
    shift = colored.astype(int) - visible
    assert np.ptp(shift) <= 2
