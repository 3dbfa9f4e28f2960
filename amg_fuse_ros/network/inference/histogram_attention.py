"""The histogram attention of the fast formulation, step by step."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference import ranking, sequences
from amg_fuse_ros.network.inference.attention import add_products, add_squares, project_band
from amg_fuse_ros.network.inference.convolution import convolve_1x1, pointwise_run
from amg_fuse_ros.network.inference.layout import Array, row_stride
from amg_fuse_ros.network.inference.normalisation import normalise
from amg_fuse_ros.network.inference.vectors import OUTPUTS
from amg_fuse_ros.network.inference.weights import Attention, dense_from_matrix
from amg_fuse_ros.network.inference.workspace import Workspace
from amg_fuse_ros.network.threads import in_steps

BAND = 16
_CHUNK = 2048
"""Elements of each sequence between two visits of the small matrix: they stay in the cache."""


def add_histogram_attention(
    x: Array, w: Attention, heads: int, space: Workspace, level: int
) -> None:
    """X += attn(norm1(x)), in place; see :class:`...histogram_block.HistogramAttention`.

    Args:
        x: Planes of C channels.
        w: Weights.
        heads: Of the attention, and its factor.
        space: Working memory.
        level: Of the features.
    """
    channels = len(x)
    height, width = space.size(level)
    half = channels // 2
    normed = space.planes("a", level, channels)
    in_steps(height, BAND, lambda _, a, b: normalise(x, w.scale, w.bias, normed, width, a, b))
    origin = _rank(normed[:half], space, level)
    qkv = _project(normed, w, space, level)
    order, taken = _sort(qkv, heads, space, level)
    bins, frequencies = _attend(taken, w.temperature, heads)

    mixed, n = qkv[:channels], height * width

    def put_back(_: int, c: int, __: int) -> None:
        sequences.put_back(bins[c], frequencies[c], order[c], mixed[c].reshape(-1), n)

    in_steps(channels, 1, put_back)
    projected = space.planes("b", level, half)

    def project_out(_: int, a: int, b: int) -> None:
        ranked, rest = w.out_ranked, w.out_rest
        convolve_1x1(mixed, ranked.weights, ranked.bias, projected, projected, width, a, b, 0, 0)
        convolve_1x1(mixed, rest.weights, rest.bias, x[half:], x[half:], width, a, b, 1, 0)

    in_steps(height, BAND, project_out)

    def add(_: int, c: int, __: int) -> None:
        ranking.add_at_origin(projected[c], origin[c], x[c].reshape(-1), width)

    in_steps(half, 1, add)


def _rank(x: Array, space: Workspace, level: int) -> NDArray[np.int32]:
    """Sort planes along columns, then rows, in place; where the pixels came from, like ``x``."""
    width = space.size(level)[1]
    origin = space.flat("origin", x.size, np.int32).reshape(x.shape)
    bits = _bits(x)
    in_steps(len(x), 1, lambda _, c, __: ranking.rank_plane(x[c], bits[c], origin[c], width))
    return origin


def _project(x: Array, w: Attention, space: Workspace, level: int) -> Array:
    height, width = space.size(level)
    outputs, stride = w.qkv.outputs, row_stride(width)
    qkv = space.flat("qkv", outputs * x[0].size + stride).reshape(-1)
    qkv = qkv[: outputs * x[0].size].reshape(outputs, *x.shape[1:])
    scratch = OUTPUTS * (BAND + 2) * stride + 64

    def project(thread: int, a: int, b: int) -> None:
        project_band(
            x, w.qkv.weights, w.qkv.bias, w.depthwise, qkv,
            space.flat("project", scratch, key=(thread, level)), width, a, b,
        )  # fmt: skip

    in_steps(height, BAND, project)
    return qkv


def _sort(
    qkv: Array, factor: int, space: Workspace, level: int
) -> tuple[NDArray[np.int32], list[Array]]:
    """Order by v; and q1, k1, q2, k2 and v in both readings in that order, C factor L each."""
    height, width = space.size(level)
    n, channels = height * width, len(qkv) // 5
    order = space.flat("order", channels * n, np.int32).reshape(channels, n)
    length = sequences.part_length(n, factor)
    readings = 5 if factor == 1 else 6
    store = space.flat("sequences", readings * channels * factor * length)
    taken = list(store.reshape(readings, channels, factor, length))
    planes = qkv.reshape(5, channels, -1)
    v = qkv[4 * channels :]
    bits = _bits(v)
    bins, frequencies = sequences.take_bins, sequences.take_frequencies
    ways = [bins, bins, frequencies, frequencies, bins, frequencies]
    sources = [0, 1, 2, 3, 4, 4]

    def sort(thread: int, c: int, _: int) -> None:
        pairs, spare = (space.flat(name, n, np.uint64, thread) for name in ("pairs", "spare"))
        sequences.order_plane(v[c], bits[c], order[c], width, pairs, spare)
        for source, take, target in zip(sources, ways, taken, strict=False):
            take(planes[source, c], order[c], target[c], n)

    in_steps(channels, 1, sort)
    if factor == 1:
        taken.append(taken[4])
    return order, taken


def _attend(taken: list[Array], temperature: NDArray[np.float64], heads: int) -> list[Array]:
    """Both readings' results, C factor L; they overwrite the queries."""
    channels, _, length = taken[0].shape
    dtype = taken[0].dtype.type
    readings = [(taken[0], taken[1], taken[4]), (taken[2], taken[3], taken[5])]
    flat = [[t.reshape(-1) for t in reading] for reading in readings]
    head = channels * length  # elements of a head: its channels times the factor are C rows
    chunk = min(length, _CHUNK)
    chunks = -(-length // chunk)
    grams = np.zeros((chunks, 2, heads, channels * channels))
    squares = np.zeros((chunks, 2, heads, 2, channels))
    tasks = list(product(range(chunks), range(2), range(heads)))

    def multiply(_: int, first: int, last: int) -> None:
        for part, reading, h in tasks[first:last]:
            q, k, __ = flat[reading]
            start, size = h * head + part * chunk, min(chunk, length - part * chunk)
            add_products(q, start, length, k, start, length, size, channels,
                         grams[part, reading, h], 0)  # fmt: skip
            for which, vectors in enumerate((q, k)):
                add_squares(vectors, start, length, size, channels,
                            squares[part, reading, h, which], 0)  # fmt: skip

    in_steps(len(tasks), 1, multiply)
    gram = grams.sum(0).reshape(2, heads, channels, channels)
    norms = np.maximum(np.sqrt(squares.sum(0)), 1e-12)
    exp = np.exp(gram / (norms[:, :, 0, :, None] * norms[:, :, 1, None, :]) * temperature)
    attention = exp / (exp.sum(-1, keepdims=True) + 1)
    packed = [[dense_from_matrix(m, dtype) for m in reading] for reading in attention]

    def apply(_: int, first: int, last: int) -> None:
        for part, reading, h in tasks[first:last]:
            q, __, v = flat[reading]
            start, size = h * head + part * chunk, min(chunk, length - part * chunk)
            pointwise_run(
                v, start, length, channels, packed[reading][h].weights, 0,
                packed[reading][h].bias, 0, channels, q, start, q, start, length, size, 0, 0,
            )  # fmt: skip

    in_steps(len(tasks), 1, apply)
    return [taken[0], taken[2]]


def _bits(x: Array) -> NDArray[np.unsignedinteger]:
    return x.view(np.uint32 if x.itemsize == 4 else np.uint64)
