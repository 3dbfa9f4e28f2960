import warnings
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pseudo_truth import CachedPseudoTruth, ClassicalPseudoTruth, fuse_classical

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grey(value, shape=(64, 80)):
    return np.full((*shape, 3), value, np.float32)


def chroma(image):
    y = image @ LUMA
    return np.stack([(image[..., 2] - y) / 1.772, (image[..., 0] - y) / 1.402], -1)


class TestFuseClassical:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
    def test_any_size_gives_a_float32_rgb_image_in_range(self, height, width, seed):
        rng = np.random.default_rng(seed)
        fused = fuse_classical(
            rng.random((height, width, 3), np.float32), rng.random((height, width), np.float32)
        )
        assert fused.shape == (height, width, 3)
        assert fused.dtype == np.float32
        assert fused.min() >= 0
        assert fused.max() <= 1

    def test_a_hot_target_stays_as_bright_as_the_thermal_camera_shows_it(self):
        thermal = np.full((64, 80), 0.1, np.float32)
        thermal[20:44, 30:50] = 0.9
        fused = fuse_classical(grey(0.2), thermal) @ LUMA
        assert fused[26:38, 36:44].min() > 0.85

    def test_the_brightness_of_the_visible_scene_is_kept_beside_a_hot_target(self):
        thermal = np.full((64, 80), 0.1, np.float32)
        thermal[20:44, 30:50] = 0.9
        fused = fuse_classical(grey(0.4), thermal) @ LUMA
        np.testing.assert_allclose(fused[:, :20], 0.4, atol=0.02)

    def test_letters_that_the_maximum_loses_on_a_warm_wall_come_back(self):
        visible = grey(0.2, (96, 160))
        cv2.putText(visible, "BUS 7", (15, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0.4,) * 3, 3)
        thermal = np.full((96, 160), 0.6, np.float32)
        letters = visible[..., 0] > 0.35
        fused = fuse_classical(visible, thermal) @ LUMA
        assert fused[letters].mean() - fused[~letters].mean() > 0.05

    def test_colours_are_the_visible_cameras(self):
        rng = np.random.default_rng(1)
        visible = cv2.GaussianBlur(rng.random((64, 80, 3), np.float32), (0, 0), 6) * 0.5 + 0.1
        thermal = cv2.GaussianBlur(rng.random((64, 80), np.float32), (0, 0), 6)
        np.testing.assert_allclose(
            chroma(fuse_classical(visible, thermal)), chroma(visible), atol=1e-5
        )

    def test_two_equal_cameras_give_that_image(self):
        image = cv2.GaussianBlur(np.random.default_rng(2).random((64, 80), np.float32), (0, 0), 2)
        fused = fuse_classical(np.repeat(image[..., None], 3, 2), image)
        np.testing.assert_allclose(fused, np.repeat(image[..., None], 3, 2), atol=1e-5)

    def test_sizes_that_are_no_pair_are_named(self):
        with pytest.raises(ValueError, match=r"\(64, 80, 3\) and \(64, 81\)"):
            fuse_classical(grey(0.5), np.zeros((64, 81), np.float32))


@dataclass
class Counting:
    """The classical generator, counting its calls."""

    name: str = "counting"
    version: str = "1"
    calls: list[int] = field(default_factory=list)

    def __call__(self, visible, thermal):
        self.calls.append(1)
        return ClassicalPseudoTruth()(visible, thermal)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.random((40, 56, 3), np.float32), rng.random((40, 56), np.float32)


class TestCachedPseudoTruth:
    def test_a_pair_is_fused_once_and_read_back_equal(self, tmp_path, pair):
        generator = Counting()
        cached = CachedPseudoTruth(generator, tmp_path / "new" / "cache")
        first, second = cached(*pair), cached(*pair)
        np.testing.assert_array_equal(first, second)
        assert len(generator.calls) == 1
        np.testing.assert_allclose(first, fuse_classical(*pair), atol=0.5 / 255 + 1e-6)

    def test_another_run_finds_what_the_first_left(self, tmp_path, pair):
        first = CachedPseudoTruth(Counting(), tmp_path)(*pair)
        later = Counting()
        np.testing.assert_array_equal(CachedPseudoTruth(later, tmp_path)(*pair), first)
        assert not later.calls

    def test_other_content_name_or_version_is_another_entry(self, tmp_path, pair):
        visible, thermal = pair
        paths = {
            CachedPseudoTruth(Counting(), tmp_path).path(visible, thermal),
            CachedPseudoTruth(Counting(), tmp_path).path(visible, thermal + np.float32(1e-3)),
            CachedPseudoTruth(Counting(version="2"), tmp_path).path(visible, thermal),
            CachedPseudoTruth(Counting(name="other"), tmp_path).path(visible, thermal),
        }
        assert len(paths) == 4

    @pytest.mark.parametrize("damage", [b"", b"not a png"])
    def test_a_damaged_entry_is_made_anew(self, tmp_path, pair, damage):
        cached = CachedPseudoTruth(Counting(), tmp_path)
        whole = cached(*pair)
        cached.path(*pair).write_bytes(damage)
        np.testing.assert_array_equal(cached(*pair), whole)
        assert cached.path(*pair).stat().st_size > len(damage)

    def test_a_directory_that_takes_no_files_costs_a_warning_not_the_image(self, tmp_path, pair):
        directory = tmp_path / "cache"
        cached = CachedPseudoTruth(Counting(), directory)
        directory.rmdir()
        with pytest.warns(UserWarning, match="not cached"):
            fused = cached(*pair)
        assert fused.shape == pair[0].shape

    def test_nothing_but_whole_entries_is_left_behind(self, tmp_path, pair):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            CachedPseudoTruth(Counting(), tmp_path)(*pair)
        assert [p.suffix for p in tmp_path.iterdir()] == [".png"]
