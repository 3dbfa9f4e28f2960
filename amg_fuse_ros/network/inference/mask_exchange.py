"""The mask-guided exchange (MFEM) of the fast formulation, step by step."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference.convolution import convolve_1x1, convolve_3x3
from amg_fuse_ros.network.inference.elementwise import feature_mask_rows
from amg_fuse_ros.network.inference.exchange import exchange_band, scratch_size
from amg_fuse_ros.network.inference.layout import Array, row_stride
from amg_fuse_ros.network.inference.weights import Exchange, dense_from_matrix
from amg_fuse_ros.network.inference.workspace import Workspace
from amg_fuse_ros.network.threads import in_steps

BAND = 8


def exchange(
    x: Sequence[Array],
    w: Exchange,
    space: Workspace,
    level: int,
    *,
    fused: Array | None = None,
    fused_only: bool = False,
) -> None:
    """Add to each stream what it gets from the others, in place where nothing else is said.

    Args:
        x: Planes of the visible, the thermal and the fused stream.
        w: Weights.
        space: Working memory.
        level: Of the features.
        fused: Planes that receive the fused stream.
        fused_only: Whether the visible and thermal streams are not needed any more.
    """
    with space.scope():
        _exchange(x, w, space, level, x[2] if fused is None else fused, fused_only)


def _exchange(
    x: Sequence[Array], w: Exchange, space: Workspace, level: int, fused: Array, fused_only: bool
) -> None:
    v, i, f = x
    channels, each = len(v), len(v) // w.heads
    height, width = space.size(level)
    mask, inner = space.planes(level, channels), space.planes(level, channels)
    first, second = w.mask.first, w.mask.second

    def run(step: Callable[[int, int, int], object], band: int = BAND) -> None:
        in_steps(height, band, step)

    run(lambda _, a, b: feature_mask_rows(f, v, i, mask, width, a, b))
    run(
        lambda _, a, b: convolve_3x3(
            mask, first.weights, first.bias, inner, inner, width, a, b, 0, 1
        )
    )
    run(
        lambda _, a, b: convolve_3x3(
            inner, second.weights, second.bias, mask, mask, width, a, b, 1, 0
        )
    )

    bands = -(-height // BAND)
    products = np.zeros((bands, 2 * channels * each))
    squares, sums = np.zeros((bands, 3 * channels)), np.zeros((bands, channels))
    size = scratch_size(channels, w.heads, BAND, row_stride(width))
    values = inner

    def collect(thread: int, a: int, b: int) -> None:
        band = a // BAND
        exchange_band(
            v, i, f, mask, w.wq_vi.weights, w.wq_ir.weights, w.wk.weights, w.wv.weights,
            w.dq_vi, w.dq_ir, w.dk, w.dv, w.wk.bias, values, w.heads,
            products[band], squares[band], sums[band],
            space.scratch("exchange", thread, level, size), width, a, b,
        )  # fmt: skip

    run(collect)
    matrices = _matrices(
        w, products.sum(0), squares.sum(0), sums.sum(0) / (height * width), channels
    )
    dense = [dense_from_matrix(m, space.dtype) for m in matrices]

    streams = ((f, fused), (v, v), (i, i))
    wanted = list(zip(dense, streams, strict=True))[: 1 if fused_only else 3]

    def add(_: int, a: int, b: int) -> None:
        for matrix, (old, new) in wanted:
            convolve_1x1(values, matrix.weights, matrix.bias, old, new, width, a, b, 1, 0)

    run(add)


def _matrices(
    w: Exchange,
    products: NDArray[np.float64],
    squares: NDArray[np.float64],
    mean: NDArray[np.float64],
    channels: int,
) -> list[Array]:
    """What the values are multiplied with for the fused, the visible and the thermal stream."""
    heads, each = w.heads, channels // w.heads
    gram = products.reshape(2, heads, each, each)
    norm_v, norm_i, norm_k = np.maximum(np.sqrt(squares), 1e-12).reshape(3, heads, each)
    attention = []
    for affinity, norm in zip(gram, (norm_v, norm_i), strict=True):
        exponent = affinity / (norm[:, :, None] * norm_k[:, None, :]) * w.temperature
        exp = np.exp(exponent - exponent.max(-1, keepdims=True))
        shares = exp / exp.sum(-1, keepdims=True)
        whole = np.zeros((channels, channels))
        for h in range(heads):
            rows = slice(h * each, (h + 1) * each)
            whole[rows, rows] = shares[h]
        attention.append(whole)
    squeezed = np.maximum(w.squeeze @ np.concatenate([a @ mean for a in attention]), 0)
    alpha = 1 / (1 + np.exp(-(w.excite @ squeezed)))
    fused = w.out_f @ (alpha[0] * attention[0] + alpha[1] * attention[1])
    return [fused, w.out_vi @ attention[0], w.out_ir @ attention[1]]
