"""The formulation that the CPU runs gives what the readable one gives."""

import numpy as np
import pytest
import torch
from golden_weights import GOLDEN, golden_shapes, golden_state_dict
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.blocks import ChannelLayerNorm
from amg_fuse_ros.network.histogram_block import HistogramBlock
from amg_fuse_ros.network.inference import convolution, normalisation
from amg_fuse_ros.network.inference.attention import project_band
from amg_fuse_ros.network.inference.compile import are_kernels_compiled, compile_kernels
from amg_fuse_ros.network.inference.elementwise import feature_mask_rows
from amg_fuse_ros.network.inference.fast_network import FastNetwork
from amg_fuse_ros.network.inference.histogram_attention import add_histogram_attention
from amg_fuse_ros.network.inference.layout import content, planes, row_stride
from amg_fuse_ros.network.inference.mask_exchange import exchange
from amg_fuse_ros.network.inference.vectors import OUTPUTS
from amg_fuse_ros.network.inference.weights import Dense, Histogram
from amg_fuse_ros.network.inference.workspace import Workspace
from amg_fuse_ros.network.mask import feature_mask
from amg_fuse_ros.network.streams import Streams

GOLDEN_CASES = sorted((GOLDEN / "network").glob("tiny_w*.npz"))
SIZES = st.integers(1, 37)
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


@pytest.fixture(autouse=True)
def no_gradients_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's waiting threads slow small things down where others work
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def golden_network(seed):
    network = AMGFuse.from_size("tiny").double().eval()
    network.load_state_dict(golden_state_dict(golden_shapes("tiny"), seed))
    return network


@pytest.fixture(scope="module")
def network():
    return golden_network(5)


def as_planes(x, dtype):
    """1 C H W to planes."""
    p = planes(x.shape[1], *x.shape[2:], dtype)
    content(p, x.shape[3])[:] = x[0].numpy()
    return p


def assert_planes_hold(p, expected):
    width = expected.shape[-1]
    tolerance = TOLERANCE[p.dtype.type] * max(1.0, float(expected.abs().max()))
    np.testing.assert_allclose(content(p, width), expected[0].numpy(), rtol=0, atol=tolerance)
    border = p.copy()
    content(border, width)[:] = 0
    assert not border.any()


@pytest.mark.parametrize("path", GOLDEN_CASES, ids=lambda p: p.stem)
def test_in_float64_it_equals_the_published_code(path):
    golden = {name: torch.from_numpy(a) for name, a in np.load(path).items()}
    network = golden_network(int(path.stem.split("_w")[1].split("_")[0]))
    fused = FastNetwork(network, np.float64).fuse(golden["vi"], golden["ir"])
    torch.testing.assert_close(fused, golden["fuse"], rtol=0, atol=1e-9)


def test_any_size_one_after_the_other_equals_the_readable_network(network):
    fast = FastNetwork(network, np.float64)
    for height, width in ((21, 30), (40, 56), (1, 1), (8, 136), (40, 56)):
        vi = torch.rand(2, 3, height, width).double()
        ir = torch.rand(2, 1, height, width).double()
        torch.testing.assert_close(fast.fuse(vi, ir), network.fuse(vi, ir), rtol=0, atol=1e-9)


def test_the_full_size_with_its_eight_heads_equals_the_readable_network():
    network = AMGFuse.from_size("full").double().eval()
    vi, ir = torch.rand(1, 3, 24, 40).double(), torch.rand(1, 1, 24, 40).double()
    fast = FastNetwork(network, np.float64)
    torch.testing.assert_close(fast.fuse(vi, ir), network.fuse(vi, ir), rtol=0, atol=1e-9)
    assert fast._space.most_taken <= fast._space.capacity


def test_the_number_of_threads_changes_no_bit(network):
    vi, ir = torch.rand(1, 3, 40, 48), torch.rand(1, 1, 40, 48)
    fast = FastNetwork(network)
    results = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        results.append(fast.fuse(vi, ir))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_results_are_the_callers_to_keep(network):
    fast = FastNetwork(network)
    vi, ir = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)
    first = fast.fuse(vi, ir)
    kept = first.clone()
    fast.fuse(1 - vi, ir)
    assert torch.equal(first, kept)


def test_no_memory_is_taken_for_a_second_frame(network):
    fast = FastNetwork(network)
    vi, ir = torch.rand(1, 3, 24, 40), torch.rand(1, 1, 24, 40)
    fast.fuse(vi, ir)
    space, taken = fast._space, fast._space.most_taken
    held = {name: id(buffer) for name, (_, buffer) in space._scratch.items()}
    fast.fuse(ir.expand(1, 3, 24, 40), ir)
    assert (fast._space, space.most_taken, space.taken) == (space, taken, 0)
    # A thread that had nothing to do before may have made its own working memory by now.
    assert held.items() <= {name: id(b) for name, (_, b) in space._scratch.items()}.items()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 72), (64, 48)])
def test_a_frame_fits_into_what_is_set_aside_and_what_lies_there_changes_no_bit(
    network, height, width
):
    fast = FastNetwork(network)
    vi, ir = torch.rand(1, 3, height, width), torch.rand(1, 1, height, width)
    fused = fast.fuse(vi, ir)
    space = fast._space
    assert 0 < space.most_taken <= space.capacity
    space._stack[:] = 0xFF  # NaN, whatever the type
    assert torch.equal(fast.fuse(vi, ir), fused)


def test_frames_of_two_sizes_in_turn_share_the_memory_of_the_larger(network):
    fast = FastNetwork(network)
    pairs = [(torch.rand(1, 3, h, 40), torch.rand(1, 1, h, 40)) for h in (40, 24)]
    fused = [fast.fuse(*pair) for pair in pairs]
    stack = fast._space._stack
    again = [fast.fuse(*pair) for pair in pairs]
    assert fast._space._stack is stack
    assert all(map(torch.equal, again, fused))


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.sampled_from([1, 3]), inputs=st.integers(1, 20), outputs=st.integers(1, 20),
    height=SIZES, width=st.integers(1, 70), residual=st.booleans(), clamp=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_dense_convolutions_equal_the_librarys(
    kernel, inputs, outputs, height, width, residual, clamp, dtype
):
    torch.manual_seed(0)
    module = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2).double()
    x, r = (torch.randn(1, c, height, width).double() for c in (inputs, outputs))
    expected = module(x) + r if residual else module(x)
    dense, y = Dense.of(module, dtype), planes(outputs, height, width, dtype)
    run = convolution.convolve_1x1 if kernel == 1 else convolution.convolve_3x3
    run(
        as_planes(x, dtype), dense.weights, dense.bias, as_planes(r, dtype), y, width, 0, height,
        int(residual), int(clamp),
    )  # fmt: skip
    assert_planes_hold(y, expected.relu() if clamp else expected)


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 6), height=SIZES, width=SIZES)
def test_pixels_are_shuffled_as_the_library_does(channels, height, width):
    x = torch.randn(1, 4 * channels, height, width).double()
    up = planes(channels, 2 * height, 2 * width, np.float64)
    convolution.shuffle_up(as_planes(x, np.float64), up, width, 0, height)
    assert_planes_hold(up, nn.functional.pixel_shuffle(x, 2))
    down = planes(4 * channels, height, width, np.float64)
    convolution.shuffle_down(up, down, width, 0, height)
    assert_planes_hold(down, x)


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 20), height=SIZES, width=SIZES)
def test_the_layer_norm_equals_the_readable_one(channels, height, width):
    norm = ChannelLayerNorm(channels).double()
    nn.init.normal_(norm.body.weight)
    nn.init.normal_(norm.body.bias)
    x = torch.randn(1, channels, height, width).double() * 3 + 1
    y = planes(channels, height, width, np.float64)
    normalisation.normalise(
        as_planes(x, np.float64), norm.body.weight.detach().numpy(),
        norm.body.bias.detach().numpy(), y, width, 0, height,
    )  # fmt: skip
    assert_planes_hold(y, norm(x))


@settings(max_examples=15, deadline=None)
@given(height=SIZES, width=st.integers(1, 70), band=st.integers(1, 40))
def test_projection_and_depthwise_convolution_equal_the_librarys(height, width, band):
    torch.manual_seed(0)
    one = nn.Conv2d(5, 11, 1, bias=False).double()
    two = nn.Conv2d(11, 11, 3, padding=1, groups=11, bias=False).double()
    x = torch.randn(1, 5, height, width).double()
    dense, y = Dense.of(one, np.float64), planes(11, height, width, np.float64)
    scratch = np.zeros(OUTPUTS * (band + 2) * row_stride(width) + 64)
    for first in range(0, height, band):
        project_band(
            as_planes(x, np.float64), dense.weights, dense.bias,
            two.weight.detach().numpy().reshape(11, 9), y, scratch, width, first,
            min(first + band, height),
        )  # fmt: skip
    assert_planes_hold(y, two(one(x)))


@settings(max_examples=15, deadline=None)
@given(height=SIZES, width=SIZES, heads=st.sampled_from([1, 2, 4, 8]), blocks=st.integers(1, 3))
def test_histogram_blocks_equal_the_readable_ones(network, height, width, heads, blocks):
    torch.manual_seed(height)
    modules = nn.Sequential(*(HistogramBlock(16, heads) for _ in range(blocks))).double()
    for norm in (m for m in modules.modules() if isinstance(m, ChannelLayerNorm)):
        nn.init.normal_(norm.body.weight)
        nn.init.normal_(norm.body.bias)
    x = torch.randn(1, 16, height, width).double()
    fast = FastNetwork(network, np.float64)
    fast._space = Workspace(height, width, np.float64)
    y = planes(16, height, width, np.float64)
    packed = [Histogram.of(block, np.float64) for block in modules]
    fast._blocks(as_planes(x, np.float64), packed, 0, y=y)
    assert_planes_hold(y, modules(x))


def test_histogram_attention_equals_the_readable_one_beyond_one_chunk():
    block = HistogramBlock(16, 2).double()
    x = torch.randn(1, 16, 75, 80).double()
    p, w = as_planes(x, np.float64), Histogram.of(block, np.float64).attention
    add_histogram_attention(p, w, 2, Workspace(75, 80, np.float64), 0)
    assert_planes_hold(p, x + block.attn(block.norm1(x)))


@pytest.mark.parametrize(("level", "height", "width"), [(0, 17, 23), (2, 5, 7), (3, 9, 40)])
def test_the_exchange_equals_the_readable_one(network, level, height, width):
    channels = 16 << level
    x = Streams(*(torch.randn(1, channels, height, width).double() for _ in range(3)))
    p = [as_planes(s, np.float64) for s in x]
    weights = FastNetwork(network, np.float64)._exchange[level]
    exchange(p, weights, Workspace(height << level, width << level, np.float64), level)
    for fast, readable in zip(p, network._mfem(level, x), strict=True):
        assert_planes_hold(fast, readable)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), width=SIZES, scale=st.sampled_from([1e-6, 1.0, 1e4]))
def test_the_mask_of_features_equals_the_readable_one_in_float32(seed, width, scale):
    generator = torch.Generator().manual_seed(seed)
    f, v, i = (torch.randn(1, 3, 4, width, generator=generator) * scale for _ in range(3))
    mask = planes(3, 4, width, np.float32)
    feature_mask_rows(*(as_planes(t, np.float32) for t in (f, v, i)), mask, width, 0, 4)
    assert_planes_hold(mask, feature_mask(f, v, i))


def test_kernels_once_compiled_are_found_again():
    compile_kernels()
    assert are_kernels_compiled()
    assert compile_kernels() < 20
