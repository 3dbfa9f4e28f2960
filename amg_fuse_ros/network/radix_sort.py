"""Radix sort of float32 rows on the CPU, compiled by numba and cached on disk."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, inline="always")
def _key(bits: np.uint32) -> np.uint64:
    """An unsigned integer that orders as the float32 with these bits does.

    Positive floats order as their bits do, negative ones in reverse: so flip all bits of the
    negative ones and the sign bit of the others. -0.0 equals 0.0, and NaN is above all.
    """
    if bits == np.uint32(0x80000000):
        bits = np.uint32(0)
    if (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
        return np.uint64(0xFFFFFFFF)
    if bits & np.uint32(0x80000000):
        return np.uint64(~bits & np.uint32(0xFFFFFFFF))
    return np.uint64(bits | np.uint32(0x80000000))


@numba.njit(cache=True, nogil=True)
def _argsort_row(bits, row, values, indices, width, passes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Least significant digit first, ``passes`` digits of ``width`` bits; stable."""
    n = bits.shape[0]
    buckets = 1 << width
    mask = np.uint64(buckets - 1)
    counts = np.zeros((passes, buckets), np.int64)
    source = np.empty(n, np.uint64)
    target = np.empty(n, np.uint64)
    for i in range(n):
        key = _key(bits[i])
        source[i] = (key << np.uint64(32)) | np.uint64(i)
        for p in range(passes):
            counts[p, (key >> np.uint64(p * width)) & mask] += 1
    for p in range(passes):
        start = 0
        for b in range(buckets):
            count = counts[p, b]
            counts[p, b] = start
            start += count
        shift = np.uint64(32 + p * width)
        for i in range(n):
            pair = source[i]
            digit = (pair >> shift) & mask
            target[counts[p, digit]] = pair
            counts[p, digit] += 1
        source, target = target, source
    for i in range(n):
        index = np.int64(source[i] & np.uint64(0xFFFFFFFF))
        indices[i] = index
        values[i] = row[index]


@numba.njit(cache=True, nogil=True)
def argsort_rows(bits, rows, values, indices):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Sort each row ascending, stable.

    Args:
        bits: uint32 R N, the bit patterns of ``rows``.
        rows: float32 R N.
        values: float32 R N, receives the sorted values.
        indices: int64 R N, receives where each came from.
    """
    short = rows.shape[1] < 4096  # short rows: clearing 2048 buckets would cost more than a pass
    width, passes = (8, 4) if short else (11, 3)
    for r in range(rows.shape[0]):
        _argsort_row(bits[r], rows[r], values[r], indices[r], width, passes)
