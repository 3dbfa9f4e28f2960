"""Radix sort of float rows on the CPU, compiled by numba and cached on disk.

Floats are turned into unsigned integers of the same order, and these are sorted digit by digit,
the least significant first, each pass stable. The order is that of a stable ``torch.sort``:
-0.0 equals 0.0, equal values keep their order, and NaN come last, whatever their sign.
"""

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

_SHORT = 4096
"""Rows below this take narrower digits: clearing wide ones would cost more than a pass."""

_MOVES = 4
"""Places that a value of a short row may be off on average, after its coarse order, to be moved one
by one: beyond, which values close together beside one far away bring about, digits are cheaper."""


@numba.njit(cache=True, nogil=True, inline="always")
def key32(bits: np.uint32) -> np.uint64:
    """An unsigned integer that orders as the float32 with these bits does.

    Positive floats order as their bits do, negative ones in reverse: so flip all bits of the
    negative ones and the sign bit of the others.
    """
    # Without branches, so that whole vectors of keys are made at once.
    sign, infinity = np.uint32(0x80000000), np.uint32(0x7F800000)
    flipped = bits ^ sign if bits < sign else ~bits
    flipped = sign if bits == sign else flipped
    largest = np.uint32(0xFFFFFFFF)
    return np.uint64(largest if bits & np.uint32(0x7FFFFFFF) > infinity else flipped)


@numba.njit(cache=True, nogil=True, inline="always")
def bits_of_key32(key: np.uint32) -> np.uint32:
    """The bits that :func:`key32` made a key of; of -0.0 those of 0.0, of NaN those of one NaN."""
    sign = np.uint32(0x80000000)
    return np.uint32(key ^ sign if key >= sign else ~key)


@numba.njit(cache=True, nogil=True, inline="always")
def _key64(bits: np.uint64) -> np.uint64:
    """The same for float64."""
    sign = np.uint64(0x8000000000000000)
    if bits == sign:
        bits = np.uint64(0)
    if (bits & ~sign) > np.uint64(0x7FF0000000000000):
        return ~np.uint64(0)
    if bits & sign:
        return ~bits
    return bits | sign


@numba.njit(cache=True, nogil=True)
def _begin(counts: Any) -> bool:
    """Turn the counts of a digit into the places where its values begin.

    Returns whether there is more than one value; otherwise the pass changes nothing.
    """
    start, largest = np.uint64(0), np.uint64(0)
    for b in range(counts.shape[0]):
        count = counts[b]
        counts[b] = start
        start += count
        largest = max(largest, count)
    return largest < start


@numba.njit(cache=True, nogil=True)
def sort_pairs(pairs: Any, spare: Any) -> Any:
    """Sort 64-bit pairs of a key (upper half) and an index by their keys, stable.

    Args:
        pairs: uint64 N; overwritten.
        spare: uint64 N; overwritten.

    Returns:
        Whichever of the two holds the result.
    """
    if pairs.shape[0] >= _SHORT:
        return _sort_by_digits(pairs, spare, 11, 3)
    _sort_coarsely(pairs, spare)
    if _finish(pairs):
        return pairs
    return _sort_by_digits(pairs, spare, 8, 4)


@numba.njit(cache=True, nogil=True)
def sort_pairs_in_place(pairs: Any, spare: Any) -> None:
    """Like :func:`sort_pairs`; the result is always in ``pairs``."""
    ordered = sort_pairs(pairs, spare)
    if ordered.ctypes.data != pairs.ctypes.data:
        for i in range(pairs.shape[0]):
            pairs[i] = ordered[i]


@numba.njit(cache=True, nogil=True)
def _sort_by_digits(pairs: Any, spare: Any, width: int, passes: int) -> Any:
    n = pairs.shape[0]
    mask = np.uint64((1 << width) - 1)
    counts = np.zeros((passes, 1 << width), np.uint64)
    for i in range(n):
        key = pairs[i] >> np.uint64(32)
        for p in range(passes):
            counts[p, (key >> np.uint64(p * width)) & mask] += np.uint64(1)
    for p in range(passes):
        places = counts[p]
        if not _begin(places):
            continue
        shift = np.uint64(32 + p * width)
        for i in range(n):
            pair = pairs[i]
            digit = (pair >> shift) & mask
            spare[places[digit]] = pair
            places[digit] += np.uint64(1)
        pairs, spare = spare, pairs
    return pairs


@numba.njit(cache=True, nogil=True)
def _sort_coarsely(pairs: Any, spare: Any) -> None:
    """Sort by the highest 16 bits of what the keys differ in: two digits instead of four."""
    n = pairs.shape[0]
    lowest, highest = ~np.uint64(0), np.uint64(0)
    for i in range(n):
        lowest, highest = min(lowest, pairs[i]), max(highest, pairs[i])
    base, shift = lowest >> np.uint64(32) << np.uint64(32), np.uint64(32)
    while (highest - base) >> shift > np.uint64(0xFFFF):
        shift += np.uint64(1)
    low, high = np.zeros(256, np.uint32), np.zeros(256, np.uint32)
    mask, one = np.uint64(0xFF), np.uint32(1)
    for i in range(n):
        digits = (pairs[i] - base) >> shift
        low[digits & mask] += one
        high[digits >> np.uint64(8)] += one
    _begin(low)
    _begin(high)
    for i in range(n):
        digit = ((pairs[i] - base) >> shift) & mask
        spare[low[digit]] = pairs[i]
        low[digit] += one
    for i in range(n):
        digit = (spare[i] - base) >> shift >> np.uint64(8)
        pairs[high[digit]] = spare[i]
        high[digit] += one


@numba.njit(cache=True, nogil=True)
def _finish(pairs: Any) -> bool:
    """Sort what is nearly sorted by insertion, stable; give up where that takes long.

    Whatever has been moved by then is a stable step on the way, so another sort may go on.
    """
    half = np.uint64(32)
    moves, most = 0, _MOVES * pairs.shape[0]
    for i in range(1, pairs.shape[0]):
        pair = pairs[i]
        if pairs[i - 1] >> half <= pair >> half:
            continue
        j = i
        while j > 0 and pairs[j - 1] >> half > pair >> half:
            pairs[j] = pairs[j - 1]
            j -= 1
        pairs[j] = pair
        moves += i - j
        if moves > most:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _argsort32(bits: Any, order: Any) -> None:
    n = bits.shape[0]
    pairs = np.empty(n, np.uint64)
    for i in range(n):
        pairs[i] = (key32(bits[i]) << np.uint64(32)) | np.uint64(i)
    pairs = sort_pairs(pairs, np.empty(n, np.uint64))
    for i in range(n):
        order[i] = pairs[i] & np.uint64(0xFFFFFFFF)


@numba.njit(cache=True, nogil=True)
def _argsort64(bits: Any, order: Any) -> None:
    n = bits.shape[0]
    width, passes = (8, 8) if n < _SHORT else (11, 6)
    mask = np.uint64((1 << width) - 1)
    counts = np.zeros((passes, 1 << width), np.uint64)
    keys, spare_keys = np.empty(n, np.uint64), np.empty(n, np.uint64)
    indices, spare_indices = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        key = _key64(bits[i])
        keys[i], indices[i] = key, i
        for p in range(passes):
            counts[p, (key >> np.uint64(p * width)) & mask] += np.uint64(1)
    for p in range(passes):
        places = counts[p]
        if not _begin(places):
            continue
        for i in range(n):
            digit = (keys[i] >> np.uint64(p * width)) & mask
            place = places[digit]
            spare_keys[place], spare_indices[place] = keys[i], indices[i]
            places[digit] += np.uint64(1)
        keys, spare_keys = spare_keys, keys
        indices, spare_indices = spare_indices, indices
    for i in range(n):
        order[i] = indices[i]


def argsort_bits(bits: NDArray[Any], order: NDArray[Any]) -> None:
    """Where each value of a sorted row comes from; to be called from compiled code.

    Args:
        bits: uint32 or uint64 N, the bit patterns of float32 or float64 values.
        order: Integers, N; receives the places.
    """
    raise NotImplementedError("this is compiled code, for compiled code")


@overload(argsort_bits, strict=False)
def _argsort_bits(bits: Any, order: Any) -> Any:  # noqa: ARG001
    if bits.dtype == types.uint32:
        return lambda bits, order: _argsort32(bits, order)  # noqa: PLW0108
    return lambda bits, order: _argsort64(bits, order)  # noqa: PLW0108


@numba.njit(cache=True, nogil=True)
def argsort_rows(bits, rows, values, indices):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Sort each row ascending, stable.

    Args:
        bits: uint32 or uint64 R N, the bit patterns of ``rows``.
        rows: float32 or float64 R N.
        values: Like ``rows``, receives the sorted values.
        indices: int64 R N, receives where each came from.
    """
    for r in range(rows.shape[0]):
        argsort_bits(bits[r], indices[r])
        for i in range(rows.shape[1]):
            values[r, i] = rows[r, indices[r, i]]
