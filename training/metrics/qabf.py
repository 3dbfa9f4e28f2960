"""Q^AB/F: gradient preservation, weighted over the whole image.

Xydeas, Petrovic, "Objective image fusion performance measure", Electronics Letters 36(4), 2000,
with the constants and the tie rule of the widespread program (VIFB, the evaluator of CDDFuse).
"""

import numpy as np

from training.metrics.common import Gray, ratio, sigmoid, sobel


def qabf(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure how well edge strength and orientation of the sources survive in the fused image.

    Q^AB/F = sum(Q_A g_A + Q_B g_B) / sum(g_A + g_B). In 0..1; three equal images give about
    0.975.

    Degenerate input: black sources have no gradient at all, which gives 0. Any other constant
    image has one at its border, where zeros are assumed outside.
    """
    strength_a, orientation_a = _edges(thermal)
    strength_b, orientation_b = _edges(visible)
    fused_edges = _edges(fused)
    total = float(strength_a.sum() + strength_b.sum())
    if total == 0.0:
        return 0.0
    kept_a = _preservation(strength_a, orientation_a, *fused_edges) * strength_a
    kept_b = _preservation(strength_b, orientation_b, *fused_edges) * strength_b
    return float(kept_a.sum() + kept_b.sum()) / total


def _edges(image: Gray) -> tuple[Gray, Gray]:
    """Strength, and orientation in (-pi/2, pi/2].

    The sign of gy matters: it decides on which side of the vertical edges (pi/2) the others lie,
    and orientations are compared without wrap-around.
    """
    gx, gy = sobel(image)
    upright = gx == 0.0
    orientation = np.arctan(-gy / np.where(upright, 1.0, gx))
    orientation[upright] = np.pi / 2
    return np.sqrt(gx**2 + gy**2), orientation


def _preservation(g: Gray, orientation: Gray, g_f: Gray, orientation_f: Gray) -> Gray:
    kept = ratio(np.minimum(g, g_f), np.maximum(g, g_f))
    # Where strengths tie, the reference program takes the strength itself instead of 1.
    kept = np.where(g == g_f, g_f, kept)
    aligned = 1.0 - np.abs(orientation - orientation_f) * (2 / np.pi)
    return 0.9994 * sigmoid(kept, 15.0, 0.5) * 0.9879 * sigmoid(aligned, 22.0, 0.8)
