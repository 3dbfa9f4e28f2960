"""Haze and fog: light scattered in along the way, more of it the farther away."""

import numpy as np

from training.data.degradations.depth import (
    FloatImage,
    draw_airlight,
    pseudo_depth,
    scatter,
    smooth_field,
)


def haze(
    visible: FloatImage,
    severity: float,
    rng: np.random.Generator,
    depth: FloatImage | None = None,
) -> FloatImage:
    """Put the scene behind haze, from a breath of it to fog that hides all that is far.

    The transmission is exp(-beta d) over a pseudo-depth d. In AWMM's haze it falls from 1 on the
    near road to 0.05 to 0.17 above the horizon, with an airlight of 0.98.

    Args:
        visible: H x W x 3 RGB in [0, 1].
        severity: 0 leaves the image nearly as it is, 1 leaves 2 % of the farthest light.
        rng: source of all randomness.
        depth: H x W in [0, 1]; drawn when None.

    Returns:
        H x W x 3 RGB in [0, 1].
    """
    depth = pseudo_depth(visible, rng) if depth is None else depth
    beta = np.float32(0.1 + 3.7 * severity**0.8)
    # Fog banks: thickness varies along the line of sight, gently.
    banks = smooth_field(depth.shape, rng.uniform(120.0, 300.0), rng)
    thickness = beta * depth * np.exp(np.float32(rng.uniform(0.0, 0.2)) * banks)
    # Inside a fog bank even the nearest things are veiled.
    if rng.random() < 0.3:
        thickness += np.float32(rng.uniform(0.0, 0.5) * severity)
    bright = rng.random() < 0.75
    airlight = draw_airlight(0.85 if bright else 0.55, 1.0 if bright else 0.85, 0.01, rng)
    return np.clip(scatter(visible, np.exp(-thickness), airlight), 0.0, 1.0)
