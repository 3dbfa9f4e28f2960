"""Thermal images fill the network's range, and no more than their scene holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_pairs import smooth_image

from amg_fuse_ros.imaging.thermal import to_unit_range

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


def scene(seed=0):
    """Counts of a camera whose scene spans 3000 of its 65536 levels."""
    return 8000 + smooth_image(60, 80, seed=seed, top=3001, dtype=np.uint16)


def test_8_bit_images_are_divided_by_255_and_nothing_else():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    unit = to_unit_range(levels)
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, (levels / 255).astype(np.float32))


def test_16_bit_counts_are_stretched_over_the_whole_range():
    unit = to_unit_range(scene())
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    assert 0.4 < unit.mean() < 0.6


def test_the_ends_of_the_window_are_percentiles_of_the_frame():
    counts = scene()
    unit = to_unit_range(counts)
    low, high = np.percentile(counts, (0.5, 99.5))
    expected = ((counts - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(unit, expected, atol=2 / (high - low))  # of whole counts


def test_a_few_dead_or_glowing_pixels_do_not_squeeze_the_scene():
    counts = scene()
    spoilt = counts.copy()
    spoilt[5, :5], spoilt[9, :5] = 0, 65535
    rest = np.ones(counts.shape, bool)
    rest[[5, 9], :5] = False
    np.testing.assert_allclose(to_unit_range(spoilt)[rest], to_unit_range(counts)[rest], atol=0.02)


def test_a_camera_that_warms_up_gives_the_same_picture():
    np.testing.assert_allclose(to_unit_range(scene() + 500), to_unit_range(scene()), atol=1e-4)


@pytest.mark.parametrize("level", [0, 7500, 65535])
def test_a_scene_of_one_temperature_is_an_even_grey(level):
    unit = to_unit_range(np.full((20, 30), level, np.uint16))
    np.testing.assert_allclose(unit, 0.5, atol=1e-3)


def test_the_noise_of_a_flat_scene_stays_as_small_as_it_is():
    noise = np.random.default_rng(0).integers(-2, 3, (40, 50))
    unit = to_unit_range((7500 + noise).astype(np.uint16))
    assert 0 < np.ptp(unit) < 0.1


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), SHAPES))
def test_any_image_stays_within_0_and_1_and_keeps_the_order_of_its_pixels(thermal):
    unit = to_unit_range(thermal)
    assert unit.shape == thermal.shape
    assert unit.min() >= 0
    assert unit.max() <= 1
    assert (np.diff(unit.ravel()[np.argsort(thermal, axis=None)]) >= 0).all()
