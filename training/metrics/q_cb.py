"""Q_CB: contrast preservation as a human eye would see it.

Chen, Blum, "A new automated quality assessment algorithm for image fusion", Image and Vision
Computing 27(10), 2009; conventions of the toolbox of Liu et al., TPAMI 2012.
"""

import cv2
import numpy as np
from scipy import fft

from training.metrics.common import Gray, ratio, stretch

_RADIUS = 15


def q_cb(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure how well the visible contrast of the sources survives in the fused image.

    Q_CB = mean(l_A Q_A + l_B Q_B) with saliency weights l from the sources' own masked contrast.
    In 0..1; three equal images give 1.

    Degenerate input: a constant image has no contrast anywhere. A pixel where neither source has
    contrast counts 0, so constant sources give 0, and so does a constant fused image.
    """
    a, b, f = (_masked_contrast(image) for image in (thermal, visible, fused))
    salience_a, salience_b = a**2, b**2
    kept = salience_a * _preserved(a, f) + salience_b * _preserved(b, f)
    return float(np.mean(ratio(kept, salience_a + salience_b)))


def _masked_contrast(image: Gray) -> Gray:
    seen = _contrast_sensitivity(stretch(image))
    centre, surround = _blur(seen, 2.0), _blur(seen, 4.0)
    contrast = np.abs(ratio(centre - surround, surround))
    return contrast**3 / (contrast**2 + 0.0001)


def _contrast_sensitivity(image: Gray) -> Gray:
    """Multiply the spectrum by a difference of Gaussians; frequencies in steps of 1/15."""
    height, width = image.shape
    v = fft.fftfreq(height, 1 / height)[:, None] / 15
    u = fft.rfftfreq(width, 1 / width)[None, :] / 15
    squared = u**2 + v**2
    sensitivity = np.exp(-squared / 15.3870**2) - 0.7622 * np.exp(-squared / 1.3456**2)
    return fft.irfft2(fft.rfft2(image) * sensitivity, s=image.shape)


def _blur(image: Gray, sigma: float) -> Gray:
    """Filter with a 31x31 Gaussian cut off at its border, not renormalised; zeros outside."""
    x = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(x**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    blurred: Gray = cv2.sepFilter2D(
        image, cv2.CV_64F, window, window, borderType=cv2.BORDER_CONSTANT
    )
    return blurred


def _preserved(source: Gray, fused: Gray) -> Gray:
    return ratio(np.minimum(source, fused), np.maximum(source, fused))
