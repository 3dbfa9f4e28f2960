"""The compiled loops of the depthwise convolution's weight gradient."""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

STRIDE = 4
"""Columns taken at once: each vector that is loaded serves several products."""


@numba.njit(cache=True, fastmath=True, nogil=True)
def sum_rows(x: Array, grad: Array, k: int, first: int, last: int) -> Array:
    """Sum grad[b, y, x, c] x[b, y + dy, x + dx, c] over the rows first..last of all images.

    ``x`` and ``grad`` are B H W C; the result is k k C.
    """
    _, height, width, channels = x.shape
    reach = k // 2
    sums = np.zeros((k, k, channels), np.float32)
    # Columns whose whole neighbourhood lies inside, in groups of four; the rest one by one.
    inside = max(0, width - 2 * reach) // STRIDE * STRIDE if k in (3, 5) else 0
    for row in range(first, last):
        b, y = row // height, row % height
        for dy in range(max(0, reach - y), min(k, height + reach - y)):
            source, g, total = x[b, y + dy - reach], grad[b, y], sums[dy]
            for column in range(reach, reach + inside, STRIDE):
                if k == 3:
                    _add_four_by_three(source, g, total, column)
                else:
                    _add_four_by_five(source, g, total, column)
            for column in range(min(reach, width)):
                _add_one(source, g, total, column, k)
            for column in range(reach + inside, width):
                _add_one(source, g, total, column, k)
    return sums


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _add_one(source: Array, grad: Array, total: Array, column: int, k: int) -> None:
    width, channels = source.shape
    reach = k // 2
    g = grad[column]
    for dx in range(max(0, reach - column), min(k, width + reach - column)):
        s, t = source[column + dx - reach], total[dx]
        for c in range(channels):
            t[c] += g[c] * s[c]


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _add_four_by_three(source: Array, grad: Array, total: Array, column: int) -> None:
    g0, g1, g2, g3 = grad[column], grad[column + 1], grad[column + 2], grad[column + 3]
    s0, s1, s2 = source[column - 1], source[column], source[column + 1]
    s3, s4, s5 = source[column + 2], source[column + 3], source[column + 4]
    t0, t1, t2 = total[0], total[1], total[2]
    for c in range(source.shape[1]):
        a, b, d, e = g0[c], g1[c], g2[c], g3[c]
        v1, v2, v3, v4 = s1[c], s2[c], s3[c], s4[c]
        t0[c] += a * s0[c] + b * v1 + d * v2 + e * v3
        t1[c] += a * v1 + b * v2 + d * v3 + e * v4
        t2[c] += a * v2 + b * v3 + d * v4 + e * s5[c]


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _add_four_by_five(source: Array, grad: Array, total: Array, column: int) -> None:
    g0, g1, g2, g3 = grad[column], grad[column + 1], grad[column + 2], grad[column + 3]
    s0, s1, s2, s3 = source[column - 2], source[column - 1], source[column], source[column + 1]
    s4, s5, s6 = source[column + 2], source[column + 3], source[column + 4]
    s7 = source[column + 5]
    t0, t1, t2, t3, t4 = total[0], total[1], total[2], total[3], total[4]
    for c in range(source.shape[1]):
        a, b, d, e = g0[c], g1[c], g2[c], g3[c]
        v1, v2, v3, v4, v5, v6 = s1[c], s2[c], s3[c], s4[c], s5[c], s6[c]
        t0[c] += a * s0[c] + b * v1 + d * v2 + e * v3
        t1[c] += a * v1 + b * v2 + d * v3 + e * v4
        t2[c] += a * v2 + b * v3 + d * v4 + e * v5
        t3[c] += a * v3 + b * v4 + d * v5 + e * v6
        t4[c] += a * v4 + b * v5 + d * v6 + e * s7[c]
