import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from amg_fuse_ros.network.checkpoint import WeightsError, read_card, save_tensors
from training.data.pairs import find_pairs
from training.pseudo_truth import CachedPseudoTruth, PseudoTruth
from training.pseudo_truth.__main__ import app
from training.pseudo_truth.emma import (
    Emma,
    EmmaFusion,
    EmmaPseudoTruth,
    PseudoSensing,
    equivariance_loss,
    load_emma,
    luminance,
    random_transform,
    rotate,
)
from training.pseudo_truth.emma_fit import EmmaSettings, SensingDataset, fit_emma

SETTINGS = EmmaSettings(steps=6, sensing_steps=3, crop=32, batch=2, warmup_steps=2)
BT601 = np.array([0.299, 0.587, 0.114], np.float32)


def smooth(shape, seed):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random(shape), (0, 0), 3)
    return cv2.normalize(noise, None, 0, 1, cv2.NORM_MINMAX).astype(np.float32)


def planes(seed, size=32):
    return torch.from_numpy(smooth((size, size), seed))[None, None]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for name, channels in (("vi", 3), ("ir", 1)):
        (folder / name).mkdir()
        for i in range(4):
            image = np.uint8(255 * smooth((136, 144, channels), 10 * channels + i))
            cv2.imwrite(str(folder / name / f"{i * 1000}.png"), image)
    return find_pairs(folder)


class TestTransforms:
    def test_shift_rotate_and_flip_all_keep_what_is_in_the_image(self):
        image = planes(0)
        for seed in range(12):
            moved = random_transform(np.random.default_rng(seed))(image)
            assert moved.shape == image.shape
            assert not torch.equal(moved, image)
            assert abs(float(moved.mean() - image.mean())) < 0.12

    def test_a_transform_moves_every_image_alike(self):
        transform = random_transform(np.random.default_rng(3))
        image = planes(0)
        torch.testing.assert_close(transform(image.repeat(2, 1, 1, 1))[1:], transform(image))

    def test_a_quarter_turn_is_exact(self):
        image = planes(0)
        turned = rotate(image, np.pi / 2)
        torch.testing.assert_close(turned, image.rot90(1, (-2, -1)), atol=1e-4, rtol=0)

    def test_a_rotation_keeps_shapes_in_an_oblong_image(self):
        image = torch.zeros(1, 1, 40, 80)
        image[..., 16:24, 30:50] = 1  # 8 x 20 about the centre
        turned = rotate(image, np.pi / 2)[..., 20:60]  # the rest mirrors what came from outside
        expected = torch.zeros(1, 1, 40, 40)
        expected[..., 10:30, 16:24] = 1
        torch.testing.assert_close(turned, expected, atol=1e-3, rtol=0)


class TestEquivarianceLoss:
    def transformed(self):
        return random_transform(np.random.default_rng(1))(planes(0))

    def test_is_zero_when_sensing_and_fusing_give_every_image_back(self):
        loss = equivariance_loss(self.transformed(), torch.maximum, lambda f: f, lambda f: f / 2)
        assert loss == 0

    def test_is_positive_when_the_fusion_depends_on_the_place(self):
        ramp = torch.linspace(0.5, 1, 32)
        loss = equivariance_loss(
            self.transformed(), lambda v, i: torch.maximum(v, i) * ramp, lambda f: f, lambda f: f
        )
        assert loss > 0.01


class TestNetworks:
    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, 30), st.integers(1, 30))
    def test_fresh_ones_take_any_size_give_the_mean_and_sense_what_they_see(self, height, width):
        visible, thermal = torch.rand(2, 1, 1, height, width)
        torch.testing.assert_close(EmmaFusion()(visible, thermal), (visible + thermal) / 2)
        torch.testing.assert_close(PseudoSensing()(visible), visible)

    def test_pseudo_sensing_learns_in_a_few_steps(self):
        torch.manual_seed(0)
        visible, thermal = planes(1), planes(2)
        fused = torch.maximum(visible, thermal)
        emma = Emma()
        optimizer = torch.optim.Adam(emma.parameters(), lr=3e-3)
        losses = []
        for _ in range(60):
            terms = emma.sensing_terms(fused, visible, thermal)
            losses.append({name: float(value.detach()) for name, value in terms.items()})
            optimizer.zero_grad()
            sum(terms.values()).backward()
            optimizer.step()
        assert losses[-1]["thermal"] < losses[0]["thermal"] / 4
        assert losses[-1]["visible"] < losses[0]["visible"] / 4

    def test_the_fusion_learns_through_sensing_that_stays_as_it_is(self):
        torch.manual_seed(0)
        emma = Emma()
        # The mean of the fresh fusion is a minimum for sensing that changes nothing.
        torch.nn.init.normal_(emma.sense_visible.unet.exit.weight, std=0.05)
        transform = random_transform(np.random.default_rng(0))
        sum(emma.fusion_terms(planes(1), planes(2), transform).values()).backward()
        assert emma.fuse.unet.exit.weight.grad.abs().sum() > 0
        sensing = [*emma.sense_thermal.parameters(), *emma.sense_visible.parameters()]
        assert all(p.grad is None for p in sensing)


class TestSamples:
    def test_show_fusions_of_several_methods(self, pairs):
        data = SensingDataset(pairs, SETTINGS)
        is_maximum = [
            torch.allclose(f, torch.maximum(v, i), atol=1e-5)
            for batch in (data[s] for s in range(6))
            for v, i, f in zip(batch.visible, batch.thermal, batch.fused, strict=True)
        ]
        assert any(is_maximum)
        assert not all(is_maximum)

    def test_luminance_is_bt601(self):
        rgb = torch.rand(1, 3, 4, 5)
        expected = rgb[0].permute(1, 2, 0).numpy() @ BT601
        np.testing.assert_allclose(luminance(rgb)[0, 0].numpy(), expected, atol=1e-6)


class TestFit:
    def test_trains_sensing_first_and_then_the_fusion(self, pairs, tmp_path):
        out = tmp_path / "emma.safetensors"
        states = []
        for _ in range(SETTINGS.steps):
            fit_emma(pairs, [], out, SETTINGS, minutes=0, workers=0)
            states.append(load_emma(out).state_dict())
        for before, after, learning in zip(
            states, states[1:], ["sense", "sense", "fuse", "fuse", "fuse"], strict=False
        ):
            changed = {k for k in after if not torch.equal(before[k], after[k])}
            assert any(k.startswith(learning) for k in changed)
            assert learning == "fuse" or not any(k.startswith("fuse") for k in changed)

    def test_an_interrupted_run_ends_like_an_uninterrupted_one(self, pairs, tmp_path):
        whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
        fit_emma(pairs, [], whole, SETTINGS, workers=0)
        for step in range(1, SETTINGS.steps + 1):
            done = fit_emma(pairs, [], parts, SETTINGS, minutes=0, workers=0)
            assert done.step == step
        expected = load_emma(whole).state_dict()
        for key, value in load_emma(parts).state_dict().items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-7)

    def test_writes_a_card_with_data_and_scores(self, pairs, tmp_path):
        out = tmp_path / "emma.safetensors"
        fit_emma(pairs[:3], pairs[3:], out, SETTINGS, workers=0)
        card = read_card(out)
        assert card["kind"] == "EMMA"
        assert card["steps"] == 6
        assert card["data"]["pairs"] == 3
        assert card["validation"]["fusion_equivariance"] >= 0

    def test_fine_tunes_the_fusion_alone(self, pairs, tmp_path):
        first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
        fit_emma(pairs, [], first, SETTINGS, workers=0)
        tuning = EmmaSettings(steps=3, crop=32, batch=2, warmup_steps=1)
        fit_emma(pairs, [], second, tuning, initial=first, workers=0)
        before, after = load_emma(first), load_emma(second)
        sensing = zip(
            before.sense_thermal.parameters(), after.sense_thermal.parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in sensing)
        assert EmmaPseudoTruth(first).version != EmmaPseudoTruth(second).version

    def test_refuses_to_leave_fresh_sensing_untrained(self, pairs, tmp_path):
        with pytest.raises(ValueError, match="sensing_steps: expected 1 or more"):
            fit_emma(pairs, [], tmp_path / "e.safetensors", EmmaSettings(steps=3), workers=0)

    def test_the_command_trains_and_goes_on(self, pairs, tmp_path):
        data, out = pairs[0].visible.parents[1], tmp_path / "emma.safetensors"
        command = ["fit", "--data", str(data), "--out", str(out), "--minutes", "0"]
        command += ["--steps", "3", "--batch", "1", "--workers", "0"]
        for step in (1, 2):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
            assert f"step {step}" in result.output
        assert load_emma(out)


class TestEmmaPseudoTruth:
    @pytest.fixture(scope="class")
    def path(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("weights") / "emma.safetensors"
        torch.manual_seed(0)
        emma = Emma()
        torch.nn.init.normal_(emma.fuse.unet.exit.weight, std=0.05)
        save_tensors(emma.state_dict(), path, {})
        return path

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, 50), st.integers(1, 50))
    def test_any_size_gives_a_float32_rgb_image_in_range(self, path, height, width):
        generator = EmmaPseudoTruth(path)
        rng = np.random.default_rng(0)
        fused = generator(
            rng.random((height, width, 3), np.float32), rng.random((height, width), np.float32)
        )
        assert fused.shape == (height, width, 3)
        assert fused.dtype == np.float32
        assert 0 <= fused.min() <= fused.max() <= 1

    def test_is_a_generator_that_the_cache_can_wrap(self, path, tmp_path):
        generator: PseudoTruth = EmmaPseudoTruth(path)
        visible, thermal = smooth((40, 56, 3), 1), smooth((40, 56), 2)
        cached = CachedPseudoTruth(generator, tmp_path / "cache")
        np.testing.assert_allclose(
            cached(visible, thermal), generator(visible, thermal), atol=0.5 / 255 + 1e-6
        )

    def test_colours_are_the_visible_cameras(self, path):
        visible, thermal = smooth((40, 56, 3), 1) * 0.3 + 0.35, smooth((40, 56), 2) * 0.3 + 0.35
        difference = EmmaPseudoTruth(path)(visible, thermal) - visible
        np.testing.assert_allclose(difference, difference[..., :1].repeat(3, -1), atol=1e-6)
        assert np.abs(difference).max() > 0.01

    def test_the_version_follows_the_weights_not_the_file(self, path, tmp_path):
        again = tmp_path / "again.safetensors"
        save_tensors(load_emma(path).state_dict(), again, {"card": "another"})
        assert EmmaPseudoTruth(again).version == EmmaPseudoTruth(path).version
        state = load_emma(path).state_dict()
        state["fuse.unet.exit.bias"] += 1e-3
        save_tensors(state, again, {})
        assert EmmaPseudoTruth(again).version != EmmaPseudoTruth(path).version

    def test_sizes_that_are_no_pair_are_named(self, path):
        with pytest.raises(ValueError, match=r"\(8, 8, 3\) and \(8, 9\)"):
            EmmaPseudoTruth(path)(np.zeros((8, 8, 3), np.float32), np.zeros((8, 9), np.float32))

    def test_refuses_other_weights(self, tmp_path):
        save_tensors({"a.weight": torch.zeros(1)}, tmp_path / "x.safetensors", {})
        with pytest.raises(WeightsError, match="EMMA's keys"):
            EmmaPseudoTruth(tmp_path / "x.safetensors")
