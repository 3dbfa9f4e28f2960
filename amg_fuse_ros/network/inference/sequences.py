"""The histogram attention's sorted sequences: order, gather, and back into place.

A sequence is a channel's N pixels in ascending order of v. It is read in ``factor`` parts, either
consecutive (bins) or interleaved (frequencies), and stored in the order in which it is read: an
array factor, L, where L is N / factor rounded up to whole vectors. What fills up are zeros.
"""

from typing import Any

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import LANES, MARGIN, Array
from amg_fuse_ros.network.radix_sort import argsort_bits, key32, sort_pairs


def part_length(n: int, factor: int) -> int:
    """L, the stored length of each part of ``n`` pixels."""
    shortest = (n + factor - 1) // factor
    return (shortest + LANES - 1) // LANES * LANES


@numba.njit(cache=True, nogil=True)
def order_plane(v: Array, bits: Any, order: Any, width: int, pairs: Any, spare: Any) -> None:
    """The offsets of a plane's pixels in ascending order of their values, stable.

    Args:
        v: One plane with its border, H + 2, S.
        bits: The same memory as unsigned integers.
        order: int32 N, receives the offsets.
        width: Of the content.
        pairs: uint64 N, working memory.
        spare: uint64 N, working memory.
    """
    height, stride = v.shape[0] - 2, v.shape[1]
    k = 0
    if v.itemsize == 4:
        for row in range(1, height + 1):
            for i in range(MARGIN, MARGIN + width):
                pairs[k + i - MARGIN] = (
                    key32(np.uint32(bits[row, i])) << np.uint64(32)
                ) | np.uint64(row * stride + i)
            k += width
        ordered = sort_pairs(pairs, spare)
        for k in range(height * width):
            order[k] = ordered[k] & np.uint64(0xFFFFFFFF)
        return
    rows = bits[1 : height + 1, MARGIN : MARGIN + width].copy()
    argsort_bits(rows.reshape(height * width), order)
    for k in range(height * width):
        row, column = divmod(order[k], width)
        order[k] = (row + 1) * stride + MARGIN + column


@numba.njit(cache=True, nogil=True)
def take_bins(x: Array, order: Any, y: Array, n: int) -> None:
    """Gather a sequence for the bin reading.

    Args:
        x: One plane, flat.
        order: From :func:`order_plane`.
        y: Receives it: factor, L.
        n: N.
    """
    factor = y.shape[0]
    length = (n + factor - 1) // factor
    for f in range(factor):
        part, start = y[f], f * length
        count = max(0, min(length, n - start))
        for k in range(count):
            part[k] = x[np.uint32(order[start + k])]
        part[count:] = 0


@numba.njit(cache=True, nogil=True)
def take_frequencies(x: Array, order: Any, y: Array, n: int) -> None:
    """Gather a sequence for the frequency reading; arguments as for :func:`take_bins`."""
    factor = y.shape[0]
    for f in range(factor):
        part = y[f]
        count = (n - f + factor - 1) // factor
        for k in range(count):
            part[k] = x[np.uint32(order[k * factor + f])]
        part[count:] = 0


@numba.njit(cache=True, nogil=True)
def put_back(bins: Array, frequencies: Array, order: Any, y: Array, n: int) -> None:
    """Put the product of both readings' results back into place.

    Args:
        bins: factor, L.
        frequencies: factor, L.
        order: From :func:`order_plane`.
        y: One plane, flat.
        n: N.
    """
    factor = bins.shape[0]
    if factor == 1:
        one, two = bins[0], frequencies[0]
        for k in range(n):
            y[np.uint32(order[k])] = one[k] * two[k]
        return
    length = (n + factor - 1) // factor
    k = 0
    for f in range(factor):
        part = bins[f]
        for i in range(min(length, n - f * length)):
            y[np.uint32(order[k])] = part[i] * frequencies[k % factor, k // factor]
            k += 1
