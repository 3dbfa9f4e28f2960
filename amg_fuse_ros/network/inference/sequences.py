"""The histogram attention's sorted sequences: order, gather, and back into place.

A sequence is a channel's N pixels in ascending order of v. It is read in ``factor`` parts, either
consecutive (bins) or interleaved (frequencies), and stored in the order in which it is read: an
array factor, D, of which the first L = N / factor elements of each row count, rounded up to whole
vectors. What fills up to those are zeros. It takes the room of a plane: see :func:`plane_rows`.
"""

from typing import Any

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import LANES, MARGIN, Array, row_stride
from amg_fuse_ros.network.radix_sort import argsort_bits, bits_of_key32, key32, sort_pairs


def part_length(n: int, factor: int) -> int:
    """L, the length of each part of ``n`` pixels, in whole vectors."""
    shortest = (n + factor - 1) // factor
    return (shortest + LANES - 1) // LANES * LANES


def plane_rows(height: int, width: int, factor: int) -> int:
    """Rows of planes that can hold a sequence, too: ``factor`` parts of whole vectors each."""
    stride, rows = row_stride(width), height + 2
    length = part_length(height * width, factor)
    while rows * stride % (factor * LANES) or rows * stride < factor * length:
        rows += 1
    return rows


@numba.njit(cache=True, nogil=True)
def sort_plane(
    v: Array, bits: Any, order: Any, y: Array, width: int, pairs: Any, spare: Any
) -> None:
    """Sort a plane, stable; tell where its pixels came from, and store it in the bin reading.

    Args:
        v: One plane with its border, H + 2, S.
        bits: The same memory as unsigned integers.
        order: int32 N, receives the offsets of the pixels in ascending order of their values.
        y: factor, D; receives the values. It may be the memory of ``v``.
        width: Of the content.
        pairs: uint64 N, working memory.
        spare: uint64 N, working memory.
    """
    height, stride, factor = v.shape[0] - 2, v.shape[1], y.shape[0]
    n = height * width
    length = (n + factor - 1) // factor
    if v.itemsize == 4:
        k = 0
        for row in range(1, height + 1):
            for i in range(MARGIN, MARGIN + width):
                pairs[k + i - MARGIN] = (
                    key32(np.uint32(bits[row, i])) << np.uint64(32)
                ) | np.uint64(row * stride + i)
            k += width
        ordered = sort_pairs(pairs, spare)
        values = y.view(np.uint32)
        for f in range(factor):
            part, start = values[f], f * length
            count = max(0, min(length, n - start))
            for k in range(count):
                pair = ordered[start + k]
                order[start + k] = pair & np.uint64(0xFFFFFFFF)
                part[k] = bits_of_key32(np.uint32(pair >> np.uint64(32)))
            _fill_up(y[f], count, length)
        return
    rows = v[1 : height + 1, MARGIN : MARGIN + width].copy().reshape(n)
    argsort_bits(bits[1 : height + 1, MARGIN : MARGIN + width].copy().reshape(n), order)
    for f in range(factor):
        part, start = y[f], f * length
        count = max(0, min(length, n - start))
        for k in range(count):
            part[k] = rows[order[start + k]]
        _fill_up(part, count, length)
    for k in range(n):
        row, column = divmod(order[k], width)
        order[k] = (row + 1) * stride + MARGIN + column


@numba.njit(cache=True, nogil=True, inline="always")
def _fill_up(part: Array, count: int, length: int) -> None:
    part[count : (length + LANES - 1) // LANES * LANES] = 0


@numba.njit(cache=True, nogil=True)
def take_bins(x: Array, order: Any, y: Array, n: int) -> None:
    """Gather a sequence for the bin reading.

    Args:
        x: One plane, flat.
        order: From :func:`sort_plane`.
        y: Receives it: factor, D.
        n: N.
    """
    factor = y.shape[0]
    length = (n + factor - 1) // factor
    for f in range(factor):
        part, start = y[f], f * length
        count = max(0, min(length, n - start))
        for k in range(count):
            part[k] = x[np.uint32(order[start + k])]
        _fill_up(part, count, length)


@numba.njit(cache=True, nogil=True)
def take_frequencies(x: Array, order: Any, y: Array, n: int) -> None:
    """Gather a sequence for the frequency reading; arguments as for :func:`take_bins`."""
    factor = y.shape[0]
    length = (n + factor - 1) // factor
    for f in range(factor):
        part = y[f]
        count = (n - f + factor - 1) // factor
        for k in range(count):
            part[k] = x[np.uint32(order[k * factor + f])]
        _fill_up(part, count, length)


@numba.njit(cache=True, nogil=True)
def bins_to_frequencies(bins: Array, y: Array, n: int) -> None:
    """Read a sequence that is stored for the bin reading, factor D, for the frequency reading."""
    factor = y.shape[0]
    length = (n + factor - 1) // factor
    for f in range(factor):
        part, count = y[f], (n - f + factor - 1) // factor
        row, i = 0, f
        for k in range(count):
            while i >= length:
                row, i = row + 1, i - length
            part[k] = bins[row, i]
            i += factor
        _fill_up(part, count, length)


@numba.njit(cache=True, nogil=True)
def sort_channels(
    planes: Array, bits: Any, taken: Array, order: Any, height: int, width: int,
    pairs: Any, spare: Any, first: int, last: int,
) -> None:  # fmt: skip
    """Order the channels ``first`` to ``last`` by v, and turn their planes into sequences.

    Args:
        planes: 6 C, H + 2 rows or more, S: free, q1, k1, q2, k2, v, each with room for a sequence.
        bits: The same memory as unsigned integers.
        taken: The same memory, 6 C factor D; receives q1, k1, q2, k2, and v as frequencies and
            bins, the former only where the factor is not 1.
        order: int32 C N; see :func:`sort_plane`.
        height: Of the content.
        width: Of the content.
        pairs: uint64 N, working memory.
        spare: uint64 N, working memory.
        first: Channel.
        last: The channel after the last.
    """
    n, rows = height * width, height + 2
    for c in range(first, last):
        v, v_bits = planes[5, c, :rows], bits[5, c, :rows]
        sort_plane(v, v_bits, order[c], taken[5, c], width, pairs, spare)
        take_bins(planes[1, c].reshape(-1), order[c], taken[0, c], n)
        take_bins(planes[2, c].reshape(-1), order[c], taken[1, c], n)
        take_frequencies(planes[3, c].reshape(-1), order[c], taken[2, c], n)
        take_frequencies(planes[4, c].reshape(-1), order[c], taken[3, c], n)
        if taken.shape[2] > 1:
            bins_to_frequencies(taken[5, c], taken[4, c], n)


@numba.njit(cache=True, nogil=True)
def put_back(
    bins: Array, frequencies: Array, order: Any, y: Array, n: int, first: int, last: int
) -> None:
    """Put the product of both readings' results back into place.

    Args:
        bins: C factor D.
        frequencies: C factor D.
        order: From :func:`sort_channels`.
        y: Planes, C P.
        n: N.
        first: Channel.
        last: The channel after the last.
    """
    for c in range(first, last):
        _put_back(bins[c], frequencies[c], order[c], y[c], n)


@numba.njit(cache=True, nogil=True)
def _put_back(bins: Array, frequencies: Array, order: Any, y: Array, n: int) -> None:
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
