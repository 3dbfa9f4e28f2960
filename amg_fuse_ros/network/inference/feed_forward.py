"""The dual-scale feed-forward in bands: its wide activations never leave the cache.

A band of rows is normalised and projected to the hidden channels, a few at a time; both depthwise
stages follow at once, on those channels, and only what goes into the last projection is kept for
the band. Rows around the band are computed anew by the bands beside it: four for the first
projection, two for the first depthwise stage.
"""

import numba

from amg_fuse_ros.network.inference.convolution import clear_tail, pointwise_run
from amg_fuse_ros.network.inference.layout import LANES, MARGIN, Array
from amg_fuse_ros.network.inference.normalisation import normalise_row
from amg_fuse_ros.network.inference.vectors import OUTPUTS, make_depthwise

ROWS = 4
"""Rows that a depthwise block computes at once."""

_both_2, _both_1 = (make_depthwise((3, 5), 1, ROWS, n, clamp=True) for n in (2, 1))
_pair3_2, _pair3_1 = (make_depthwise((3,), 2, ROWS, n, clamp=True) for n in (2, 1))
_pair5_2, _pair5_1 = (make_depthwise((5,), 2, ROWS, n, clamp=True) for n in (2, 1))

_SLOTS = 3
"""Channels kept after the first stage: the first of all, and the two latest."""


def scratch_size(channels: int, hidden: int, band: int, stride: int) -> int:
    """Elements of working memory that a thread needs; see :func:`feed_forward_band`."""
    wide = (channels + OUTPUTS + 2 * _SLOTS) * (band + 8 + ROWS)
    return (wide + 2 * hidden * (-(-band // ROWS) * ROWS)) * stride + 64


@numba.njit(cache=True, nogil=True)
def feed_forward_band(
    x: Array, scale: Array, bias: Array, w_in: Array, zeros: Array, w3: Array, w5: Array,
    w3_1: Array, w5_1: Array, w_out: Array, y: Array, scratch: Array,
    width: int, first: int, last: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last`` of y = x + FFN(norm(x)).

    Args:
        x: Planes of C channels.
        scale: Of the layer norm, C.
        bias: Of the layer norm, C.
        w_in: First projection, h from C packed, once for each half of the hidden channels.
        zeros: As many as there are outputs of a projection, filled up.
        w3: First stage 3x3, 2h 9.
        w5: First stage 5x5, 2h 25.
        w3_1: Second stage 3x3, h 18.
        w5_1: Second stage 5x5, h 50.
        w_out: Last projection, C from 2h, packed.
        y: Planes of C channels, other than ``x``.
        scratch: ``scratch_size`` elements, zeros before the first use.
        width: Of the content.
        first: Row of the content.
        last: The row after the last.
    """
    channels, padded_height, stride = x.shape
    height, hidden = padded_height - 2, w3_1.shape[0]
    blocks = (hidden + OUTPUTS - 1) // OUTPUTS
    band = last - first
    size, result = (band + 8 + ROWS) * stride, (band + ROWS - 1) // ROWS * ROWS * stride
    normed = scratch[: channels * size].reshape(channels, band + 8 + ROWS, stride)
    wide = channels * size  # OUTPUTS planes; like the normalised ones they begin at first - 4
    small = wide + OUTPUTS * size  # after 3x3; these begin at first - 2
    large = small + _SLOTS * size  # after 5x5
    out = large + _SLOTS * size  # 2h planes of whole blocks of rows that begin at first
    for r in range(band + 8):
        row = first - 4 + r
        if 0 <= row < height:
            normalise_row(x, row + 1, scale, bias, normed, r, width)
            normed[:, r, MARGIN + width :] = 0  # a lower band may have left something here
        else:
            normed[:, r] = 0
    for half in range(2):
        # The second stage takes neighbours in the list of all 3x3 results, then all 5x5 ones.
        second = w3_1 if half == 0 else w5_1
        target = out + half * hidden * result
        for c in range(hidden):
            if c % OUTPUTS == 0:
                w0 = (half * blocks * OUTPUTS + c) * channels
                pointwise_run(
                    scratch, MARGIN, size, channels, w_in, w0, zeros, 0, OUTPUTS, scratch, 0,
                    scratch, wide + MARGIN, size, (band + 8) * stride - MARGIN, 0, 0,
                )  # fmt: skip
            here = 0 if c == 0 else 1 + c % 2
            before = 0 if c == 1 else 2 - c % 2
            _first_stage(
                scratch, wide + c % OUTPUTS * size, small + here * size, large + here * size,
                w3, w5, half * hidden + c, stride, width, band, first, height,
            )  # fmt: skip
            if c % 2 == 1:
                _second_stage(
                    scratch, small + before * size, small + here * size, target + c // 2 * result,
                    second, c // 2, stride, band,
                )  # fmt: skip
            if c > 0 and (hidden + c) % 2 == 1:
                g = (hidden + c) // 2
                _second_stage(
                    scratch, large + before * size, large + here * size, target + g * result,
                    second, g, stride, band,
                )  # fmt: skip
            if c == hidden - 1 and hidden % 2 == 1:
                g = c // 2
                y0 = target + g * result
                _second_stage(scratch, small + here * size, large, y0, second, g, stride, band)
    place = (first + 1) * stride + MARGIN
    pointwise_run(
        scratch, out + MARGIN, result, 2 * hidden, w_out, 0, zeros, 0, channels,
        x, place, y, place, padded_height * stride, band * stride - MARGIN, 1, 0,
    )  # fmt: skip
    clear_tail(y, first + 1, last + 1, width)


@numba.njit(cache=True, nogil=True)
def _first_stage(
    s: Array, source: int, small: int, large: int, w3: Array, w5: Array, c: int,
    stride: int, width: int, band: int, first: int, height: int,
) -> None:  # fmt: skip
    """Both kernels of the first depthwise stage on one channel, and their ReLU."""
    lanes = 64 // s.itemsize
    for r in range(0, band + 4, ROWS):
        start = r * stride + MARGIN
        i = 0
        while i < stride - MARGIN:
            if i + lanes < stride - MARGIN:
                _both_2(
                    s, source + start + i - 2, stride, w3, c * 9, w5, c * 25,
                    s, small + start + i, s, large + start + i, stride,
                )  # fmt: skip
                i += 2 * lanes
            else:
                _both_1(
                    s, source + start + i - 2, stride, w3, c * 9, w5, c * 25,
                    s, small + start + i, s, large + start + i, stride,
                )  # fmt: skip
                i += lanes
    for r in range(band + 4):
        row, end = first - 2 + r, (r + 1) * stride
        if row < 0 or row >= height:
            s[small + end - stride : small + end] = 0
            s[large + end - stride : large + end] = 0
        elif width % LANES:
            tail = stride - MARGIN - width
            s[small + end - tail : small + end] = 0
            s[large + end - tail : large + end] = 0


@numba.njit(cache=True, nogil=True)
def _second_stage(
    s: Array, one: int, two: int, target: int, weights: Array, g: int, stride: int, band: int
) -> None:
    """One output of the second depthwise stage from its two inputs, and its ReLU."""
    lanes, taps = 64 // s.itemsize, weights.shape[1]
    w0 = g * taps
    for r in range(0, band, ROWS):
        start = r * stride + MARGIN
        i = 0
        while i < stride - MARGIN:
            three, five = start + i + stride - 1, start + i - 2
            two_vectors = i + lanes < stride - MARGIN
            y = target + start + i
            if taps == 18 and two_vectors:
                _pair3_2(s, one + three, s, two + three, stride, weights, w0, s, y, stride)
            elif taps == 18:
                _pair3_1(s, one + three, s, two + three, stride, weights, w0, s, y, stride)
            elif two_vectors:
                _pair5_2(s, one + five, s, two + five, stride, weights, w0, s, y, stride)
            else:
                _pair5_1(s, one + five, s, two + five, stride, weights, w0, s, y, stride)
            i += 2 * lanes if two_vectors else lanes
