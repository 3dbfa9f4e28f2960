import pytest
import torch

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.cross_attention import MaskedCrossAttention
from amg_fuse_ros.network.streams import Streams
from training.variants import replace_cross_attention, to_standard


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AMGFuse.from_size("tiny").eval()


@pytest.fixture
def pair():
    torch.manual_seed(1)
    return torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)


def exchange(kind):
    module = MaskedCrossAttention(16, 2)
    replace_cross_attention(module, kind)
    torch.manual_seed(2)
    x, mask = Streams(*torch.rand(3, 1, 16, 8, 8)), torch.rand(1, 16, 8, 8)
    return module, x, mask


def test_sum_adds_the_masked_sources_to_the_fused_stream_alone():
    module, x, mask = exchange("sum")
    added = module(x, mask)
    torch.testing.assert_close(added.f, mask * x.vi + (1 - mask) * x.ir)
    assert not added.vi.any()
    assert not added.ir.any()
    assert torch.equal(module.fused_only(x, mask), added.f)


def test_none_adds_nothing():
    module, x, mask = exchange("none")
    assert not any(added.any() for added in module(x, mask))
    assert not module.fused_only(x, mask).any()


@pytest.mark.parametrize("kind", ["sum", "none"])
@torch.inference_mode()
def test_parameters_and_keys_stay_and_the_way_back_is_open(network, pair, kind):
    before = network(*pair).fused
    keys = {k: v.data_ptr() for k, v in network.state_dict().items()}
    replace_cross_attention(network, kind)
    assert {k: v.data_ptr() for k, v in network.state_dict().items()} == keys
    changed = network(*pair).fused
    assert not torch.allclose(changed, before, atol=1e-3)
    replace_cross_attention(network, "mcca")
    assert torch.equal(network(*pair).fused, before)


@torch.inference_mode()
def test_a_network_without_exchange_becomes_an_ordinary_one_that_computes_the_same(network, pair):
    replace_cross_attention(network, "none")
    expected = network(*pair)
    to_standard(network, "none")
    assert {type(m) for m in network.CA_processors[:8]} == {MaskedCrossAttention}
    for value, reference in zip(network(*pair), expected, strict=True):
        torch.testing.assert_close(value, reference)


def test_a_network_with_a_sum_cannot_become_an_ordinary_one(network):
    with pytest.raises(ValueError, match="sum is an ablation"):
        to_standard(network, "sum")


def test_an_unknown_kind_is_refused(network):
    with pytest.raises(ValueError, match=r"expected one of.*'mean'"):
        replace_cross_attention(network, "mean")
