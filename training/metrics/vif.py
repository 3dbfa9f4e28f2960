"""VIF: visual information fidelity in the pixel domain, four scales.

Sheikh, Bovik, "Image information and visual quality", IEEE TIP 15(2), 2006, in its multi-scale
pixel-domain form (vifp); the mean over both sources, as in the evaluator of CDDFuse (CVPR 2023)
divided by two.
"""

import numpy as np

from training.metrics.common import Gray, filter_valid, gaussian, require_side

MINIMUM_SIDE = 41
_NOISE = 2.0
_EPS = 1e-10


def vif(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure the information on each source that a noisy observer finds in the fused image.

    VIF = (v(A, F) + v(B, F)) / 2. At least 0; three equal images give 1.

    Degenerate input: a constant source holds no information to lose, so its v is 1; a constant
    fused image keeps nothing of a textured source, v = 0.

    Raises:
        ValueError: A side is below 41 pixels: no window fits at the fourth scale.
    """
    require_side(fused, MINIMUM_SIDE, "VIF")
    return (_fidelity(thermal, fused) + _fidelity(visible, fused)) / 2


def _fidelity(reference: Gray, distorted: Gray) -> float:
    kept = total = 0.0
    for scale in (1, 2, 3, 4):
        size = 2 ** (5 - scale) + 1
        window = gaussian(size, size / 5)
        if scale > 1:
            reference = filter_valid(reference, window)[::2, ::2]
            distorted = filter_valid(distorted, window)[::2, ::2]
        gain, variance, noise = _channel(reference, distorted, window)
        kept += float(np.log10(1 + gain**2 * variance / (noise + _NOISE)).sum())
        total += float(np.log10(1 + variance / _NOISE).sum())
    return 1.0 if total == 0.0 else kept / total


def _channel(reference: Gray, distorted: Gray, window: Gray) -> tuple[Gray, Gray, Gray]:
    """Model the distorted image as gain * reference + noise in each window.

    Returns:
        Gain, variance of the reference, variance of the noise; the replacements below are the
        reference program's, in its order.
    """
    mean_r, mean_d = filter_valid(reference, window), filter_valid(distorted, window)
    var_r = np.maximum(filter_valid(reference**2, window) - mean_r**2, 0.0)
    var_d = np.maximum(filter_valid(distorted**2, window) - mean_d**2, 0.0)
    covariance = filter_valid(reference * distorted, window) - mean_r * mean_d

    gain = covariance / (var_r + _EPS)
    noise = var_d - gain * covariance
    flat_r, flat_d = var_r < _EPS, var_d < _EPS
    gain[flat_r | flat_d] = 0.0
    noise[flat_r] = var_d[flat_r]
    var_r[flat_r] = 0.0
    noise[flat_d] = 0.0
    inverted = gain < 0.0
    noise[inverted] = var_d[inverted]
    gain[inverted] = 0.0
    return gain, var_r, np.maximum(noise, _EPS)
