"""Thermal counts to the network's range."""

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import FloatImage

PERCENTILES = (0.5, 99.5)
MIN_WINDOW = 64
"""Counts; a scene of one temperature is not stretched until its noise fills the picture."""


def to_unit_range(thermal: NDArray[np.uint8] | NDArray[np.uint16]) -> FloatImage:
    """Map a thermal image to [0, 1].

    8-bit images have been through their camera's gain control and are divided by 255. 16-bit
    counts fill a small part of their range: the window between two percentiles of this frame is
    stretched, and what lies outside is clipped.

    Args:
        thermal: H W, uint8 or uint16.

    Returns:
        H W, float32 in [0, 1].
    """
    if thermal.dtype == np.uint8:
        return np.divide(thermal, np.float32(255), dtype=np.float32)
    low, high = np.percentile(thermal, PERCENTILES)
    if high - low < MIN_WINDOW:
        middle = (low + high) / 2
        low, high = middle - MIN_WINDOW / 2, middle + MIN_WINDOW / 2
    unit = (thermal.astype(np.float32) - np.float32(low)) * np.float32(1 / (high - low))
    return np.clip(unit, 0, 1, out=unit)
