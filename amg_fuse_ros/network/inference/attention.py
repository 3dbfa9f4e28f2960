"""Attention between channels: queries, keys and values by bands, and the small matrices."""

import numba

from amg_fuse_ros.network.inference.convolution import pointwise_run
from amg_fuse_ros.network.inference.layout import LANES, MARGIN, Array
from amg_fuse_ros.network.inference.vectors import OUTPUTS, make_depthwise, make_products

ROWS = 4
"""Rows that a depthwise block computes at once."""

_four_2, _four_1 = (make_depthwise((3,), 1, ROWS, n, clamp=False) for n in (2, 1))
_one_1 = make_depthwise((3,), 1, 1, 1, clamp=False)
_products_4 = make_products(4, 4)
_products_1 = make_products(1, 1)


@numba.njit(cache=True, nogil=True)
def depthwise_3x3(
    x: Array, x0: int, weights: Array, w0: int, y: Array, y0: int,
    stride: int, rows: int, width: int,
) -> None:  # fmt: skip
    """Depthwise 3x3 convolution of ``rows`` rows of one plane.

    ``x0`` is where the row above the first begins, ``y0`` where the first row of the result does.
    """
    lanes = 64 // x.itemsize
    row = 0
    while row < rows:
        i = MARGIN
        whole = row + ROWS <= rows
        while i < stride:
            source, target = x0 + row * stride + i - 1, y0 + row * stride + i
            if whole and i + lanes < stride:
                _four_2(x, source, stride, weights, w0, y, target, stride)
                i += 2 * lanes
            elif whole:
                _four_1(x, source, stride, weights, w0, y, target, stride)
                i += lanes
            else:
                _one_1(x, source, stride, weights, w0, y, target, stride)
                i += lanes
        row += ROWS if whole else 1
    if width % LANES:
        for row in range(rows):
            y[y0 + row * stride + MARGIN + width : y0 + (row + 1) * stride] = 0


@numba.njit(cache=True, nogil=True)
def project_band(
    x: Array, weights: Array, zeros: Array, depthwise: Array, y: Array, scratch: Array,
    width: int, first: int, last: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last`` of depthwise3x3(W x), without what lies between in memory.

    Args:
        x: Planes of C channels.
        weights: O from C, packed.
        zeros: As many as outputs, filled up.
        depthwise: O 9.
        y: Planes of O channels.
        scratch: ``OUTPUTS`` (last - first + 2) S + 64 elements, zeros before the first use.
        width: Of the content.
        first: Row of the content.
        last: The row after the last.
    """
    channels, padded_height, stride = x.shape
    plane, band = padded_height * stride, last - first
    size = (band + 2) * stride
    flat = y.reshape(y.size)
    pixels = x.reshape(x.size)
    for o in range(0, y.shape[0], OUTPUTS):
        # The border's rows are zeros, and there is no bias: so are their results.
        pointwise_run(
            pixels, first * stride + MARGIN, plane, channels, weights, o * channels, zeros, 0,
            OUTPUTS, scratch, 0, scratch, MARGIN, size, size - MARGIN, 0, 0,
        )  # fmt: skip
        for m in range(min(OUTPUTS, y.shape[0] - o)):
            depthwise_3x3(
                scratch, m * size, depthwise, (o + m) * 9, flat,
                (o + m) * plane + (first + 1) * stride, stride, band, width,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def add_products(
    q: Array, q0: int, q_row: int, k: Array, k0: int, k_row: int, n: int, count: int,
    matrix: Array, m0: int,
) -> None:  # fmt: skip
    """Matrix += q k^T for ``count`` queries and keys of ``n`` elements; ``matrix`` is flat."""
    whole = count // 4 * 4
    for i in range(0, whole, 4):
        for j in range(0, whole, 4):
            _products_4(
                q, q0 + i * q_row, q_row, k, k0 + j * k_row, k_row, n,
                matrix, m0 + i * count + j, count,
            )  # fmt: skip
    for i in range(count):
        for j in range(0 if i >= whole else whole, count):
            _products_1(
                q, q0 + i * q_row, q_row, k, k0 + j * k_row, k_row, n, matrix, m0 + i * count + j, 1
            )


@numba.njit(cache=True, nogil=True)
def add_squares(x: Array, x0: int, row: int, n: int, count: int, sums: Array, s0: int) -> None:
    """Sums += the squared lengths of ``count`` vectors of ``n`` elements."""
    for i in range(count):
        _products_1(x, x0 + i * row, row, x, x0 + i * row, row, n, sums, s0 + i, 1)
