"""The compiled loop of the depthwise convolution's weight gradient."""

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, fastmath=True, nogil=True)
def sum_rows(
    x: NDArray[np.float32], grad: NDArray[np.float32], k: int, first: int, last: int
) -> NDArray[np.float32]:
    """Sum grad[b, y, x, c] x[b, y + dy, x + dx, c] over the rows first..last of all images.

    ``x`` and ``grad`` are B H W C; the result is k k C.
    """
    _, height, width, channels = x.shape
    reach = k // 2
    sums = np.zeros((k, k, channels), np.float32)
    for row in range(first, last):
        b, y = row // height, row % height
        for dy in range(max(0, reach - y), min(k, height + reach - y)):
            source = x[b, y + dy - reach]
            for column in range(width):
                g = grad[b, y, column]
                low, high = max(0, reach - column), min(k, width + reach - column)
                for dx in range(low, high):
                    s = source[column + dx - reach]
                    total = sums[dy, dx]
                    for c in range(channels):
                        total[c] += g[c] * s[c]
    return sums
