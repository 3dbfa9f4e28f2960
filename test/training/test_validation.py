import cv2
import numpy as np
import pytest
import torch
from pair_trees import awmm, plain

from training.data.pairs import find_pairs, read_pair
from training.validation import SCORED, Validator


class Copies(torch.nn.Module):
    """Gives back one of its inputs instead of a fusion."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, visible, thermal):
        return (self.gain * visible, visible, thermal)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return find_pairs(plain(tmp_path_factory.mktemp("pairs"), ["0", "1000", "2000", "3000"]))


@pytest.fixture(scope="module")
def validator(pairs):
    return Validator(pairs)


def test_the_weather_is_the_same_every_time(pairs, validator):
    again = Validator(pairs[:1])
    assert np.array_equal(again.samples[0].visible_degraded, validator.samples[0].visible_degraded)
    assert not np.array_equal(again.samples[0].visible_degraded, again.samples[0].visible)


def test_each_weather_has_its_turn(validator):
    changes = [float(np.abs(s.visible_degraded - s.visible).mean()) for s in validator.samples]
    assert min(changes) > 0.005


def test_a_data_sets_own_degraded_images_are_used(tmp_path):
    pairs = find_pairs(awmm(tmp_path / "awmm", ["1"]))
    sample = Validator(pairs[:1]).samples[0]
    expected = sample.visible * 255 // 2 + 100
    assert np.abs(sample.visible_degraded * 255 - expected).max() < 1.01


def test_the_clean_image_scores_above_the_degraded_one(validator):
    clean = validator.score([s.visible for s in validator.samples])
    degraded = validator.score(validator.fuse(Copies()))
    assert set(clean) == {"score", *SCORED}
    assert clean["score"] > degraded["score"]
    assert clean["score"] == pytest.approx(np.mean([clean[key] for key in SCORED]))


def test_given_weights_take_the_place_of_the_networks_own(validator):
    network = Copies(0.5)
    dark = validator.fuse(network)
    bright = validator.fuse(network, {"gain": torch.tensor(1.0)})
    assert np.allclose(dark[0], 0.5 * bright[0])
    assert network.gain.item() == 0.5


def test_pictures_show_inputs_result_mask_and_clean_image(validator):
    pictures = validator.pictures(validator.fuse(Copies()), limit=2)
    assert pictures.shape == (2, 3, 48, 5 * 64)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    tiles = pictures[0].split(64, dim=-1)
    assert torch.equal(tiles[0], tiles[2])
    assert np.allclose(tiles[4].permute(1, 2, 0), validator.samples[0].visible)


def test_crops_are_taken_from_the_middle(pairs):
    sample = Validator(pairs[:1], side=48).samples[0]
    visible, _ = read_pair(pairs[0])
    assert np.array_equal(sample.visible * 255, visible[:, 8:56])


def test_pairs_too_small_to_score_are_refused(tmp_path):
    small = find_pairs(plain(tmp_path / "small", ["1"]))
    assert Validator(small).samples
    for path in small[0].paths:
        cv2.imwrite(str(path), np.zeros((40, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="at least 48 pixels"):
        Validator(small)
