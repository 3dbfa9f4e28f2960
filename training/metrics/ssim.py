"""SSIM: structural similarity, the mean over both sources.

Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 13(4), 2004, as in the authors' program ssim_index version 1.0.
"""

import numpy as np

from training.metrics.common import Gray, filter_valid, gaussian, require_side

MINIMUM_SIDE = 11
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def ssim(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Compare local mean, contrast and structure of the fused image with each source.

    SSIM = (s(A, F) + s(B, F)) / 2 with an 11x11 Gaussian window of standard deviation 1.5. In
    -1..1; three equal images give 1.

    Degenerate input: the constants keep every quotient defined; equal constant images give 1.

    Raises:
        ValueError: A side is below 11 pixels: no window fits.
    """
    require_side(fused, MINIMUM_SIDE, "SSIM")
    return (_similarity(thermal, fused) + _similarity(visible, fused)) / 2


def _similarity(x: Gray, y: Gray) -> float:
    window = gaussian(11, 1.5)
    mean_x, mean_y = filter_valid(x, window), filter_valid(y, window)
    var_x = filter_valid(x**2, window) - mean_x**2
    var_y = filter_valid(y**2, window) - mean_y**2
    covariance = filter_valid(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return float(np.mean(luminance * structure))
