"""Sorting planes along columns and rows, and putting pixels back."""

from typing import Any

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import MARGIN, Array
from amg_fuse_ros.network.radix_sort import argsort_bits

_COLUMNS = 16
"""Columns sorted at once: a cache line of each row."""


@numba.njit(cache=True, nogil=True)
def rank_plane(x: Array, bits: Any, origin: Any, width: int) -> None:
    """Sort each column of a plane, then each row, in place.

    Args:
        x: One plane with its border, H + 2, S.
        bits: The same memory as unsigned integers.
        origin: int32 like ``x``; receives for each place the offset where its pixel came from.
        width: Of the content.
    """
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
def add_at_origin(z: Array, origin: Any, x: Array, width: int) -> None:
    """Add a ranked plane's pixels to where they came from: x[origin] += z.

    Args:
        z: One plane with its border, H + 2, S.
        origin: From :func:`rank_plane`.
        x: The target plane, flat.
        width: Of the content.
    """
    for row in range(1, z.shape[0] - 1):
        for i in range(MARGIN, MARGIN + width):
            x[np.uint32(origin[row, i])] += z[row, i]
