"""The eager engine is the network itself, in the floating type that was asked for."""

import copy

import numpy as np
import pytest
import torch
from golden_weights import golden_shapes, golden_state_dict
from small_pairs import smooth_pair

from amg_fuse_ros.engine.eager import EagerEngine
from amg_fuse_ros.network import AMGFuse, load_weights


@pytest.fixture
def network(random_weights):
    return load_weights(random_weights)


@pytest.fixture
def pair():
    """Visible H W 3 and thermal H W, float32 in [0, 1]."""
    thermal, rgb = smooth_pair(40, 48)
    return (rgb / 255).astype(np.float32), (thermal / 255).astype(np.float32)


def test_it_computes_what_the_network_does_and_clamps_it():
    network = AMGFuse.from_size("tiny").double().eval()
    network.load_state_dict(golden_state_dict(golden_shapes("tiny"), 5))
    rng = np.random.default_rng(0)
    visible, thermal = rng.random((21, 30, 3), np.float32), rng.random((21, 30), np.float32)
    vi = torch.from_numpy(visible).double().permute(2, 0, 1)[None]
    ir = torch.from_numpy(thermal).double()[None, None]
    with torch.no_grad():
        expected = network.fuse(vi, ir)[0].permute(1, 2, 0).numpy()
    assert expected.min() < 0  # so that the clamp has work
    assert expected.max() > 1
    fused = EagerEngine(network, "cpu", "fp64").fuse(visible, thermal)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, expected.clip(0, 1), atol=1e-6)


def test_the_same_pair_gives_the_same_image_bit_by_bit(network, pair):
    engine = EagerEngine(network, "cpu")
    np.testing.assert_array_equal(engine.fuse(*pair), engine.fuse(*pair))


def test_views_of_other_layouts_are_taken_and_left_alone(network, pair):
    visible, thermal = pair
    engine = EagerEngine(network, "cpu")
    expected = engine.fuse(visible[::-1, ::2].copy(), thermal[::-1, ::2].copy())
    before = visible.copy()
    np.testing.assert_array_equal(engine.fuse(visible[::-1, ::2], thermal[::-1, ::2]), expected)
    np.testing.assert_array_equal(visible, before)


def test_the_result_is_the_callers_to_keep(network, pair):
    engine = EagerEngine(network, "cpu")
    first = engine.fuse(*pair)
    kept = first.copy()
    engine.fuse(pair[0][::-1], pair[1][::-1])
    np.testing.assert_array_equal(first, kept)
    first[:] = 0  # writable, and nothing of the engine's
    np.testing.assert_array_equal(engine.fuse(*pair), kept)


def test_the_precisions_agree_as_well_as_their_digits_allow(network, pair):
    # With random weights the attentions are chaotic: a rounding reorders a sort or flips a mask.
    # Without what they add the network is smooth, and rounding stays as small as it is.
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if ".project_out" in name and ".ffn." not in name:
                weight.zero_()
    exact = EagerEngine(copy.deepcopy(network), "cpu", "fp64").fuse(*pair)
    single = EagerEngine(copy.deepcopy(network), "cpu", "fp32").fuse(*pair)
    short = EagerEngine(copy.deepcopy(network), "cpu", "bf16").fuse(*pair)
    assert exact.std() > 0.05
    assert np.abs(single - exact).max() < 1e-5
    assert 1e-5 < np.abs(short - exact).max() < 0.02


def test_auto_means_fp32_where_no_other_precision_is_asked_for(network):
    assert EagerEngine(network, "cpu").precision == "fp32"
