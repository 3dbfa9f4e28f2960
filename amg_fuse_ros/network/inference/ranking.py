"""Sorting planes along columns and rows, and putting pixels back."""

from typing import Any

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import MARGIN, Array
from amg_fuse_ros.network.radix_sort import (
    argsort_bits,
    bits_of_key32,
    key32,
    sort_pairs_in_place,
)

_COLUMNS = 16
"""Columns sorted at once: a cache line of each row."""


@numba.njit(cache=True, nogil=True)
def rank_planes(x: Array, bits: Any, origin: Any, width: int, first: int, last: int) -> None:
    """Sort each column, then each row, in place, of the planes ``first`` to ``last``.

    Args:
        x: Planes with their borders, C, H + 2 rows or more, S.
        bits: The same memory as unsigned integers.
        origin: int32 C, H + 2, S; receives for each place the offset where its pixel came from.
        width: Of the content.
        first: Plane.
        last: The plane after the last.
    """
    rows = origin.shape[1]
    for c in range(first, last):
        _rank(x[c, :rows], bits[c, :rows], origin[c], width)


@numba.njit(cache=True, nogil=True)
def _rank(x: Array, bits: Any, origin: Any, width: int) -> None:
    if x.itemsize == 4:
        _rank_pairs(bits, origin, width)
    else:
        _rank_any(x, bits, origin, width)


@numba.njit(cache=True, nogil=True)
def _rank_pairs(bits: Any, origin: Any, width: int) -> None:
    """Rank float32: keys tell the values again, and carry where they came from."""
    height, stride = bits.shape[0] - 2, bits.shape[1]
    half, lower = np.uint64(32), np.uint64(0xFFFFFFFF)
    block = np.empty((_COLUMNS, height), np.uint64)
    spare = np.empty(max(height, width), np.uint64)
    for i in range(MARGIN, MARGIN + width, _COLUMNS):
        count = min(_COLUMNS, MARGIN + width - i)
        for row in range(height):
            for j in range(count):
                key = key32(np.uint32(bits[row + 1, i + j]))
                block[j, row] = key << half | np.uint64((row + 1) * stride + i + j)
        for j in range(count):
            sort_pairs_in_place(block[j], spare[:height])
        for row in range(height):
            for j in range(count):
                pair = block[j, row]
                bits[row + 1, i + j] = bits_of_key32(np.uint32(pair >> half))
                origin[row + 1, i + j] = np.int32(pair & lower)
    line = np.empty(width, np.uint64)
    for row in range(1, height + 1):
        for i in range(width):
            key = key32(np.uint32(bits[row, MARGIN + i]))
            line[i] = key << half | np.uint64(np.uint32(origin[row, MARGIN + i]))
        sort_pairs_in_place(line, spare[:width])
        for i in range(width):
            bits[row, MARGIN + i] = bits_of_key32(np.uint32(line[i] >> half))
            origin[row, MARGIN + i] = np.int32(line[i] & lower)


@numba.njit(cache=True, nogil=True)
def _rank_any(x: Array, bits: Any, origin: Any, width: int) -> None:
    height, stride = x.shape[0] - 2, x.shape[1]
    columns = np.empty((_COLUMNS, height), x.dtype)
    keys = np.empty((_COLUMNS, height), bits.dtype)
    order = np.empty((_COLUMNS, height), np.int32)
    for i in range(MARGIN, MARGIN + width, _COLUMNS):
        count = min(_COLUMNS, MARGIN + width - i)
        for row in range(height):
            for j in range(count):
                columns[j, row] = x[row + 1, i + j]
                keys[j, row] = bits[row + 1, i + j]
        for j in range(count):
            argsort_bits(keys[j], order[j])
        for row in range(height):
            for j in range(count):
                source = order[j, row]
                x[row + 1, i + j] = columns[j, source]
                origin[row + 1, i + j] = (source + 1) * stride + i + j
    line, before = np.empty(width, x.dtype), np.empty(width, np.int32)
    places = np.empty(width, np.int32)
    for row in range(1, height + 1):
        line[:] = x[row, MARGIN : MARGIN + width]
        before[:] = origin[row, MARGIN : MARGIN + width]
        argsort_bits(bits[row, MARGIN : MARGIN + width], places)
        for i in range(width):
            x[row, MARGIN + i] = line[places[i]]
            origin[row, MARGIN + i] = before[places[i]]


@numba.njit(cache=True, nogil=True)
def add_at_origin(z: Array, origin: Any, x: Array, width: int, first: int, last: int) -> None:
    """Add ranked planes' pixels to where they came from: x[origin] += z.

    Args:
        z: Planes with their borders, C, H + 2 rows or more, S.
        origin: From :func:`rank_planes`.
        x: The target planes, C, H + 2, S.
        width: Of the content.
        first: Plane.
        last: The plane after the last.
    """
    for c in range(first, last):
        target = x[c].reshape(x.shape[1] * x.shape[2])
        for row in range(1, origin.shape[1] - 1):
            for i in range(MARGIN, MARGIN + width):
                target[np.uint32(origin[c, row, i])] += z[c, row, i]
