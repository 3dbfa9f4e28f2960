"""Q_G: gradient preservation, averaged pixel by pixel.

After Xydeas, Petrovic, "Objective image fusion performance measure", Electronics Letters 36(4),
2000, in the form and with the constants of the toolbox of Liu et al., TPAMI 2012. `qabf` is the
other common form: a ratio of sums, with other constants.
"""

import numpy as np

from training.metrics.common import Gray, sigmoid, sobel

_FLOOR = 1e-5


def q_g(thermal: Gray, visible: Gray, fused: Gray) -> float:
    """Measure how well edge strength and orientation of the sources survive in the fused image.

    Q_G = mean((Q_A g_A + Q_B g_B) / (g_A + g_B)). In 0..1; three equal images give 0.98666.

    Degenerate input: strengths are floored at 1e-5, so every image has a value; three equal
    constant images count as perfect preservation, 0.98666.
    """
    strength_a, orientation_a = _edges(thermal)
    strength_b, orientation_b = _edges(visible)
    strength_f, orientation_f = _edges(fused)

    # The toolbox compares A with the fused strength as it is and B with the floored one.
    floor_f = _floored(strength_f)
    larger_a, larger_b = strength_a > strength_f, strength_b > floor_f
    strength_a, strength_b = _floored(strength_a), _floored(strength_b)
    kept_a = np.where(larger_a, strength_f / strength_a, strength_a / floor_f)
    kept_b = np.where(larger_b, floor_f / strength_b, strength_b / floor_f)

    q_a = _preservation(kept_a, orientation_a, orientation_f)
    q_b = _preservation(kept_b, orientation_b, orientation_f)
    return float(np.mean((q_a * strength_a + q_b * strength_b) / (strength_a + strength_b)))


def _edges(image: Gray) -> tuple[Gray, Gray]:
    """Strength, and orientation in (-pi/2, pi/2]."""
    gx, gy = sobel(image)
    strength = np.sqrt(gx**2 + gy**2)
    return strength, np.arctan(gy / np.where(gx == 0.0, _FLOOR, gx))


def _floored(strength: Gray) -> Gray:
    return np.where(strength == 0.0, _FLOOR, strength)


def _preservation(kept: Gray, orientation: Gray, orientation_f: Gray) -> Gray:
    # Edges that differ by nearly pi lie along the same line: they count as aligned.
    aligned = np.abs(np.abs(orientation - orientation_f) - np.pi / 2) * (2 / np.pi)
    return sigmoid(kept, 10.0, 0.5) * sigmoid(aligned, 20.0, 0.75)
