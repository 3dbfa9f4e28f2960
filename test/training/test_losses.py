import numpy as np
import pytest
import torch
from golden_weights import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.network import fusion_mask
from training.losses import (
    color_loss,
    gradient_loss,
    intensity_loss,
    mgls_loss,
    pseudo_mask,
    sobel_magnitude,
    ssim_loss,
    tdas_loss,
)


@pytest.fixture(scope="module")
def golden():
    """Inputs and values of every term in float64, computed by the authors' public code."""
    with np.load(GOLDEN / "losses" / "losses_s5_40x56.npz") as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file}


def assert_equal(value, expected):
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)


class TestGoldenValues:
    def test_gradient_is_equation_10(self, golden):
        value = gradient_loss(golden["fuse"], golden["vi"], golden["ir"])
        assert_equal(value, golden["gradient"])

    def test_color_is_equation_11(self, golden):
        assert_equal(color_loss(golden["fuse"], golden["vi"]), golden["color"])

    def test_intensity_is_the_published_codes(self, golden):
        value = intensity_loss(golden["fuse"], golden["vi"], golden["ir"])
        assert_equal(value, golden["intensity"])

    def test_ssim_is_the_published_codes(self, golden):
        value = ssim_loss(golden["fuse"], golden["vi"], golden["ir"])
        assert_equal(value, golden["one_minus_ssim"])

    def test_mgls_is_equations_6_and_7(self, golden):
        outputs = golden["f_vi"], golden["f_ir"]
        value = mgls_loss(*outputs, golden["pseudo"], golden["vi"], golden["ir"])
        assert_equal(value, golden["mgls_vi"] + golden["mgls_ir_all_channels"])

    def test_mgls_on_the_first_channel_is_the_published_codes(self, golden):
        value = mgls_loss(
            golden["f_vi"],
            golden["f_ir"],
            golden["pseudo"],
            golden["vi"],
            golden["ir"],
            first_channel_only=True,
        )
        assert_equal(value, golden["mgls_vi"] + golden["mgls_ir_first_channel"])

    def test_the_pseudo_mask_is_equation_5_of_the_pseudo_ground_truth(self, golden):
        value = pseudo_mask(golden["pseudo"], golden["vi"], golden["ir"])
        assert_equal(value, golden["mask_pseudo"])

    def test_tdas_is_equations_8_and_9(self, golden):
        seen = []

        def restorer(image):
            seen.append(image)
            return golden["restored"]

        value = tdas_loss(golden["fuse"], golden["vi_deg"], golden["ir"], restorer)
        assert_equal(value, golden["tdas"])
        assert_equal(seen[0], golden["mask_degraded"] * golden["vi_deg"])

    def test_tdas_in_the_published_form_takes_the_published_mask(self, golden):
        seen = []

        def restorer(image):
            seen.append(image)
            return torch.zeros_like(image)

        images = golden["fuse"], golden["vi_deg"], golden["ir"]
        value = tdas_loss(*images, restorer, published_form=True)
        expected = fusion_mask(*images, published_form=True) * golden["vi_deg"]
        assert_equal(seen[0], expected)
        assert_equal(value, expected.mean())


class TestGradients:
    @pytest.mark.parametrize(
        "images", ["random", "black", "white", "equal"], ids=lambda name: f"{name} images"
    )
    def test_are_finite_for_every_term(self, images):
        shape = (2, 3, 24, 16)
        torch.manual_seed(0)
        values = {"black": torch.zeros(shape), "white": torch.ones(shape)}
        visible = values.get(images, torch.rand(shape))
        thermal = visible.mean(1, keepdim=True) if images == "equal" else torch.rand(2, 1, 24, 16)
        outputs = [visible.clone().requires_grad_() for _ in range(3)]
        fused, f_vi, f_ir = outputs
        total = (
            gradient_loss(fused, visible, thermal)
            + color_loss(fused, visible)
            + intensity_loss(fused, visible, thermal)
            + ssim_loss(fused, visible, thermal)
            + mgls_loss(f_vi, f_ir, visible, visible, thermal)
            + tdas_loss(fused, visible, thermal, lambda image: 0.5 * image)
        )
        total.backward()
        for output in outputs:
            assert bool(output.grad.isfinite().all())

    def test_of_tdas_run_through_the_restorer(self):
        fused = torch.rand(1, 3, 16, 16, requires_grad=True)
        visible, thermal = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)

        def restorer(image):
            return image**2

        tdas_loss(fused, visible, thermal, restorer).backward()
        through = fused.grad.clone()
        fused.grad = None
        tdas_loss(fused, visible, thermal, lambda image: restorer(image).detach()).backward()
        assert not torch.allclose(through, fused.grad)


def image(channels):
    values = st.integers(0, 255)
    return st.lists(values, min_size=channels * 144, max_size=channels * 144).map(
        lambda v: torch.tensor(v, dtype=torch.float64).view(1, channels, 12, 12) / 255
    )


class TestProperties:
    @settings(max_examples=20, deadline=None)
    @given(image(3), image(1))
    def test_the_visible_image_itself_has_no_colour_loss(self, visible, thermal):
        assert color_loss(visible, visible) == 0
        # and none that a grey value added to all channels would give
        assert_equal(color_loss(visible + thermal, visible), torch.zeros((), dtype=torch.float64))

    @settings(max_examples=20, deadline=None)
    @given(image(1))
    def test_where_both_cameras_see_the_same_a_copy_has_no_loss(self, grey):
        rgb = grey.expand(1, 3, -1, -1)
        assert gradient_loss(rgb, rgb, grey) < 1e-12
        assert intensity_loss(rgb, rgb, grey) < 1e-12
        assert ssim_loss(rgb, rgb, grey) < 1e-9

    @settings(max_examples=20, deadline=None)
    @given(image(3), image(3), image(1))
    def test_ssim_lies_between_0_and_2_and_the_others_are_not_negative(self, fused, visible, ir):
        assert -1e-9 <= ssim_loss(fused, visible, ir) <= 2
        assert gradient_loss(fused, visible, ir) >= 0
        assert intensity_loss(fused, visible, ir) >= 0

    @settings(max_examples=10, deadline=None)
    @given(image(3), image(1))
    def test_the_exact_shares_have_no_mgls_loss(self, visible, thermal):
        mask = pseudo_mask(visible, visible, thermal)
        assert_equal(
            mgls_loss(mask * visible, (1 - mask) * thermal, visible, visible, thermal),
            torch.zeros((), dtype=torch.float64),
        )

    def test_a_restorer_that_changes_nothing_gives_no_tdas_loss(self):
        fused, visible, thermal = (torch.rand(1, c, 16, 16) for c in (3, 3, 1))
        assert tdas_loss(fused, visible, thermal, lambda image: image) == 0

    def test_the_gradient_of_a_ramp_is_eight_times_its_slope(self):
        ramp = torch.arange(10.0).expand(1, 1, 10, 10) * 0.1
        inside = sobel_magnitude(ramp)[..., 1:-1, 1:-1]
        torch.testing.assert_close(inside, torch.full_like(inside, 0.8))


class TestParts:
    """What data-parallel training relies on: losses of equal parts average to that of the whole."""

    def test_the_mean_of_ssim_over_the_parts_of_a_batch_is_that_of_the_batch(self, golden):
        fused, visible, thermal = golden["fuse"], golden["vi"], golden["ir"]
        strengths = torch.stack(
            [sobel_magnitude(i.mean(1, keepdim=True)).mean() for i in (visible, thermal)]
        )
        parts = [
            ssim_loss(
                fused[i : i + 1],
                visible[i : i + 1],
                thermal[i : i + 1],
                average=lambda _: strengths,
            )
            for i in range(2)
        ]
        assert_equal(sum(parts) / 2, golden["one_minus_ssim"])
