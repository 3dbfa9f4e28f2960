from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from golden_weights import GOLDEN, golden_shapes, golden_state_dict
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

from amg_fuse_ros.network.checkpoint import WeightsError, read_card, save_tensors
from training.data.pairs import find_pairs
from training.loop import FitSettings, state_path
from training.losses import tdas_loss
from training.restorer import Restorer, SmallRestorer, load_restorer
from training.restorer.__main__ import app
from training.restorer.fit import fit_restorer
from training.restorer.samples import RestorationDataset, smooth_mask

SETTINGS = FitSettings(steps=6, crop=32, batch=2, warmup_steps=2)


def write_pairs(folder, count=4, shape=(48, 64)):
    rng = np.random.default_rng(0)
    for name, channels in (("vi", 3), ("ir", 1)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = cv2.GaussianBlur(rng.random((*shape, channels)), (0, 0), 3)
            image = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{i * 1000}.png"), image)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return find_pairs(write_pairs(tmp_path_factory.mktemp("pairs")))


@pytest.fixture(scope="module")
def published():
    """The published restorer with the golden weights, in float64."""
    with torch.device("meta"):
        restorer = Restorer()
    state = golden_state_dict(golden_shapes("restormer"), seed=3)
    restorer.load_state_dict(state, assign=True)
    return restorer


class TestPublishedRestorer:
    def test_has_the_authors_keys_shapes_and_parameters(self):
        with torch.device("meta"):
            restorer = Restorer()
        assert {k: list(v.shape) for k, v in restorer.state_dict().items()} == golden_shapes(
            "restormer"
        )
        assert sum(p.numel() for p in restorer.parameters()) == 36_680_594

    def test_equals_the_golden_output(self, published):
        golden = np.load(GOLDEN / "network" / "restormer_w3_48x40.npz")
        with torch.inference_mode():
            y = published(torch.from_numpy(golden["x"]))
        np.testing.assert_allclose(y.numpy(), golden["y"], rtol=0, atol=1e-9)


class TestSmallRestorer:
    def test_has_at_most_half_a_million_parameters(self):
        assert sum(p.numel() for p in SmallRestorer().parameters()) <= 500_000

    @settings(max_examples=15, deadline=None)
    @given(st.integers(1, 40), st.integers(1, 40))
    def test_a_fresh_one_returns_an_image_of_any_size_unchanged(self, height, width):
        x = torch.rand(2, 3, height, width)
        torch.testing.assert_close(SmallRestorer()(x), x)


class TestLoadRestorer:
    @pytest.fixture(scope="class")
    def half(self, published):
        return {k: v.half() for k, v in published.state_dict().items()}

    def test_reads_the_authors_own_checkpoint(self, tmp_path, half):
        wrapped = {"AWF": {f"module.{k}": v for k, v in half.items()}, "epoch": 7}
        torch.save(wrapped, tmp_path / "restorer.pth")
        restorer = load_restorer(tmp_path / "restorer.pth")
        assert isinstance(restorer, Restorer)
        for key, value in restorer.state_dict().items():
            torch.testing.assert_close(value, half[key].float(), rtol=0, atol=0)

    def test_takes_the_restorer_out_of_a_fusion_checkpoint(self, tmp_path, half):
        fusion = {"patch_embed_vi.proj.weight": torch.zeros(48, 3, 3, 3)}
        state = {**fusion, **{f"res.{k}": v for k, v in half.items()}}
        torch.save({"model": state}, tmp_path / "fusion.pth")
        restorer = load_restorer(tmp_path / "fusion.pth")
        torch.testing.assert_close(restorer.output.weight, half["output.weight"].float())

    def test_reads_a_small_one(self, tmp_path):
        saved = SmallRestorer()
        save_tensors(saved.state_dict(), tmp_path / "small.safetensors", {})
        x = torch.rand(1, 3, 20, 24)
        restorer = load_restorer(tmp_path / "small.safetensors")
        assert isinstance(restorer, SmallRestorer)
        torch.testing.assert_close(restorer(x), saved(x))

    def test_says_that_a_fusion_network_has_no_restorer(self, tmp_path):
        torch.save({"patch_embed_vi.proj.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "f.pth")
        with pytest.raises(WeightsError, match=r"res\.\*.*fusion network without one"):
            load_restorer(tmp_path / "f.pth")

    def test_names_missing_keys(self, tmp_path):
        state = SmallRestorer().state_dict()
        del state["unet.exit.bias"]
        save_tensors(state, tmp_path / "small.safetensors", {})
        with pytest.raises(WeightsError, match=r"small restorer; 1 missing \(unet\.exit\.bias\)"):
            load_restorer(tmp_path / "small.safetensors")

    def test_refuses_other_weights(self, tmp_path):
        save_tensors(nn.Linear(2, 2).state_dict(), tmp_path / "x.safetensors", {})
        with pytest.raises(WeightsError, match="keys of a restorer"):
            load_restorer(tmp_path / "x.safetensors")

    def test_executes_nothing_that_a_file_brings(self, tmp_path):
        torch.save({"unet.entry.weight": np.random.default_rng}, tmp_path / "evil.pth")
        with pytest.raises(WeightsError, match="cannot be read"):
            load_restorer(tmp_path / "evil.pth")


class TestInTheLoss:
    def test_is_frozen_while_the_gradient_reaches_the_fused_image(self, tmp_path):
        trained = SmallRestorer()
        nn.init.normal_(trained.unet.exit.weight, std=0.1)
        save_tensors(trained.state_dict(), tmp_path / "small.safetensors", {})
        restorer = load_restorer(tmp_path / "small.safetensors")
        fused = torch.rand(1, 3, 32, 32, requires_grad=True)
        tdas_loss(fused, torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32), restorer).backward()
        assert fused.grad.abs().sum() > 0
        assert all(p.grad is None and not p.requires_grad for p in restorer.parameters())

    def test_finds_nothing_to_restore_when_it_changes_nothing(self):
        images = torch.rand(3, 1, 3, 32, 32)
        assert tdas_loss(images[0], images[1], images[2][:, :1], SmallRestorer()) == 0


class TestSamples:
    def test_are_the_same_for_a_seed_and_step_whenever_asked(self, pairs):
        first, again = (RestorationDataset(pairs, SETTINGS) for _ in range(2))
        again[0]
        torch.testing.assert_close(first[3].degraded, again[3].degraded, rtol=0, atol=0)
        assert not torch.equal(first[3].degraded, first[4].degraded)

    def test_clean_ones_among_them_are_equal_behind_the_mask(self, pairs):
        batches = [RestorationDataset(pairs, SETTINGS)[i] for i in range(6)]
        equal = [
            torch.equal(d, c) for b in batches for d, c in zip(b.degraded, b.clean, strict=True)
        ]
        assert any(equal)
        assert not all(equal)

    def test_degraded_images_that_a_data_set_brings_are_used(self, pairs, tmp_path):
        black = tmp_path / "black.png"
        cv2.imwrite(str(black), np.zeros((48, 64, 3), np.uint8))
        recorded = [replace(p, degraded_visible=black, degraded_thermal=p.thermal) for p in pairs]
        batches = [RestorationDataset(recorded, SETTINGS)[i] for i in range(6)]
        is_dark = [not d.any() for b in batches for d in b.degraded]
        assert sum(is_dark) >= 4
        assert not all(is_dark)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(8, 64), st.integers(8, 64), st.integers(0, 2**32 - 1))
    def test_random_masks_keep_to_the_range_of_equation_5(self, height, width, seed):
        mask = smooth_mask((height, width), np.random.default_rng(seed))
        assert mask.shape == (height, width)
        assert 0.075 < mask.min() <= mask.max() < 0.925


class TestFit:
    def test_the_loss_falls(self, pairs, tmp_path):
        settings = FitSettings(steps=40, crop=32, batch=4, warmup_steps=5, learning_rate=3e-3)
        fit_restorer(pairs, pairs, tmp_path / "r.safetensors", settings, workers=0)
        scores = read_card(tmp_path / "r.safetensors")["validation"]
        assert scores["psnr_restored"] > scores["psnr_degraded"] + 0.5

    def test_writes_a_file_with_a_card_that_loads(self, pairs, tmp_path):
        out = tmp_path / "new" / "r.safetensors"
        fit_restorer(pairs[:3], pairs[3:], out, SETTINGS, workers=0)
        card = read_card(out)
        assert card["kind"] == "small restorer"
        assert card["steps"] == SETTINGS.steps
        assert card["data"]["pairs"] == 3
        assert isinstance(load_restorer(out), SmallRestorer)

    def test_an_interrupted_run_ends_like_an_uninterrupted_one(self, pairs, tmp_path):
        whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
        fit_restorer(pairs, [], whole, SETTINGS, workers=0)
        stops = [
            fit_restorer(pairs, [], parts, SETTINGS, minutes=0, workers=0).step
            for _ in range(SETTINGS.steps)
        ]
        assert stops == [1, 2, 3, 4, 5, 6]
        for a, b in zip(
            load_restorer(whole).parameters(), load_restorer(parts).parameters(), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-7)

    def test_starts_from_given_weights(self, pairs, tmp_path):
        first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
        fit_restorer(pairs, [], first, SETTINGS, workers=0)
        still = replace(SETTINGS, learning_rate=1e-12, steps=1)
        fit_restorer(pairs, [], second, still, initial=first, workers=0)
        for a, b in zip(
            load_restorer(first).parameters(), load_restorer(second).parameters(), strict=True
        ):
            torch.testing.assert_close(a, b)
        assert read_card(second)["settings"]["initial"]

    def test_refuses_to_go_on_with_other_settings(self, pairs, tmp_path):
        out = tmp_path / "r.safetensors"
        fit_restorer(pairs, [], out, SETTINGS, minutes=0, workers=0)
        other = replace(SETTINGS, batch=1)
        with pytest.raises(ValueError, match=r"other settings .*'batch': \(2, 1\)"):
            fit_restorer(pairs, [], out, other, workers=0)

    def test_says_that_the_state_of_a_run_is_damaged(self, pairs, tmp_path):
        out = tmp_path / "r.safetensors"
        state_path(out).write_bytes(b"half a file")
        with pytest.raises(ValueError, match=r"r\.ckpt.*delete it to start anew"):
            fit_restorer(pairs, [], out, SETTINGS, workers=0)

    def test_the_command_trains_and_goes_on(self, tmp_path):
        write_pairs(tmp_path / "data", shape=(136, 140))
        out = tmp_path / "r.safetensors"
        command = ["fit", "--data", str(tmp_path / "data"), "--out", str(out)]
        command += ["--minutes", "0", "--steps", "2", "--batch", "1", "--workers", "0"]
        for step in (1, 2):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
            assert f"step {step}" in result.output
        assert isinstance(load_restorer(out), SmallRestorer)
