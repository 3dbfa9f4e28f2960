"""The gain control of a 16-bit thermal camera, frame after frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import smooth_image

from amg_fuse_ros.imaging.thermal import GainSettings, ThermalGain, to_unit_range

SHAPE = (60, 80)


def scene(low=8000, spread=1000, seed=0, noise_seed=None):
    counts = low + smooth_image(*SHAPE, seed=seed, top=spread, dtype=np.uint16).astype(int)
    if noise_seed is not None:
        counts = counts + np.random.default_rng(noise_seed).integers(-4, 5, SHAPE)
    return counts.clip(0, 65535).astype(np.uint16)


def with_hot_object(counts, level=20000):
    hot = counts.copy()
    hot[10:30, 20:50] = level
    return hot


def play(gain, frames):
    return [gain(frame) for frame in frames]


def mapping(gain):
    """Where the counts of a scene go: the window as a function of counts."""
    low, high = gain.window
    return np.clip((np.arange(7000, 21000) - low) / (high - low), 0, 1)


class TestPercentileGain:
    def test_starts_with_the_first_frames_own_window(self):
        np.testing.assert_array_equal(ThermalGain()(scene()), to_unit_range(scene()))

    def test_does_not_move_at_all_by_noise(self):
        gain = ThermalGain()
        windows = set()
        for seed in range(30):
            gain(scene(noise_seed=seed))
            windows.add(gain.window)
        assert len(windows) == 1

    def test_a_hot_object_that_comes_in_changes_the_picture_by_no_more_than_the_bound(self):
        gain = ThermalGain(GainSettings(adaptation=0.02))
        play(gain, [scene()] * 5)
        steps, before = [], mapping(gain)
        for _ in range(200):
            gain(with_hot_object(scene()))
            steps.append(np.abs(mapping(gain) - before).max())
            before = mapping(gain)
        assert max(steps) <= 0.02 / 0.96 + 1e-6
        assert max(steps) > 0

    def test_ends_up_showing_the_hot_object_and_returns_when_it_is_gone(self):
        gain = ThermalGain()
        play(gain, [scene()] * 3)
        hot = with_hot_object(scene())
        play(gain, [hot] * 600)
        assert abs(gain.window[1] - 20000) < 0.05 * 12000
        play(gain, [scene()] * 1200)
        alone = ThermalGain()
        alone(scene())
        assert gain.window == pytest.approx(alone.window, abs=0.03 * 1000)

    def test_waits_while_the_camera_shows_its_shutter(self):
        gain = ThermalGain()
        play(gain, [scene()] * 3)
        window = gain.window
        play(gain, [np.full(SHAPE, 8600, np.uint16)] * 20)
        assert gain.window == window

    def test_takes_a_scene_that_stays_flat_for_a_scene(self):
        gain = ThermalGain()
        play(gain, [scene()] * 3)
        play(gain, [np.full(SHAPE, 8600, np.uint16)] * 600)
        low, high = gain.window
        assert high - low < 200

    def test_begins_anew_where_nothing_of_the_window_is_left(self):
        gain = ThermalGain()
        play(gain, [scene()] * 3)
        np.testing.assert_array_equal(gain(scene(low=30000)), to_unit_range(scene(low=30000)))

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 60000), st.integers(0, 5000), st.integers(0, 3)),
            min_size=2,
            max_size=8,
        ),
        st.sampled_from([0.01, 0.1, 1.0]),
        st.sampled_from(["percentile", "equalize"]),
    )
    def test_any_sequence_stays_within_0_and_1(self, frames, adaptation, kind):
        gain = ThermalGain(GainSettings(gain=kind, adaptation=adaptation))
        for low, spread, seed in frames:
            unit = gain(scene(low, spread + 1, seed))
            assert unit.dtype == np.float32
            assert 0 <= unit.min() <= unit.max() <= 1


class TestEqualization:
    def test_spreads_the_temperatures_that_most_pixels_have(self):
        # nine tenths of the pixels lie in a tenth of the window
        rng = np.random.default_rng(0)
        counts = rng.integers(8000, 8300, SHAPE)
        counts[:6] = rng.integers(8000, 11000, (6, SHAPE[1]))
        counts = counts.astype(np.uint16)
        plain = to_unit_range(counts)[6:]
        equalized = to_unit_range(counts, GainSettings(gain="equalize"))[6:]
        assert np.ptp(equalized) > 1.5 * np.ptp(plain)

    def test_keeps_the_order_of_the_temperatures(self):
        counts = scene()
        unit = to_unit_range(counts, GainSettings(gain="equalize"))
        assert (np.diff(unit.ravel()[np.argsort(counts, axis=None)]) >= 0).all()

    def test_changes_slowly_when_a_hot_object_comes_in(self):
        gain = ThermalGain(GainSettings(gain="equalize", adaptation=0.02))
        play(gain, [scene()] * 5)
        before = gain(scene())
        for _ in range(100):
            after = gain(with_hot_object(scene()))
            still = np.ones(SHAPE, bool)
            still[10:30, 20:50] = False
            # the window's step, stretched at most three times, and the curve's own step
            assert np.abs(after - before)[still].max() <= 3 * 0.021 + 0.02
            before = after


class TestFixedRange:
    def test_maps_degrees_of_a_radiometric_camera(self):
        chosen = GainSettings(gain="range", range_low_c=0, range_high_c=40)
        celsius = np.array([[-20, 0, 10, 40, 90]])
        counts = np.rint((celsius + 273.15) * 100).astype(np.uint16)
        np.testing.assert_allclose(to_unit_range(counts, chosen), [[0, 0, 0.25, 1, 1]], atol=1e-3)

    def test_knows_other_steps_than_centikelvin(self):
        chosen = GainSettings(gain="range", range_low_c=0, range_high_c=40, counts_per_kelvin=25)
        counts = np.rint((np.array([[10.0]]) + 273.15) * 25).astype(np.uint16)
        assert to_unit_range(counts, chosen)[0, 0] == pytest.approx(0.25, abs=1e-3)

    def test_is_the_same_whatever_is_seen(self):
        gain = ThermalGain(GainSettings(gain="range", counts_per_kelvin=30))
        first = gain(scene())
        gain(with_hot_object(scene()))
        np.testing.assert_array_equal(gain(scene()), first)


class TestPolarity:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_black_hot_images_are_turned_over(self, dtype):
        counts = smooth_image(*SHAPE, top=200, dtype=dtype)
        white = to_unit_range(counts)
        black = to_unit_range(counts, GainSettings(polarity="black_hot"))
        np.testing.assert_allclose(black, 1 - white, atol=1e-6)


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"gain": "agc"},
            {"polarity": "hot"},
            {"low_percentile": 50.0, "high_percentile": 50.0},
            {"high_percentile": 101.0},
            {"range_low_c": 20.0, "range_high_c": 10.0},
            {"counts_per_kelvin": 0.0},
            {"adaptation": 0.0},
        ],
    )
    def test_that_make_no_sense_are_refused_by_name(self, wrong):
        with pytest.raises(ValueError, match=f"thermal.{next(iter(wrong))}"):
            GainSettings(**wrong)


@pytest.mark.shared
def test_real_16_bit_frames_fill_the_range(shared_dir):
    import cv2

    files = sorted((shared_dir / "data/thermal16").glob("*.png"))
    assert len(files) == 6
    for file in files:
        counts = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        for kind in ("percentile", "equalize"):
            unit = to_unit_range(counts, GainSettings(gain=kind))
            assert unit.std() > 0.1, (file.name, kind)
            assert (unit == 1).mean() < 0.02, (file.name, kind)
