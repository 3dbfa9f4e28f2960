"""Q_M: agreement of two-level Haar wavelet details.

Wang, Liu, "A novel image fusion metric based on multi-scale analysis", ICSP 2008; conventions of
the toolbox of Liu et al., TPAMI 2012.
"""

import numpy as np

from training.metrics.common import Gray, require_side

MINIMUM_SIDE = 4


def q_m(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure how closely the fused image's fine details coincide with the sources'.

    Q_M = Q_1^(2/3) Q_2^(1/3) over two Haar levels, the finer first; within a level each source
    is weighted by the energy of its details. In 0..3; three equal images give 3.

    Degenerate input: a level on which neither source has any detail gives Q_i = 0, hence
    Q_M = 0 (the toolbox divides 0 by 0).

    Raises:
        ValueError: A side is below 4 pixels: no second level.
    """
    require_side(fused, MINIMUM_SIDE, "Q_M")
    fine = _haar(thermal), _haar(visible), _haar(fused)
    coarse = tuple(_haar(approximation) for approximation, _ in fine)
    levels = [_agreement(*(details for _, details in level)) for level in (fine, coarse)]
    return levels[0] ** (2 / 3) * levels[1] ** (1 / 3)


def _haar(image: Gray) -> tuple[Gray, Gray]:
    """One orthonormal Haar step on 2x2 blocks: approximation H/2 W/2, details 3 H/2 W/2.

    An odd last row or column is dropped.
    """
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    p, q = image[0:height:2, 0:width:2], image[0:height:2, 1:width:2]
    r, s = image[1:height:2, 0:width:2], image[1:height:2, 1:width:2]
    details = np.stack([r + s - p - q, q + s - p - r, p + s - q - r])
    return (p + q + r + s) / 2, details / 2


def _agreement(a: Gray, b: Gray, f: Gray) -> float:
    weight_a, weight_b = (a**2).sum(axis=0), (b**2).sum(axis=0)
    total = float((weight_a + weight_b).sum())
    if total == 0.0:
        return 0.0
    kept_a, kept_b = (np.exp(-np.abs(source - f)).sum(axis=0) for source in (a, b))
    return float((kept_a * weight_a + kept_b * weight_b).sum()) / total
