"""Dense convolutions 1x1 and 3x3 on planes, with bias, residual and ReLU."""

import numba

from amg_fuse_ros.network.inference.layout import LANES, MARGIN, Array
from amg_fuse_ros.network.inference.vectors import OUTPUTS, make_dense

_pointwise_3, _pointwise_2, _pointwise_1 = (make_dense(1, n) for n in (3, 2, 1))
_window_3, _window_2, _window_1 = (make_dense(3, n) for n in (3, 2, 1))


@numba.njit(cache=True, nogil=True)
def pointwise_run(
    x: Array, x0: int, x_plane: int, channels: int,
    weights: Array, w0: int, bias: Array, b0: int, outputs: int,
    residual: Array, r0: int, y: Array, y0: int, y_plane: int, n: int, add: int, clamp: int,
) -> None:  # fmt: skip
    """1x1 convolution of ``n`` pixels in one piece, ``n`` a multiple of the lanes.

    Offsets name the first pixel of the first plane; ``residual`` has the planes of ``y``.
    """
    lanes = 64 // x.itemsize
    i = 0
    while i < n:
        left = (n - i) // lanes
        for o in range(0, outputs, OUTPUTS):
            w, b, r, target = w0 + o * channels, b0 + o, r0 + o * y_plane + i, y0 + o * y_plane + i
            valid = outputs - o
            if left >= 3:
                _pointwise_3(
                    x, x0 + i, x_plane, 0, weights, w, bias, b, channels,
                    residual, r, y, target, y_plane, valid, add, clamp,
                )  # fmt: skip
            elif left == 2:
                _pointwise_2(
                    x, x0 + i, x_plane, 0, weights, w, bias, b, channels,
                    residual, r, y, target, y_plane, valid, add, clamp,
                )  # fmt: skip
            else:
                _pointwise_1(
                    x, x0 + i, x_plane, 0, weights, w, bias, b, channels,
                    residual, r, y, target, y_plane, valid, add, clamp,
                )  # fmt: skip
        i += min(left, 3) * lanes


@numba.njit(cache=True, nogil=True)
def clear_tail(y: Array, first: int, last: int, width: int) -> None:
    """Set what lies beyond the width to zero, in the rows ``first`` to ``last`` of all planes."""
    if width % LANES == 0:
        return
    for c in range(y.shape[0]):
        for row in range(first, last):
            y[c, row, MARGIN + width :] = 0


@numba.njit(cache=True, nogil=True)
def convolve_1x1(
    x: Array, weights: Array, bias: Array, residual: Array, y: Array,
    width: int, first: int, last: int, add: int, clamp: int,
) -> None:  # fmt: skip
    """Rows ``first`` to ``last`` of y = [relu] (W x + bias [+ residual]).

    Args:
        x: Planes of the input, of as many rows as those of the output or more.
        weights: From ``pack_dense``.
        bias: From ``pack_bias``.
        residual: Planes like ``y``, read if ``add`` is 1; may be ``y`` itself.
        y: Planes of the output.
        width: Of the content.
        first: Row of the content.
        last: The row after the last.
        add: Whether to add the residual.
        clamp: Whether to clamp at zero.
    """
    channels, stride, outputs = x.shape[0], x.shape[2], y.shape[0]
    plane, y_plane = x.shape[1] * stride, y.shape[1] * stride
    n = stride - MARGIN
    for row in range(first, last):
        place = (row + 1) * stride + MARGIN
        pointwise_run(
            x, place, plane, channels, weights, 0, bias, 0, outputs,
            residual, place, y, place, y_plane, n, add, clamp,
        )  # fmt: skip
    clear_tail(y, first + 1, last + 1, width)


@numba.njit(cache=True, nogil=True)
def convolve_3x3(
    x: Array, weights: Array, bias: Array, residual: Array, y: Array,
    width: int, first: int, last: int, add: int, clamp: int,
) -> None:  # fmt: skip
    """Like :func:`convolve_1x1`, with a 3x3 window."""
    channels, stride, outputs = x.shape[0], x.shape[2], y.shape[0]
    plane, y_plane = x.shape[1] * stride, y.shape[1] * stride
    lanes = 64 // x.itemsize
    n = stride - MARGIN
    for row in range(first, last):
        place = (row + 1) * stride + MARGIN
        window = row * stride + MARGIN - 1
        i = 0
        while i < n:
            left = (n - i) // lanes
            for o in range(0, outputs, OUTPUTS):
                w, target, valid = o * channels * 9, place + o * y_plane + i, outputs - o
                if left >= 3:
                    _window_3(
                        x, window + i, plane, stride, weights, w, bias, o, channels,
                        residual, target, y, target, y_plane, valid, add, clamp,
                    )  # fmt: skip
                elif left == 2:
                    _window_2(
                        x, window + i, plane, stride, weights, w, bias, o, channels,
                        residual, target, y, target, y_plane, valid, add, clamp,
                    )  # fmt: skip
                else:
                    _window_1(
                        x, window + i, plane, stride, weights, w, bias, o, channels,
                        residual, target, y, target, y_plane, valid, add, clamp,
                    )  # fmt: skip
            i += min(left, 3) * lanes
    clear_tail(y, first + 1, last + 1, width)


@numba.njit(cache=True, nogil=True)
def shuffle_down(x: Array, y: Array, width: int, first: int, last: int) -> None:
    """Pixel unshuffle: C planes 2H x 2W to 4C planes; ``width`` and rows are the output's."""
    for c in range(x.shape[0]):
        for row in range(first, last):
            for dy in range(2):
                source = x[c, 2 * row + dy + 1]
                even, odd = y[4 * c + 2 * dy, row + 1], y[4 * c + 2 * dy + 1, row + 1]
                for i in range(width):
                    even[MARGIN + i] = source[MARGIN + 2 * i]
                    odd[MARGIN + i] = source[MARGIN + 2 * i + 1]


@numba.njit(cache=True, nogil=True)
def shuffle_up(x: Array, y: Array, width: int, first: int, last: int) -> None:
    """Pixel shuffle: 4C planes H x W to C planes; ``width`` and rows are the input's."""
    for c in range(y.shape[0]):
        for row in range(first, last):
            for dy in range(2):
                target = y[c, 2 * row + dy + 1]
                even, odd = x[4 * c + 2 * dy, row + 1], x[4 * c + 2 * dy + 1, row + 1]
                for i in range(width):
                    target[MARGIN + 2 * i] = even[MARGIN + i]
                    target[MARGIN + 2 * i + 1] = odd[MARGIN + i]
