"""The size nano: equation 3 taken literally, small enough for a CPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from amg_fuse_ros.network.nano import Nano


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Nano().eval()
    nn.init.normal_(network.head.weight, std=0.02)
    return network


@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 70), width=st.integers(1, 70), batch=st.integers(1, 2))
def test_any_size_is_taken_and_the_fused_image_is_what_equation_3_says(height, width, batch):
    network = Nano().eval()
    nn.init.normal_(network.head.weight, std=0.02)
    visible = torch.rand(batch, 3, height, width)
    thermal = torch.rand(batch, 1, height, width)
    with torch.no_grad():
        fused, restored, mask, residual = network(visible, thermal)
    assert fused.shape == (batch, 3, height, width)
    assert mask.shape == (batch, 1, height, width)
    assert 0 <= mask.min() <= mask.max() <= 1
    torch.testing.assert_close(fused, mask * restored + (1 - mask) * thermal + residual)
    with torch.no_grad():
        torch.testing.assert_close(network.fuse(visible, thermal), fused)


def test_untrained_it_is_the_average_of_the_two_images():
    visible, thermal = torch.rand(1, 3, 33, 40), torch.rand(1, 1, 33, 40)
    with torch.no_grad():
        fused = Nano()(visible, thermal).fused
    torch.testing.assert_close(fused, (visible + thermal) / 2)


def test_what_lies_far_away_is_seen(network):
    """Haze is told from a scene's depth: a pixel must know of more than its neighbours."""
    visible = torch.rand(1, 3, 256, 256, requires_grad=True)
    network.fuse(visible, torch.rand(1, 1, 256, 256))[0, 0, 128, 128].backward()
    reached = visible.grad.abs().sum((0, 1)).nonzero()
    assert reached.min() < 128 - 64
    assert reached.max() > 128 + 64


def test_it_stays_within_its_budget(network):
    macs = 0

    def count(module, _, output):
        nonlocal macs
        macs += module.weight.numel() * output.shape[-2] * output.shape[-1]

    hooks = [m.register_forward_hook(count) for m in network.modules() if hasattr(m, "weight")]
    with torch.no_grad():
        network.fuse(torch.rand(1, 3, 224, 224), torch.rand(1, 1, 224, 224))
    for hook in hooks:
        hook.remove()
    assert 0.15e9 < macs <= 0.6e9
    assert 2 * sum(p.numel() for p in network.parameters()) < 1e6  # bytes in half precision


def test_what_is_no_pair_is_refused(network):
    with pytest.raises(ValueError, match="one size"):
        network(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 9))
