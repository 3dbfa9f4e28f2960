"""Q_MI: normalised mutual information.

Hossny, Nahavandi, Creighton, "Comments on 'Information measure for performance of image fusion'",
Electronics Letters 44(18), 2008; conventions of the toolbox of Liu et al., TPAMI 2012.
"""

import numpy as np
import numpy.typing as npt

from training.metrics.common import Gray, stretch

_BINS = 256


def q_mi(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure how much the fused image tells about each source, by grey-level histograms.

    Q_MI = 2 (I(a, f) / (H(a) + H(f)) + I(b, f) / (H(b) + H(f))) with each image stretched to
    0..255 and unit histogram bins. In 0..2; three equal images give 2.

    Degenerate input: a constant image has no entropy and shares no information, so its term is
    0; with a constant fused image, or constant sources, Q_MI is 0.
    """
    a, b, f = (stretch(image).astype(np.intp).ravel() for image in (thermal, visible, fused))
    return 2.0 * (_normalised_information(a, f) + _normalised_information(b, f))


def _normalised_information(source: npt.NDArray[np.intp], fused: npt.NDArray[np.intp]) -> float:
    counts = np.bincount(source * _BINS + fused, minlength=_BINS**2)
    joint = counts.reshape(_BINS, _BINS) / source.size
    entropies = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))
    if entropies == 0.0:
        return 0.0
    return (entropies - _entropy(joint)) / entropies


def _entropy(probability: npt.NDArray[np.float64]) -> float:
    p = probability[probability > 0.0]
    return float(-(p * np.log2(p)).sum())
