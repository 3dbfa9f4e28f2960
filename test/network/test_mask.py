"""The mask says how much of each pixel comes from the visible camera."""

import math

import pytest
import torch

from amg_fuse_ros.network import fusion_mask


def constant(value: float, channels: int) -> torch.Tensor:
    return torch.full((1, channels, 4, 4), value, dtype=torch.float64)


def test_equation_5_on_a_pixel_computed_by_hand():
    mask = fusion_mask(constant(0.5, 3), constant(0.6, 3), constant(0.2, 1))
    quotient = (0.5 - 0.2) / (0.6 - 0.2 + 0.5 + 1e-8)
    expected = 1 / (1 + math.exp(-5 * (quotient - 0.5)))
    torch.testing.assert_close(mask, constant(expected, 3))


def test_the_published_form_takes_the_other_numerator():
    mask = fusion_mask(constant(0.9, 3), constant(0.6, 3), constant(0.2, 1), published_form=True)
    quotient = (0.9 - 0.6) / (0.6 - 0.2 + 0.9 + 1e-8)
    torch.testing.assert_close(mask, constant(1 / (1 + math.exp(-5 * (quotient - 0.5))), 3))


def test_the_mask_stays_within_the_sigmoid_of_the_clamped_quotient():
    torch.manual_seed(0)
    mask = fusion_mask(torch.rand(2, 3, 9, 9), torch.rand(2, 3, 9, 9), torch.rand(2, 1, 9, 9))
    low, high = 1 / (1 + math.exp(2.5)), 1 / (1 + math.exp(-2.5))
    assert mask.shape == (2, 3, 9, 9)
    assert float(mask.min()) >= low - 1e-6
    assert float(mask.max()) <= high + 1e-6


def test_a_thermal_image_of_three_channels_is_taken_as_well():
    torch.manual_seed(1)
    fused, visible, thermal = torch.rand(1, 3, 5, 5), torch.rand(1, 3, 5, 5), torch.rand(1, 1, 5, 5)
    one, three = (
        fusion_mask(fused, visible, thermal),
        fusion_mask(fused, visible, thermal.expand(-1, 3, -1, -1)),
    )
    torch.testing.assert_close(one, three, rtol=0, atol=0)


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="found"):
        fusion_mask(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4), torch.rand(1, 1, 5, 4))
