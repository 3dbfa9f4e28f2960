"""The fast formulations give the network's own function and gradients."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.histogram_block import DualScaleFeedForward, HistogramAttention
from training.acceleration import accelerate
from training.fast_attention import accelerate_attention
from training.fast_feed_forward import accelerate_feed_forward


@pytest.fixture(autouse=True)
def two_threads():
    """Threads of their own do part of the work: there must be some."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def results(module, x):
    """Output and gradients for the input and all parameters, by name."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=x.dtype).view(y.shape)
    (y * weights).sum().backward()
    found = {name: p.grad for name, p in module.named_parameters()}
    return {"output": y.detach(), "input": x.grad, **found}


def assert_same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, reference in expected.items():
        scale = float(reference.abs().max()) or 1.0
        torch.testing.assert_close(
            found[name].double() / scale, reference / scale, rtol=0, atol=tolerance
        )


def image(batch, channels, height, width, dtype, *, channels_last):
    torch.manual_seed(1)
    x = torch.randn(batch, channels, height, width, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


shapes = st.tuples(st.integers(1, 3), st.integers(1, 11), st.integers(1, 11))


class TestFeedForward:
    @settings(max_examples=20, deadline=None)
    @given(shapes, st.sampled_from([3, 4, 16]), st.booleans())
    def test_gives_the_networks_values_and_gradients_at_any_shape(
        self, shape, channels, channels_last
    ):
        # 3 and 4 channels make 7 and 10 hidden ones: odd and even
        torch.manual_seed(0)
        module = DualScaleFeedForward(channels)
        batch, height, width = shape
        x = image(batch, channels, height, width, torch.float32, channels_last=channels_last)
        expected = results(copy.deepcopy(module).double(), x.double())
        accelerate_feed_forward(module)
        assert_same(results(module, x), expected, 1e-5)


class TestAttention:
    @settings(max_examples=20, deadline=None)
    @given(shapes, st.sampled_from([(4, 1), (4, 2), (16, 4)]), st.booleans())
    def test_gives_the_networks_values_and_gradients_at_any_shape(
        self, shape, channels_and_heads, channels_last
    ):
        torch.manual_seed(0)
        channels, heads = channels_and_heads
        module = HistogramAttention(channels, heads).double()
        batch, height, width = shape
        x = image(batch, channels, height, width, torch.float64, channels_last=channels_last)
        expected = results(copy.deepcopy(module), x)
        accelerate_attention(module)
        assert_same(results(module, x), expected, 1e-9)

    def test_sorts_float32_as_the_network_does(self):
        torch.manual_seed(0)
        module = HistogramAttention(16, 2)
        x = image(2, 16, 24, 16, torch.float32, channels_last=True)
        with torch.no_grad():
            expected = module(x)
            accelerate_attention(module)
            torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-6)


class TestNetwork:
    @pytest.fixture(scope="class")
    def network(self):
        torch.manual_seed(0)
        return AMGFuse.from_size("tiny")

    def test_keeps_parameters_and_keys(self, network):
        before = {k: v.data_ptr() for k, v in network.state_dict().items()}
        accelerate(network)
        assert {k: v.data_ptr() for k, v in network.state_dict().items()} == before

    def test_gives_the_same_images_and_gradients_in_float32(self, network):
        fast = copy.deepcopy(network)
        accelerate(fast)
        fast = fast.to(memory_format=torch.channels_last)
        visible, thermal = torch.rand(2, 3, 16, 24), torch.rand(2, 1, 16, 24)
        outputs, gradients = [], []
        for module in (network, fast):
            module.zero_grad()
            output = module(visible, thermal)
            torch.cat(output).square().mean().backward()
            outputs.append(torch.cat(output).detach())
            gradients.append(module.output_f.weight.grad)
        # The mask's quotient magnifies another rounding.
        torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=0.02)
        torch.testing.assert_close(gradients[1], gradients[0], rtol=0.05, atol=0.01)

    def test_leaves_other_types_to_the_library(self, network):
        fast = copy.deepcopy(network).double()
        accelerate(fast)
        pair = torch.rand(1, 3, 16, 16).double(), torch.rand(1, 1, 16, 16).double()
        with torch.no_grad():
            expected = copy.deepcopy(network).double()(*pair).fused
            torch.testing.assert_close(fast(*pair).fused, expected, rtol=0, atol=1e-9)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            fast = copy.deepcopy(network)
            accelerate(fast)
            assert fast(*(t.float() for t in pair)).fused.isfinite().all()
