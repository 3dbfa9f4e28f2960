"""Rain: streaks in layers of distance, and the thin veil of drops too far away to be seen."""

import cv2
import numpy as np

from training.data.degradations.depth import (
    FloatImage,
    draw_airlight,
    pseudo_depth,
    scatter,
)


def rain(
    visible: FloatImage,
    severity: float,
    rng: np.random.Generator,
    depth: FloatImage | None = None,
) -> FloatImage:
    """Let rain fall through the scene.

    Far layers are dense, thin and faint and cover what is far; near ones are few, long and
    bright and cover everything. Measured on AWMM's rain: streaks about 2 px wide and 15 to 60 px
    long, within some 10 degrees of each other, opacity 0.06 (standard deviation) over what is
    far and 0.03 over the near road, above a veil that leaves three quarters of the light.

    Args:
        visible: H x W x 3 RGB in [0, 1].
        severity: 0 a drizzle, 1 a downpour.
        rng: source of all randomness.
        depth: H x W in [0, 1]; drawn when None.

    Returns:
        H x W x 3 RGB in [0, 1].
    """
    depth = pseudo_depth(visible, rng) if depth is None else depth
    veil = np.float32(rng.uniform(0.1, 0.45) * (0.3 + 0.7 * severity))
    wet = scatter(visible, 1.0 - veil * (0.6 + 0.4 * depth), draw_airlight(0.3, 0.75, 0.02, rng))

    slant = rng.normal(0.0, 9.0)
    length = rng.uniform(15.0, 50.0)
    strength = rng.uniform(0.5, 1.2) * (0.025 + 0.075 * severity)
    opacity = np.zeros(depth.shape, np.float32)
    for distance in (0.9, 0.6, 0.45):
        layer = _streaks(
            depth.shape,
            density=10 ** rng.uniform(-2.3, -1.3) * distance,
            length=length * rng.uniform(0.6, 1.5),
            width=rng.uniform(0.55, 0.95),
            slant=slant + rng.normal(0.0, 4.0),
            rng=rng,
        )
        opacity += np.float32(strength * rng.uniform(0.4, 0.9)) * layer
    opacity *= 0.45 + 0.55 * depth
    if rng.random() < 0.65:
        near = _streaks(
            depth.shape,
            density=10 ** rng.uniform(-4.5, -3.2),
            length=length * rng.uniform(1.0, 2.2),
            width=rng.uniform(0.7, 1.6),
            slant=slant + rng.normal(0.0, 4.0),
            rng=rng,
        )
        opacity += np.minimum(np.float32(strength * 0.5) * near, np.float32(0.5))
    streaks = draw_airlight(0.65, 1.0, 0.02, rng)
    return np.clip(scatter(wet, 1.0 - np.clip(opacity, 0.0, 0.9), streaks), 0.0, 1.0)


def _streaks(
    shape: tuple[int, int],
    *,
    density: float,
    length: float,
    width: float,
    slant: float,
    rng: np.random.Generator,
) -> FloatImage:
    """Streaks of unit standard deviation, H x W, at least 0.

    Args:
        shape: H, W.
        density: streaks per pixel.
        length: mean length in pixels; half of them reach beyond it by up to a half.
        width: standard deviation across, in pixels.
        slant: degrees away from the vertical.
        rng: source of all randomness.
    """
    height, width_px = shape
    angle = float(np.clip(slant, -40.0, 40.0))
    shear = np.tan(np.deg2rad(angle))
    # Drawn upright on a canvas wide enough to be sheared into place.
    margin = int(abs(shear) * height / 2) + 2
    columns = width_px + 2 * margin
    canvas = np.zeros((height + int(2 * length), columns), np.float32)
    count = max(1, rng.poisson(density * canvas.size))
    where = rng.integers(0, canvas.size, count)
    canvas.reshape(-1)[where] = rng.exponential(1.0, count).astype(np.float32)
    falling = cv2.blur(canvas, (1, max(3, round(length) | 1)), borderType=cv2.BORDER_CONSTANT)
    # A second, short pass rounds the ends off.
    falling = cv2.blur(falling, (1, max(3, round(0.35 * length) | 1)))
    falling = cv2.GaussianBlur(falling, (7, 1), sigmaX=width, sigmaY=0.01)
    matrix = np.array(
        [[1.0, shear, margin - shear * height / 2], [0.0, 1.0, int(length)]], np.float32
    )
    layer = cv2.warpAffine(
        falling, matrix, (width_px, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return layer / (layer.std() + np.float32(1e-6))
