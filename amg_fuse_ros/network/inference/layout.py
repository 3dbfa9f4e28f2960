"""How features lie in memory, and weights, in the fast formulation.

Features are planes, one per channel, each with a border of zeros around it, so that convolutions
need no special case at the edges: an array C, H + 2, S. Rows begin with ``MARGIN`` zeros, which
close the row before, too; the content starts at row 1, column ``MARGIN``. S is the width rounded
up to whole vectors, plus the margin. What an operation computes beyond the width, in the last
vector of a row, it clears again. A pixel is named by its offset in its plane (an int32).
"""

import numba
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.network.inference.vectors import OUTPUTS

MARGIN = 16
"""Columns of zeros left of each row; keeps the content aligned."""

LANES = 16
"""Widths are rounded up to this: a vector of float32, two of float64."""

OVERRUN = 64
"""Elements behind the last row that a window in the last vector may reach."""

Array = NDArray[np.floating]


def row_stride(width: int) -> int:
    """Distance S of the rows of a plane."""
    return MARGIN + -(-width // LANES) * LANES


def planes(channels: int, height: int, width: int, dtype: type) -> Array:
    """Planes of zeros, C, H + 2, S."""
    stride = row_stride(width)
    flat: Array = np.zeros(channels * (height + 2) * stride + OVERRUN, dtype)
    return flat[:-OVERRUN].reshape(channels, height + 2, stride)


@numba.njit(cache=True, nogil=True)
def clear_border(array: Array, height: int, width: int) -> None:
    """Set to zero what is not content, in planes of ``height`` rows of content or more."""
    for c in range(array.shape[0]):
        array[c, 0] = 0
        for row in range(1, height + 1):
            array[c, row, :MARGIN] = 0
            array[c, row, MARGIN + width :] = 0
        array[c, height + 1 :] = 0


def content(array: Array, width: int) -> Array:
    """The view C H W of planes without their border."""
    return array[:, 1:-1, MARGIN : MARGIN + width]


def pack_dense(weight: Array) -> Array:
    """Weights O C k k in the order in which they are read: output block, channel, tap, output.

    The last block is filled up with zeros.
    """
    outputs, channels, k, _ = weight.shape
    blocks = -(-outputs // OUTPUTS)
    padded = np.zeros((blocks * OUTPUTS, channels, k * k), weight.dtype)
    padded[:outputs] = weight.reshape(outputs, channels, k * k)
    packed = padded.reshape(blocks, OUTPUTS, channels, k * k).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(packed).ravel()


def pack_bias(bias: Array) -> Array:
    """Biases of O outputs, filled up to whole blocks."""
    padded = np.zeros(-(-len(bias) // OUTPUTS) * OUTPUTS, bias.dtype)
    padded[: len(bias)] = bias
    return padded
