import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import degradations as d
from training.data.contact_sheet import main as contact_sheet

VISIBLE = {"rain": d.rain, "snow": d.snow, "haze": d.haze, "low_light": d.low_light}
THERMAL = {
    "contrast": d.thermal_contrast,
    "blur": d.thermal_blur,
    "stripes": d.thermal_stripes,
    "halo": d.thermal_halo,
    "noise": d.thermal_noise,
}
ALWAYS = {
    "weather": 1.0,
    "second_weather": 1.0,
    "low_light": 1.0,
    "visible_noise": 1.0,
    "thermal_attenuation": 1.0,
    "thermal_contrast": 1.0,
    "thermal_blur": 1.0,
    "thermal_stripes": 1.0,
    "thermal_halo": 1.0,
    "thermal_noise": 1.0,
}


def scene(seed=0, height=168, width=168):
    """A smooth scene with edges: bright enough for every degradation to show."""
    rng = np.random.default_rng(seed)
    visible = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), (0, 0), 4)
    visible = np.clip((visible - 0.5) * 3 + 0.4, 0.05, 0.95)
    cv2.rectangle(
        visible, (width // 4, height // 4), (width // 2, height // 2), (0.2, 0.3, 0.6), -1
    )
    thermal = cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), 6) * 0.5
    cv2.circle(thermal, (width // 2, height // 2), max(2, width // 10), 0.9, -1)
    return visible, thermal


def change(function, image, severity, seeds=range(8)):
    """Mean absolute change over several draws."""
    return np.mean(
        [np.abs(function(image, severity, np.random.default_rng(s)) - image).mean() for s in seeds]
    )


class TestDegrade:
    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**32 - 1), st.booleans())
    def test_any_size_and_seed_gives_a_finite_pair_in_range(self, height, width, seed, everything):
        rng = np.random.default_rng(seed)
        visible = rng.random((height, width, 3), np.float32)
        thermal = rng.random((height, width), np.float32)
        chosen = d.DegradationSettings(clean=0.0, **ALWAYS) if everything else None
        degraded = d.degrade(visible, thermal, rng, chosen)
        for clean, image in ((visible, degraded.visible), (thermal, degraded.thermal)):
            assert image.shape == clean.shape
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert image.min() >= 0
            assert image.max() <= 1

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_flat_images_give_no_nan(self, value):
        chosen = d.DegradationSettings(clean=0.0, **ALWAYS)
        for seed in range(10):
            degraded = d.degrade(
                np.full((64, 64, 3), value, np.float32),
                np.full((64, 64), value, np.float32),
                np.random.default_rng(seed),
                chosen,
            )
            assert np.isfinite(degraded.visible).all()
            assert np.isfinite(degraded.thermal).all()

    @pytest.mark.parametrize("seed", range(12))
    def test_equal_generators_give_equal_pairs(self, seed):
        first = d.degrade(*scene(), np.random.default_rng(seed))
        second = d.degrade(*scene(), np.random.default_rng(seed))
        assert first.names == second.names
        np.testing.assert_array_equal(first.visible, second.visible)
        np.testing.assert_array_equal(first.thermal, second.thermal)

    def test_successive_draws_differ(self):
        rng = np.random.default_rng(0)
        chosen = d.DegradationSettings(clean=0.0, weather=1.0)
        first, second = (d.degrade(*scene(), rng, chosen).visible for _ in range(2))
        assert np.abs(first - second).mean() > 0.01

    def test_the_clean_pair_is_left_as_it_was(self):
        visible, thermal = scene()
        before = visible.copy(), thermal.copy()
        d.degrade(visible, thermal, np.random.default_rng(1), d.DegradationSettings(0.0, **ALWAYS))
        np.testing.assert_array_equal(visible, before[0])
        np.testing.assert_array_equal(thermal, before[1])

    def test_some_pairs_pass_through_untouched(self):
        visible, thermal = scene()
        degraded = d.degrade(
            visible, thermal, np.random.default_rng(0), d.DegradationSettings(clean=1.0)
        )
        assert degraded.names == ()
        np.testing.assert_array_equal(degraded.visible, visible)
        np.testing.assert_array_equal(degraded.thermal, thermal)

    def test_a_pair_without_names_is_a_clean_pair(self):
        visible, thermal = scene()
        nothing = d.DegradationSettings(clean=0.0, **dict.fromkeys(ALWAYS, 0.0))
        degraded = d.degrade(visible, thermal, np.random.default_rng(0), nothing)
        assert degraded.names == ()
        np.testing.assert_array_equal(degraded.visible, visible)

    def test_every_degradation_occurs_by_default(self):
        seen = set()
        for seed in range(120):
            seen |= set(d.degrade(*scene(0, 48, 48), np.random.default_rng(seed)).names)
        assert seen == {"rain", "snow", "haze"} | set(ALWAYS) - {"weather", "second_weather"}

    def test_only_the_weather_that_has_a_weight_occurs(self):
        chosen = d.DegradationSettings(
            clean=0.0, weather=1.0, second_weather=1.0, weather_weights={"snow": 1.0, "rain": 0.0}
        )
        for seed in range(10):
            names = d.degrade(*scene(0, 48, 48), np.random.default_rng(seed), chosen).names
            assert names.count("snow") == 1
            assert not {"rain", "haze"} & set(names)

    def test_degraded_images_have_the_levels_of_an_eight_bit_camera(self):
        degraded = d.degrade(
            *scene(), np.random.default_rng(0), d.DegradationSettings(clean=0.0, **ALWAYS)
        )
        levels = degraded.thermal * 255
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)

    def test_a_dark_scene_is_not_darkened_further(self):
        visible, thermal = scene()
        chosen = d.DegradationSettings(clean=0.0, **ALWAYS)
        names = d.degrade(visible * 0.1, thermal, np.random.default_rng(0), chosen).names
        assert "low_light" not in names

    def test_shapes_that_are_no_pair_are_named(self):
        with pytest.raises(ValueError, match=r"\(8, 8, 3\) and \(8, 9\)"):
            d.degrade(
                np.zeros((8, 8, 3), np.float32),
                np.zeros((8, 9), np.float32),
                np.random.default_rng(0),
            )

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"severity": (0.5, 0.2)}, r"\(0.5, 0.2\)"),
            ({"severity": (0.0, 1.5)}, "within 0 to 1"),
            ({"weather_weights": {"hail": 1.0}}, "hail"),
            ({"weather_weights": {"rain": 0.0}}, "positive weight"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, bad, message):
        with pytest.raises(ValueError, match=message):
            d.DegradationSettings(**bad)


class TestSeverity:
    @pytest.mark.parametrize("name", VISIBLE)
    def test_visible_degradations_grow_with_it(self, name):
        visible, _ = scene()
        mild, middle, strong = (change(VISIBLE[name], visible, s) for s in (0.0, 0.5, 1.0))
        assert mild < middle < strong
        assert mild < 0.06
        assert strong > 0.04

    @pytest.mark.parametrize("name", THERMAL)
    def test_thermal_degradations_grow_with_it(self, name):
        _, thermal = scene()
        mild, middle, strong = (change(THERMAL[name], thermal, s) for s in (0.0, 0.5, 1.0))
        assert mild < middle < strong
        assert mild < 0.01


class TestPseudoDepth:
    def test_the_road_comes_nearer_row_by_row(self):
        for seed in range(10):
            depth = d.pseudo_depth(scene(0, 480, 640)[0], np.random.default_rng(seed))
            assert depth[-20:].mean() < 0.35
            assert depth[330:].mean() < depth[:150].mean()

    def test_a_crop_is_near_or_far_as_parts_of_a_scene_are(self):
        means = [
            d.pseudo_depth(scene()[0], np.random.default_rng(seed)).mean() for seed in range(60)
        ]
        assert min(means) < 0.35
        assert max(means) > 0.65


class TestHaze:
    def test_what_is_far_loses_its_contrast_and_what_is_near_keeps_it(self):
        visible, _ = scene()
        depth = np.repeat(np.linspace(1, 0, 168, dtype=np.float32)[:, None], 168, 1)
        for seed in range(10):
            hazy = d.haze(visible, 1.0, np.random.default_rng(seed), depth)
            for channel in range(3):
                seen, there = hazy[..., channel], visible[..., channel]
                assert seen[:20].std() < 0.15 * there[:20].std()
                assert seen[-5:].std() > 0.4 * there[-5:].std()

    def test_it_brightens_a_dark_scene_towards_a_grey_light(self):
        dark = np.full((64, 64, 3), 0.05, np.float32)
        hazy = d.haze(dark, 1.0, np.random.default_rng(0), np.ones((64, 64), np.float32))
        assert hazy.mean() > 0.5
        assert np.ptp(hazy.mean((0, 1))) < 0.1


class TestRain:
    def test_streaks_are_long_and_narrow(self):
        dark = np.full((168, 168, 3), 0.15, np.float32)
        for seed in range(8):
            wet = d.rain(dark, 0.8, np.random.default_rng(seed), np.ones((168, 168), np.float32))
            wet = wet.mean(2)
            across = np.abs(np.diff(wet, axis=1)).mean()
            along = np.abs(np.diff(wet, axis=0)).mean()
            assert across > 1.5 * along


class TestSnow:
    def test_flakes_are_many_and_of_all_sizes(self):
        dark = np.full((336, 336, 3), 0.05, np.float32)
        white = d.snow(dark, 0.8, np.random.default_rng(0)).mean(2)
        flakes = np.uint8(white > np.median(white) + 0.05)
        count, _, stats, _ = cv2.connectedComponentsWithStats(flakes)
        areas = stats[1:, cv2.CC_STAT_AREA]
        assert (count - 1) / flakes.size * 1e6 > 5000
        assert np.percentile(areas, 25) <= 8
        assert areas.max() > 150

    def test_it_adds_light_to_a_dark_scene_everywhere(self):
        dark = np.full((64, 64, 3), 0.05, np.float32)
        assert (d.snow(dark, 0.8, np.random.default_rng(0)) >= dark - 1e-6).all()


class TestSensors:
    def test_noise_is_unbiased_and_grows_with_the_light(self):
        deviations = []
        for level in (0.2, 0.4, 0.7):
            grey = np.full((200, 200), level, np.float32)
            residual = d.sensor_noise(grey, 0.6, np.random.default_rng(0)) - grey
            assert abs(residual.mean()) < 0.002
            deviations.append(residual.std())
        assert deviations == sorted(deviations)

    def test_stripes_are_constant_along_rows_and_columns(self):
        grey = np.full((60, 90), 0.5, np.float32)
        offsets = d.thermal_stripes(grey, 0.5, np.random.default_rng(0)) - grey
        rest = offsets - offsets.mean(0) - offsets.mean(1)[:, None] + offsets.mean()
        assert offsets.std() > 0.001
        assert np.abs(rest).max() < 1e-4

    def test_stripes_and_noise_of_a_flat_image_stay_below_those_of_a_rich_one(self):
        _, rich = scene()
        flat = np.full_like(rich, 0.3)
        for fault in (d.thermal_stripes, d.thermal_noise):
            assert change(fault, flat, 0.8) < 0.5 * change(fault, rich, 0.8)

    def test_attenuation_spares_what_is_near_and_dims_what_is_far(self):
        thermal = np.full((40, 40), 0.8, np.float32)
        depth = np.zeros((40, 40), np.float32)
        depth[:20] = 1
        for seed in range(10):
            dimmed = d.thermal_attenuation(thermal, depth, 0.8, np.random.default_rng(seed))
            np.testing.assert_allclose(dimmed[20:], 0.8, atol=1e-6)
            assert dimmed[:20].max() < 0.75

    def test_contrast_keeps_the_order_of_temperatures(self):
        ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
        for seed in range(10):
            flat = d.thermal_contrast(ramp, 0.9, np.random.default_rng(seed))
            assert (np.diff(flat.ravel()) >= 0).all()
            assert np.ptp(flat) < 0.7

    def test_a_halo_darkens_the_ring_around_a_hot_object_and_nothing_else(self):
        thermal = np.full((120, 120), 0.3, np.float32)
        cv2.circle(thermal, (60, 60), 12, 0.9, -1)
        ringed = d.thermal_halo(thermal, 0.8, np.random.default_rng(0))
        assert ringed[60, 60 + 15] < 0.25
        np.testing.assert_allclose(ringed[60, 60], 0.9, atol=0.02)
        np.testing.assert_allclose(ringed[:10], 0.3, atol=0.005)

    def test_low_light_darkens(self):
        visible, _ = scene()
        for seed in range(8):
            assert d.low_light(visible, 0.8, np.random.default_rng(seed)).mean() < visible.mean()


class TestContactSheet:
    def test_it_draws_a_folder_of_pairs(self, tmp_path):
        for folder in ("ir", "vi"):
            (tmp_path / "pairs" / folder).mkdir(parents=True)
        for name in ("a", "b", "c"):
            visible, thermal = scene(ord(name), 100, 120)
            cv2.imwrite(str(tmp_path / "pairs/vi" / f"{name}.png"), np.uint8(visible * 255))
            cv2.imwrite(str(tmp_path / "pairs/ir" / f"{name}.png"), np.uint8(thermal * 255))
        out = tmp_path / "sheet.png"
        assert contact_sheet(["--data", str(tmp_path), "--out", str(out), "--crop", "64"]) == 0
        sheet = cv2.imread(str(out))
        assert sheet.shape[1] >= 7 * 64
        assert sheet.std() > 20

    def test_a_folder_without_pairs_is_an_error_that_names_it(self, tmp_path, capsys):
        arguments = ["--data", str(tmp_path / "none"), "--out", str(tmp_path / "sheet.png")]
        assert contact_sheet(arguments) == 1
        assert "none" in capsys.readouterr().err
