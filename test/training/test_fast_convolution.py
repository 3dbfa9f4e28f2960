import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from amg_fuse_ros.network import AMGFuse
from training.fast_convolution import accelerate_convolutions


def pointwise(channels, kernel):
    del kernel
    return nn.Conv2d(channels, channels + 2, 1, bias=False)


def depthwise(channels, kernel):
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)


def paired(groups, kernel):
    channels = 2 * groups
    return nn.Conv2d(channels, groups, kernel, padding=kernel // 2, groups=groups, bias=False)


def gradients(module, x):
    """Output and gradients of a loss that weighs every output differently, in ``x``'s type."""
    x = x.clone().requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=x.dtype).view(y.shape)
    (y * weights).sum().backward()
    return y.detach(), x.grad, module.weight.grad


def assert_computes_the_same(module, x):
    """Against the library in float64."""
    expected = gradients(copy.deepcopy(module).double(), x.double())
    accelerate_convolutions(module)
    for value, reference in zip(gradients(module, x), expected, strict=True):
        scale = float(reference.abs().max()) or 1.0
        torch.testing.assert_close(value.double() / scale, reference / scale, rtol=0, atol=2e-6)


class TestAcceleratedConvolutions:
    @settings(max_examples=25, deadline=None)
    @given(
        make=st.sampled_from([pointwise, depthwise, paired]),
        kernel=st.sampled_from([3, 5]),
        channels=st.integers(1, 9),
        batch=st.integers(1, 3),
        height=st.integers(1, 9),
        width=st.integers(1, 15),
        channels_last=st.booleans(),
    )
    def test_give_the_librarys_values_and_gradients_at_any_shape(
        self, make, kernel, channels, batch, height, width, channels_last
    ):
        torch.manual_seed(0)
        module = make(channels, kernel)
        x = torch.randn(batch, module.in_channels, height, width)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        assert_computes_the_same(module, x)

    def test_sum_in_the_same_order_whatever_thread_is_first(self):
        torch.manual_seed(0)
        module = depthwise(16, 3)
        accelerate_convolutions(module)
        x = torch.randn(1, 16, 61, 40)
        threads = torch.get_num_threads()
        torch.set_num_threads(4)
        try:
            results = []
            for _ in range(10):
                module.weight.grad = None
                results.append(gradients(module, x)[2])
        finally:
            torch.set_num_threads(threads)
        assert all(torch.equal(results[0], result) for result in results)

    def test_leave_float64_to_the_library(self):
        module = paired(3, 3).double()
        expected = gradients(copy.deepcopy(module), torch.ones(1, 6, 5, 5).double())
        accelerate_convolutions(module)
        for value, reference in zip(
            gradients(module, torch.ones(1, 6, 5, 5).double()), expected, strict=True
        ):
            assert torch.equal(value, reference)


class TestAccelerate:
    @pytest.fixture(scope="class")
    def network(self):
        torch.manual_seed(0)
        return AMGFuse.from_size("tiny")

    def test_takes_every_depthwise_and_paired_convolution_of_the_network(self, network):
        accelerate_convolutions(network)
        grouped = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
        assert len(grouped) > 50
        assert not [m for m in grouped if type(m) is nn.Conv2d]

    def test_leaves_other_convolutions_alone(self):
        convolutions = nn.ModuleList(
            [
                nn.Conv2d(4, 4, 3, padding=1, bias=False),
                nn.Conv2d(4, 4, 3, padding=1, groups=4),
                nn.Conv2d(8, 4, 3, padding=1, groups=2, bias=False),
                nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, stride=2),
                nn.Conv2d(4, 4, 3, groups=4, bias=False),
                nn.Conv2d(4, 4, 1),
                nn.Conv2d(4, 4, 1, groups=2, bias=False),
            ]
        )
        accelerate_convolutions(convolutions)
        assert all(type(module) is nn.Conv2d for module in convolutions)
