"""Training of nano goes on where it stopped, and learns."""

import json

import cv2
import numpy as np
import pytest
import torch

from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network.checkpoint import read_card, read_tensors, save_tensors
from amg_fuse_ros.network.nano import CHANNELS, Nano, channels_of
from training.config import TrainingConfig
from training.data.pairs import Batch, PairDataset, find_pairs
from training.nano.fit import fit
from training.nano.objective import terms, total


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        for folder, channels in (("ir", 1), ("vi", 3)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 256, (6, 8, channels), np.uint8)
            image = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(tmp_path / "data" / folder / f"{number}.png"), image)
    return tmp_path / "data"


def run(data, out, steps, **options):
    options = {"batch": 2, "crop": 32, "workers": 0, "minutes": 0.0, "init": None, **options}
    fit(data, out, steps=steps, learning_rate=1e-3, seed=0, threads=1, **options)


def test_it_learns_and_the_weights_are_written_small(data, tmp_path):
    run(data, tmp_path / "run", 300)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [100, 200, 300]
    weights = tmp_path / "run" / "nano.safetensors"
    assert weights.stat().st_size < 1e6
    card = read_card(weights)
    assert (card["size"], card["steps"], card["batch"]) == ("nano", 300, 2)
    assert card["data"]["pairs"] == 4
    assert card["minutes"] >= 0
    trained, fresh = Nano(), Nano()
    trained.load_state_dict(read_tensors(weights))
    config = TrainingConfig(batch=16, crop=32, steps=1, seed=99)
    batch = PairDataset(find_pairs(data), config)[0]
    with torch.no_grad():
        after, before = (
            terms(n(batch.visible_degraded, batch.thermal_degraded), batch)
            for n in (trained, fresh)
        )
    assert total(after) < total(before)
    assert after["truth"] < 0.8 * before["truth"]


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(data, tmp_path):
    run(data, tmp_path / "whole", 6)
    run(data, tmp_path / "parts", 6, minutes=1e-9)  # leaves after its first step
    assert torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)["step"] == 1
    run(data, tmp_path / "parts", 6)
    whole, parts = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "parts")
    )
    for key, value in whole["network"].items():
        torch.testing.assert_close(parts["network"][key], value, rtol=0, atol=1e-6)
    for key, value in whole["average"].items():
        torch.testing.assert_close(parts["average"][key], value, rtol=0, atol=1e-6)


def test_the_objective_is_zero_where_everything_is_as_it_should_be():
    flat = torch.full((1, 3, 32, 32), 0.5)
    grey = flat[:, :1]
    batch = Batch(flat, grey, flat, grey, flat, ("flat",))
    output = (flat, flat, torch.full_like(grey, 0.5), torch.zeros_like(flat))
    found = terms(output, batch)
    assert float(total(found)) == pytest.approx(0, abs=1e-6)
    worse = terms((flat + 0.1, flat, output[2], output[3]), batch)
    assert float(total(worse)) > 0.3


def test_what_is_left_of_streaks_counts_when_asked_for():
    clean = torch.full((1, 3, 32, 32), 0.5)
    grey = clean[:, :1]
    rain = torch.zeros_like(clean)
    rain[..., 4:20, 9:11] = 0.2
    batch = Batch(clean, grey, clean + rain, grey, clean, ("rain",))
    output = (clean + rain, clean + rain, torch.ones_like(grey), torch.zeros_like(grey))
    without, found = terms(output, batch), terms(output, batch, particles=True)
    assert found.keys() - without.keys() == {"particles", "restored_particles"}
    assert float(total(found, 2.0) - total(without)) == pytest.approx(3, abs=0.1)


def test_a_run_begins_with_the_weights_that_it_is_given(data, tmp_path):
    first = tmp_path / "first.safetensors"
    state = {k: v for k, v in Nano().state_dict().items() if not k.startswith("context")}
    state = {k: torch.full_like(v, 0.01) for k, v in state.items()}
    save_tensors(state, first, {})
    run(data, tmp_path / "run", 1, init=first)
    found = read_tensors(tmp_path / "run" / "nano.safetensors")
    assert set(found) == set(Nano().state_dict())
    torch.testing.assert_close(found["stem.weight"], state["stem.weight"], rtol=0, atol=2e-3)
    save_tensors({"stem.weight": torch.zeros(3, 16, 3, 3)}, first, {})
    shape = rf"stem.weight: expected shape \({CHANNELS[0]}, 16, 3, 3\)"
    with pytest.raises(ValueError, match=shape):
        run(data, tmp_path / "another", 1, init=first)


def test_another_width_is_trained_and_read_back(data, tmp_path):
    run(data, tmp_path / "run", 1, channels=(8, 16, 16, 24))
    weights = tmp_path / "run" / "nano.safetensors"
    assert channels_of(read_tensors(weights)) == (8, 16, 16, 24)
    fuser = Fuser.from_options(weights=weights, engine="eager")
    thermal, visible = np.zeros((32, 48), np.uint8), np.full((32, 48, 3), 99, np.uint8)
    assert fuser.fuse(thermal, visible).image.shape == (32, 48, 3)


def test_a_run_of_another_width_is_refused(data, tmp_path):
    run(data, tmp_path / "run", 1, channels=(8, 16, 16, 24))
    with pytest.raises(ValueError, match=r"--channels 8 16 16 24"):
        run(data, tmp_path / "run", 2)
