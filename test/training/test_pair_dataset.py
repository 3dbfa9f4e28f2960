import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pair_trees import awmm, picture, plain, write
from torch.utils.data import DataLoader

from training.config import TrainingConfig
from training.data.images import read_images, read_thermal
from training.data.loading_speed import main as loading_speed
from training.data.pairs import Batch, PairDataset, find_pairs, random_crop, read_pair

CONFIG = TrainingConfig(crop=32, batch=4, steps=6, seed=3)
TENSORS = ("visible", "thermal", "visible_degraded", "thermal_degraded", "pseudo")


def assert_equal(a: Batch, b: Batch) -> None:
    assert a.names == b.names
    for name in TENSORS:
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.fixture
def pairs(tmp_path):
    plain(tmp_path / "road", ["1", "2", "3"])
    plain(tmp_path / "yard", ["1"])
    return find_pairs(tmp_path)


class TestBatches:
    def test_have_the_shapes_and_ranges_that_training_expects(self, pairs):
        batch = PairDataset(pairs, CONFIG)[0]
        for name in TENSORS:
            tensor = getattr(batch, name)
            channels = 1 if name.startswith("thermal") else 3
            assert tensor.shape == (4, channels, 32, 32), name
            assert tensor.dtype == torch.float32
            assert 0 <= tensor.min() <= tensor.max() <= 1
        assert len(batch.names) == 4

    def test_are_as_many_as_the_steps(self, pairs):
        assert len(PairDataset(pairs, CONFIG)) == 6

    def test_of_one_step_are_the_same_in_any_dataset_of_that_seed(self, pairs):
        first, second = PairDataset(pairs, CONFIG), PairDataset(pairs, CONFIG)
        first[5]
        assert_equal(first[2], second[2])
        assert PairDataset(pairs, replace(CONFIG, seed=4))[2].names != first[2].names

    def test_do_not_depend_on_what_is_in_memory(self, pairs):
        one_pair = read_images(pairs[0]).nbytes
        reference = PairDataset(pairs, CONFIG)
        assert reference.images.kept == 4
        for limit, kept in ((0, 0), (one_pair - 1, 0), (2 * one_pair + 1, 2)):
            bounded = PairDataset(pairs, CONFIG, memory_limit=limit)
            assert bounded.images.kept == kept
            assert bounded.images.kept_bytes <= limit
            for step in range(3):
                assert_equal(bounded[step], reference[step])

    @pytest.mark.parametrize("workers", [1, 2])
    def test_do_not_depend_on_loading_processes(self, pairs, workers):
        cv2.setNumThreads(2)
        cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (0, 0), 5)  # starts OpenCV's threads
        dataset = PairDataset(pairs, CONFIG)
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        for step, batch in enumerate(loader):
            assert_equal(batch, dataset[step])

    def test_of_two_processes_are_the_halves_of_one(self, pairs):
        whole = PairDataset(pairs, CONFIG)[1]
        halves = [PairDataset(pairs, CONFIG, rank=r, processes=2)[1] for r in range(2)]
        assert halves[0].names + halves[1].names == whole.names
        for name in TENSORS:
            joined = torch.cat([getattr(half, name) for half in halves])
            assert torch.equal(joined, getattr(whole, name))

    def test_refuse_to_be_shared_unevenly(self, pairs):
        with pytest.raises(ValueError, match="batch 4 does not divide among 3"):
            PairDataset(pairs, CONFIG, processes=3)

    def test_draw_small_data_sets_more_often(self, pairs):
        dataset = PairDataset(pairs, CONFIG)
        yard = dataset.probabilities[[files.dataset == "yard" for files in dataset.pairs]]
        assert yard.sum() == pytest.approx(1 / (1 + 3**0.5))

    def test_are_clean_when_nothing_is_to_be_degraded(self, pairs):
        batch = PairDataset(pairs, replace(CONFIG, degrade=False))[0]
        assert torch.equal(batch.visible, batch.visible_degraded)
        assert torch.equal(batch.thermal, batch.thermal_degraded)


class TestBrokenPairs:
    def test_are_named_and_left_out_at_the_start(self, pairs, caplog):
        pairs[1].visible.write_bytes(b"no image")
        write(pairs[2].thermal, picture(0, 20, 20, channels=1))
        dataset = PairDataset(pairs, CONFIG)
        assert [f.name for f in dataset.pairs] == ["road/1", "yard/1"]
        assert "road/2" in caplog.text or str(pairs[1].visible) in caplog.text
        assert "road/3: expected images of one size" in caplog.text

    def test_that_break_later_are_named_once_and_replaced(self, pairs, caplog):
        dataset = PairDataset(pairs, CONFIG, memory_limit=0)
        drawn = [dataset[step].names for step in range(6)]
        pairs[0].visible.unlink()
        with caplog.at_level(logging.WARNING):
            later = [dataset[step].names for step in range(6)]
        assert any("road/1" in name for names in drawn for name in names)
        assert not any("road/1" in name for names in later for name in names)
        assert caplog.text.count(str(pairs[0].visible)) == 1
        for before, after in zip(sum(drawn, ()), sum(later, ()), strict=True):
            assert after == before or "road/1" in before, "other samples stay as they were"
        fresh = PairDataset(pairs, CONFIG, memory_limit=0)
        assert len(fresh.pairs) == 3

    def test_in_memory_outlive_their_files(self, pairs):
        dataset, reference = PairDataset(pairs, CONFIG), PairDataset(pairs, CONFIG)[0]
        for files in pairs:
            files.visible.unlink()
        assert_equal(dataset[0], reference)

    def test_that_are_all_there_is_end_training_with_a_question(self, pairs):
        dataset = PairDataset(pairs, CONFIG, memory_limit=0)
        for files in pairs:
            files.thermal.unlink()
        with pytest.raises(ValueError, match="still where it was"):
            dataset[0]
        with pytest.raises(ValueError, match="no readable pair"):
            PairDataset(pairs, CONFIG)


class TestRecordedDegradations:
    """AWMM-100k comes with degraded images and a pseudo ground truth of its own."""

    @pytest.fixture
    def recorded(self, tmp_path):
        return find_pairs(awmm(tmp_path / "AWMM", ["1", "2"]))

    def test_are_used_always_when_their_share_is_one(self, recorded):
        batch = PairDataset(recorded, CONFIG, recorded_share=1)[0]
        assert all(name.endswith("(as recorded)") for name in batch.names)
        # What pair_trees wrote: half of the clean thermal, half of the clean visible plus 100.
        thermal = batch.thermal / 2
        visible = batch.visible / 2 + 100 / 255
        assert (batch.thermal_degraded - thermal).abs().max() <= 1 / 255
        assert (batch.visible_degraded - visible).abs().max() <= 1 / 255

    def test_are_cut_like_the_clean_images_at_any_scale(self, recorded):
        scaled = replace(CONFIG, rescale=(0.7, 1.3))
        batch = PairDataset(recorded, scaled, recorded_share=1)[0]
        assert (batch.thermal_degraded - batch.thermal / 2).abs().max() <= 2 / 255

    def test_are_never_used_when_their_share_is_none(self, recorded):
        dataset = PairDataset(recorded, CONFIG, recorded_share=0)
        assert not any("recorded" in n for step in range(6) for n in dataset[step].names)

    def test_are_mixed_with_synthetic_ones_in_between(self, recorded):
        dataset = PairDataset(recorded, CONFIG, recorded_share=0.5)
        names = [name for step in range(6) for name in dataset[step].names]
        assert 5 <= sum(name.endswith("(as recorded)") for name in names) <= 19

    def test_bring_their_pseudo_ground_truth(self, recorded):
        batch = PairDataset(recorded, CONFIG)[0]
        assert torch.equal(batch.pseudo, torch.full((4, 3, 32, 32), 77 / 255))

    def test_yield_to_a_generator_that_is_asked_for(self, recorded):
        class Average:
            name, version = "average", "1"

            def __call__(self, visible, thermal):
                return (visible + thermal[..., None]) / 2

        batch = PairDataset(recorded, CONFIG, pseudo_truth=Average())[0]
        assert torch.allclose(batch.pseudo, (batch.visible + batch.thermal) / 2)

    def test_of_another_size_leave_the_pair_out(self, recorded, caplog):
        write(recorded[0].degraded_visible, picture(0, 20, 20))
        dataset = PairDataset(recorded, CONFIG)
        assert len(dataset.pairs) == len(recorded) - 1
        assert recorded[0].name in caplog.text


class TestCrops:
    @given(
        st.integers(16, 90),
        st.integers(16, 90),
        st.sampled_from([16, 32, 64]),
        st.floats(0.3, 1.0),
        st.floats(1.0, 3.0),
        st.integers(0, 999),
    )
    def test_show_the_same_place_in_both_images(self, height, width, crop, least, most, seed):
        thermal = picture(seed, height, width, channels=1)[..., 0]
        visible = np.repeat(thermal[..., None], 3, axis=2)
        config = replace(CONFIG, crop=crop, rescale=(least, most))
        v, t = random_crop(visible, thermal, config, np.random.default_rng(seed))
        assert v.shape == (crop, crop, 3)
        assert t.shape == (crop, crop)
        assert v.dtype == t.dtype == np.float32
        assert np.abs(v - t[..., None]).max() <= 1 / 255, "but for the rounding of a resize"

    def test_keep_pixels_as_they_are_at_scale_one(self):
        thermal = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
        visible = np.repeat(thermal[..., None], 3, axis=2)
        _, crop = random_crop(visible, thermal, CONFIG, np.random.default_rng(0))
        found = np.rint(crop * 255).astype(np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(thermal, (32, 32))
        assert any(
            np.array_equal(found, side) for w in windows for v in w for side in (v, v[:, ::-1])
        )


class TestReading:
    def test_gives_rgb_and_thermal_as_written(self, tmp_path):
        plain(tmp_path / "d", ["1"])
        [files] = find_pairs(tmp_path)
        visible, thermal = read_pair(files)
        assert np.array_equal(visible[..., ::-1], cv2.imread(str(files.visible)))
        assert np.array_equal(thermal, cv2.imread(str(files.thermal), cv2.IMREAD_GRAYSCALE))

    def test_stretches_sixteen_bit_thermal_images(self, tmp_path):
        counts = np.linspace(21_000, 23_000, 4800).reshape(60, 80).astype(np.uint16)
        path = write(tmp_path / "counts.png", counts)
        thermal = read_thermal(path)
        assert thermal.dtype == np.uint8
        assert (thermal.min(), thermal.max()) == (0, 255)
        assert np.all(np.diff(thermal.ravel().astype(int)) >= 0)

    def test_refuses_what_has_other_pixels(self, tmp_path):
        path = write(tmp_path / "floats.tiff", np.zeros((8, 8), np.float32))
        with pytest.raises(ValueError, match=r"floats.tiff: expected 8 or 16 bits.*float32"):
            read_thermal(path)


def test_the_loading_speed_is_printed(pairs, tmp_path, capsys):
    assert loading_speed(["--data", str(tmp_path), "--crop", "32", "--samples", "8"]) == 0
    printed = capsys.readouterr().out
    assert "4 pairs, 4 of them in memory" in printed
    assert printed.count(" ms") == 6
    assert loading_speed(["--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
