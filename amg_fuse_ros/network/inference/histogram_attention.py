"""The histogram attention of the fast formulation, step by step."""

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference import ranking, sequences
from amg_fuse_ros.network.inference.attention import add_products, add_squares, project_band
from amg_fuse_ros.network.inference.convolution import convolve_1x1, pointwise_run
from amg_fuse_ros.network.inference.layout import OVERRUN, Array, clear_border
from amg_fuse_ros.network.inference.normalisation import normalise
from amg_fuse_ros.network.inference.vectors import OUTPUTS
from amg_fuse_ros.network.inference.weights import Attention, dense_from_matrix
from amg_fuse_ros.network.inference.workspace import Workspace
from amg_fuse_ros.network.threads import in_steps

BAND = 16
_BLOCKS = 6
_PIXELS = 1 << 16
_CHUNK = 2048
"""Elements of each sequence between two visits of the small matrix: they stay in the cache."""


def add_histogram_attention(
    x: Array, w: Attention, heads: int, space: Workspace, level: int
) -> None:
    """X += attn(norm1(x)), in place; see :class:`...histogram_block.HistogramAttention`.

    Nothing is stored beside what it is made of: normalised features, then q1, k1, q2, k2 and v lie
    in six blocks of planes, and each sequence goes where the one before it came from.

    Args:
        x: Planes of C channels.
        w: Weights.
        heads: Of the attention, and its factor.
        space: Working memory.
        level: Of the features.
    """
    with space.scope():
        _add(x, w, heads, space, level)


def _add(x: Array, w: Attention, heads: int, space: Workspace, level: int) -> None:
    channels = len(x)
    height, width = space.size(level)
    half, rows = channels // 2, sequences.plane_rows(height, width, heads)
    blocks = space.take(_BLOCKS * channels * rows * x.shape[2] + OVERRUN)[:-OVERRUN]
    blocks = blocks.reshape(_BLOCKS, channels, rows, -1)
    normed = blocks[0]
    clear_border(normed, height, width)
    in_steps(height, BAND, lambda _, a, b: normalise(x, w.scale, w.bias, normed, width, a, b))
    origin = _rank(normed[:half], space, level)
    _project(normed, blocks[1:].reshape(-1, *normed.shape[1:]), w, space, level)
    order, readings = _sort(blocks, heads, space, level)
    _attend(readings, w.temperature, heads, sequences.part_length(height * width, heads))
    bins, frequencies = (reading[0] for reading in readings)
    mixed, projected = blocks[1], blocks[3, :half]  # the keys are not needed any more
    n, flat = height * width, mixed.reshape(channels, -1)
    in_steps(
        channels, _step(channels, n),
        lambda _, a, b: sequences.put_back(bins, frequencies, order, flat, n, a, b),
    )  # fmt: skip

    def project_out(_: int, a: int, b: int) -> None:
        ranked, rest = w.out_ranked, w.out_rest
        convolve_1x1(mixed, ranked.weights, ranked.bias, projected, projected, width, a, b, 0, 0)
        convolve_1x1(mixed, rest.weights, rest.bias, x[half:], x[half:], width, a, b, 1, 0)

    in_steps(height, BAND, project_out)
    in_steps(
        half, _step(half, n),
        lambda _, a, b: ranking.add_at_origin(projected, origin, x, width, a, b),
    )  # fmt: skip


def _rank(x: Array, space: Workspace, level: int) -> NDArray[np.int32]:
    """Sort planes along columns, then rows, in place; where the pixels came from."""
    (height, width), channels = space.size(level), len(x)
    shape = (channels, height + 2, x.shape[2])
    origin = space.take(math.prod(shape), np.int32).reshape(shape)
    bits = _bits(x)
    in_steps(
        channels, _step(channels, height * width),
        lambda _, a, b: ranking.rank_planes(x, bits, origin, width, a, b),
    )  # fmt: skip
    return origin


def _project(x: Array, qkv: Array, w: Attention, space: Workspace, level: int) -> None:
    height, width = space.size(level)
    size = OUTPUTS * (BAND + 2) * x.shape[2] + 64

    def project(thread: int, a: int, b: int) -> None:
        scratch = space.scratch("project", thread, level, size)
        project_band(x, w.qkv.weights, w.qkv.bias, w.depthwise, qkv, scratch, width, a, b)

    in_steps(height, BAND, project)


def _sort(
    blocks: Array, factor: int, space: Workspace, level: int
) -> tuple[NDArray[np.int32], list[tuple[Array, Array, Array]]]:
    """Order by v; and q, k and v of both readings in that order, C factor D each.

    Block by block the sequences take the place of what has been read before: q1 goes to block 0,
    k1 to q1's, and so on; v is sorted where it lies.
    """
    height, width = space.size(level)
    n, channels = height * width, blocks.shape[1]
    order = space.take(channels * n, np.int32).reshape(channels, n)
    taken = blocks.reshape(_BLOCKS, channels, factor, -1)
    bits = _bits(blocks)

    def sort(thread: int, first: int, last: int) -> None:
        pairs, spare = (
            space.scratch(name, thread, None, n, np.uint64) for name in ("pairs", "spare")
        )
        sequences.sort_channels(
            blocks, bits, taken, order, height, width, pairs, spare, first, last
        )

    in_steps(channels, _step(channels, n), sort)
    q1, k1, q2, k2, v2, v1 = taken
    return order, [(q1, k1, v1), (q2, k2, v2 if factor > 1 else v1)]


def _attend(
    readings: list[tuple[Array, Array, Array]],
    temperature: NDArray[np.float64],
    heads: int,
    length: int,
) -> None:
    """Attention in both readings, on L elements of each row; the results overwrite the queries."""
    channels, _, distance = readings[0][0].shape
    dtype = readings[0][0].dtype.type
    flat = [[t.reshape(-1) for t in reading] for reading in readings]
    head = channels * distance  # elements of a head: its channels times the factor are C rows
    chunk = min(length, _CHUNK)
    chunks = -(-length // chunk)
    grams = np.zeros((chunks, 2, heads, channels * channels))
    squares = np.zeros((chunks, 2, heads, 2, channels))
    tasks = list(product(range(chunks), range(2), range(heads)))

    def multiply(_: int, first: int, last: int) -> None:
        for part, reading, h in tasks[first:last]:
            q, k, __ = flat[reading]
            start, size = h * head + part * chunk, min(chunk, length - part * chunk)
            add_products(q, start, distance, k, start, distance, size, channels,
                         grams[part, reading, h], 0)  # fmt: skip
            for which, vectors in enumerate((q, k)):
                add_squares(vectors, start, distance, size, channels,
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
                v, start, distance, channels, packed[reading][h].weights, 0,
                packed[reading][h].bias, 0, channels, q, start, q, start, distance, size, 0, 0,
            )  # fmt: skip

    in_steps(len(tasks), 1, apply)


def _step(channels: int, pixels: int) -> int:
    """How many channels a thread takes at once: of small ones several, which saves hand-overs."""
    return max(1, min(_PIXELS // pixels, channels // 8))


def _bits(x: Array) -> NDArray[np.unsignedinteger]:
    return x.view(np.uint32 if x.itemsize == 4 else np.uint64)
