"""The mask-guided exchange between the streams (MFEM with MCCA) by bands of rows.

What channel attention needs of queries and keys are their inner products, lengths, and nothing
else: a band computes them and adds to small matrices. The values of all bands are kept, and what
the three streams get is one small matrix each times the values, the projections multiplied in.
"""

from typing import Any

import numba

from amg_fuse_ros.network.inference.attention import add_products, add_squares, depthwise_3x3
from amg_fuse_ros.network.inference.convolution import pointwise_run
from amg_fuse_ros.network.inference.elementwise import sigmoid_row
from amg_fuse_ros.network.inference.layout import MARGIN, Array
from amg_fuse_ros.network.inference.vectors import OUTPUTS


def scratch_size(channels: int, heads: int, band: int, stride: int) -> int:
    """Elements of working memory that a thread needs; see :func:`exchange_band`."""
    rows = (2 * channels + OUTPUTS) * (band + 2) + 3 * (channels // heads) * band
    return rows * stride + 64


@numba.njit(cache=True, nogil=True)
def exchange_band(
    v: Array, i: Array, f: Array, mask: Array, wq_v: Array, wq_i: Array, wk: Array, wv: Array,
    dq_v: Array, dq_i: Array, dk: Array, dv: Array, zeros: Array, values: Array, heads: int,
    products: Any, squares: Any, sums: Any, scratch: Array, width: int, first: int, last: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last``: values, and what attention needs of queries and keys.

    Args:
        v: Planes of the visible stream, C.
        i: Of the thermal one.
        f: Of the fused one.
        mask: The mask before its sigmoid.
        wq_v: 1x1 weights of the visible queries, packed.
        wq_i: Of the thermal queries.
        wk: Of the keys.
        wv: Of the values.
        dq_v: Depthwise weights of the same, C 9.
        dq_i: As above.
        dk: As above.
        dv: As above.
        zeros: As many as channels, filled up.
        values: Planes, receive the values.
        heads: Of the attention; divides C.
        products: float64, flat: 2, heads, C / heads, C / heads; added to.
        squares: float64, flat: visible queries, thermal queries, keys, C each; added to.
        sums: float64 C; the values' sums, added to.
        scratch: ``scratch_size`` elements, zeros before the first use.
        width: Of the content.
        first: Row of the content.
        last: The row after the last.
    """
    channels, padded_height, stride = v.shape
    height, plane, band = padded_height - 2, padded_height * stride, last - first
    size = (band + 2) * stride
    each = channels // heads
    masked_v = scratch[: channels * size].reshape(channels, band + 2, stride)
    masked_i = scratch[channels * size : 2 * channels * size].reshape(channels, band + 2, stride)
    wide = 2 * channels * size
    q_v = wide + OUTPUTS * size
    result = band * stride
    q_i, k = q_v + each * result, q_v + 2 * each * result
    one = v.dtype.type(1)
    for c in range(channels):
        for r in range(band + 2):
            row = first - 1 + r
            target_v, target_i = masked_v[c, r], masked_i[c, r]
            if row < 0 or row >= height:
                target_v[:] = 0
                target_i[:] = 0
                continue
            share = target_i[MARGIN : MARGIN + width]
            visible, thermal = v[c, row + 1], i[c, row + 1]
            share[:] = mask[c, row + 1, MARGIN : MARGIN + width]
            sigmoid_row(share)
            for x in range(width):
                target_v[MARGIN + x] = visible[MARGIN + x] * share[x]
                share[x] = thermal[MARGIN + x] * (one - share[x])
    fused = f.reshape(f.size)
    start = first * stride + MARGIN
    for head in range(heads):
        c0 = head * each
        _project(scratch, MARGIN, size, channels, wq_v, dq_v, c0, each, zeros, scratch, wide,
                 scratch, q_v, result, stride, band, width)  # fmt: skip
        _project(scratch, channels * size + MARGIN, size, channels, wq_i, dq_i, c0, each, zeros,
                 scratch, wide, scratch, q_i, result, stride, band, width)  # fmt: skip
        _project(fused, start, plane, channels, wk, dk, c0, each, zeros, scratch, wide,
                 scratch, k, result, stride, band, width)  # fmt: skip
        matrix = head * each * each
        add_products(scratch, q_v, result, scratch, k, result, result, each, products, matrix)
        matrix += channels * each
        add_products(scratch, q_i, result, scratch, k, result, result, each, products, matrix)
        add_squares(scratch, q_v, result, result, each, squares, c0)
        add_squares(scratch, q_i, result, result, each, squares, channels + c0)
        add_squares(scratch, k, result, result, each, squares, 2 * channels + c0)
    flat = values.reshape(values.size)
    row0 = (first + 1) * stride
    _project(fused, start, plane, channels, wv, dv, 0, channels, zeros, scratch, wide,
             flat, row0, plane, stride, band, width)  # fmt: skip
    for c in range(channels):
        for r in range(first + 1, last + 1):
            sums[c] += _sum(values[c, r])


@numba.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _sum(row: Array) -> float:
    total = row.dtype.type(0)
    for x in range(row.shape[0]):
        total += row[x]
    return total


@numba.njit(cache=True, nogil=True)
def _project(
    x: Array, x0: int, x_plane: int, channels: int, weights: Array, depthwise: Array,
    c0: int, count: int, zeros: Array, scratch: Array, wide: int, y: Array, y0: int, y_plane: int,
    stride: int, band: int, width: int,
) -> None:  # fmt: skip
    """Channels ``c0`` to ``c0 + count`` of depthwise3x3(W x) on a band."""
    size = (band + 2) * stride
    for c in range(c0, c0 + count):
        block = c // OUTPUTS * OUTPUTS
        if c in (c0, block):
            pointwise_run(
                x, x0, x_plane, channels, weights, block * channels, zeros, 0, OUTPUTS,
                scratch, 0, scratch, wide + MARGIN, size, size - MARGIN, 0, 0,
            )  # fmt: skip
        depthwise_3x3(
            scratch, wide + (c - block) * size, depthwise, c * 9, y, y0 + (c - c0) * y_plane,
            stride, band, width,
        )  # fmt: skip
