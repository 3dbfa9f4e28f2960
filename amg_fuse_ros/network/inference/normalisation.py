"""Layer norm over the channels of each pixel, on planes."""

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import MARGIN, Array

EPSILON = 1e-5


@numba.njit(cache=True, nogil=True, error_model="numpy")
def normalise_row(
    x: Array, x_row: int, scale: Array, bias: Array, y: Array, y_row: int, width: int
) -> None:
    """One row of all planes: y = (x - mean) / sqrt(variance + eps) * scale + bias.

    Rows are counted from the border.
    """
    channels = x.shape[0]
    mean = np.zeros(width, x.dtype)
    factor = np.zeros(width, x.dtype)
    share = x.dtype.type(1.0 / channels)
    for c in range(channels):
        source = x[c, x_row]
        for i in range(width):
            mean[i] += source[MARGIN + i]
    for i in range(width):
        mean[i] *= share
    for c in range(channels):
        source = x[c, x_row]
        for i in range(width):
            d = source[MARGIN + i] - mean[i]
            factor[i] += d * d
    one, eps = x.dtype.type(1.0), x.dtype.type(EPSILON)
    for i in range(width):
        factor[i] = one / np.sqrt(factor[i] * share + eps)
    for c in range(channels):
        source, target, a, b = x[c, x_row], y[c, y_row], scale[c], bias[c]
        for i in range(width):
            target[MARGIN + i] = (source[MARGIN + i] - mean[i]) * factor[i] * a + b


@numba.njit(cache=True, nogil=True)
def normalise(
    x: Array, scale: Array, bias: Array, y: Array, width: int, first: int, last: int
) -> None:
    """Rows ``first`` to ``last`` of the content."""
    for row in range(first + 1, last + 1):
        normalise_row(x, row, scale, bias, y, row, width)
