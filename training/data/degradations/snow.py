"""Snow: flakes of all sizes, sharp and out of focus, drifting, before a grey veil."""

import cv2
import numpy as np

from training.data.degradations.depth import FloatImage, draw_airlight, pseudo_depth, scatter

# Per class of flakes: flakes a million pixels at severity 1, radius in pixels (from, to), motion
# as a multiple of the radius (from, to), opacity (mean peak; from, to), shapes drawn.
_CLASSES = (
    (22000.0, (0.25, 0.6), (0.0, 2.0), (0.25, 0.7), 3),
    (9000.0, (0.55, 0.95), (0.0, 2.0), (0.25, 0.75), 3),
    (4500.0, (0.9, 1.5), (0.0, 1.8), (0.25, 0.7), 3),
    (3200.0, (1.3, 2.2), (0.0, 1.4), (0.2, 0.65), 2),
    (1700.0, (2.0, 3.4), (0.0, 1.0), (0.2, 0.6), 2),
    (400.0, (3.2, 6.0), (0.0, 0.7), (0.2, 0.55), 2),
    (70.0, (6.0, 11.0), (0.0, 0.5), (0.15, 0.5), 2),
)


def snow(
    visible: FloatImage,
    severity: float,
    rng: np.random.Generator,
    depth: FloatImage | None = None,
) -> FloatImage:
    """Let snow fall through the scene.

    Measured on AWMM's snow: above 10 000 separate flakes a million pixels that cover a quarter of
    the image, half of them under 8 px in area and one in a hundred above 250 px; peaks from 0.1
    to 0.8 above the background; elongated along a drift within some 30 degrees; a white veil that
    leaves 0.8 of the light.

    Args:
        visible: H x W x 3 RGB in [0, 1].
        severity: 0 a few flakes, 1 a blizzard.
        rng: source of all randomness.
        depth: H x W in [0, 1], for the veil; drawn when None.

    Returns:
        H x W x 3 RGB in [0, 1].
    """
    depth = pseudo_depth(visible, rng) if depth is None else depth
    veil = np.float32(rng.uniform(0.05, 0.45) * (0.3 + 0.7 * severity))
    # AWMM's veil is the same everywhere; real falls hide the far side more.
    lean = np.float32(rng.uniform(0.0, 0.7))
    veiled = scatter(
        visible, 1.0 - veil * (1.0 - lean + lean * depth), draw_airlight(0.65, 1.0, 0.015, rng)
    )

    drift = rng.uniform(-50.0, 50.0)
    amount = (0.1 + 0.9 * severity) * rng.uniform(0.6, 1.7)
    clear = np.ones(depth.shape, np.float32)
    for per_megapixel, radii, motions, opacities, shapes in _CLASSES:
        mean = per_megapixel * amount * rng.uniform(0.4, 1.6) * depth.size * 1e-6
        for count in rng.poisson(mean / shapes, shapes):
            if count:
                kernel = _flake(rng.uniform(*radii), rng.uniform(*motions), drift, rng)
                opacity = rng.uniform(*opacities)
                clear *= 1.0 - _scatter_flakes(depth.shape, kernel, count, opacity, rng)
    flakes = draw_airlight(0.8, 1.0, 0.01, rng)
    return np.clip(scatter(veiled, clear, flakes), 0.0, 1.0)


def _flake(radius: float, motion: float, drift: float, rng: np.random.Generator) -> FloatImage:
    """One flake of peak 1: a smeared soft disc; large ones are clumps. Side odd, in pixels."""
    softness = 0.35 * (rng.uniform(0.2, 0.8) * radius if radius > 1.2 else 0.3) + 0.1
    half = int(np.ceil(1.2 * radius * (1.0 + motion) + 3.0 * softness))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    angle = np.deg2rad(drift + rng.normal(0.0, 18.0))
    flake = np.zeros_like(x)
    clumps = 1 if radius < 1.5 else int(rng.integers(2, 6))
    for _ in range(clumps):
        if clumps > 1:
            dx, dy = rng.uniform(-0.5 * radius, 0.5 * radius, 2)
            size = radius * rng.uniform(0.4, 0.8)
        else:
            dx, dy = rng.uniform(-0.5, 0.5, 2)
            size = radius
        along = (x - dx) * np.sin(angle) + (y - dy) * np.cos(angle)
        across = (x - dx) * np.cos(angle) - (y - dy) * np.sin(angle)
        distance = np.hypot(across, along / np.float32(1.0 + motion))
        blob = 1.0 / (1.0 + np.exp((distance - size) / np.float32(softness)))
        flake = np.maximum(flake, blob * np.float32(rng.uniform(0.6, 1.0)))
    # The sigmoid's tail must not show the edge of the stamp.
    flake = np.maximum(flake / flake.max() - np.float32(0.03), 0.0) / np.float32(0.97)
    return flake.astype(np.float32)


def _scatter_flakes(
    shape: tuple[int, int],
    kernel: FloatImage,
    count: int,
    opacity: float,
    rng: np.random.Generator,
) -> FloatImage:
    """Opacity of ``count`` copies of a flake at random places, H x W in [0, 0.97]."""
    height, width = shape
    side = kernel.shape[0]
    peaks = np.minimum(opacity * rng.gamma(1.3, 0.77, count), 0.95).astype(np.float32)
    if side <= 11:
        impulses = np.zeros(shape, np.float32)
        impulses.reshape(-1)[rng.integers(0, height * width, count)] = peaks
        layer = cv2.filter2D(impulses, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
    else:
        # Few and large: stamped one by one, cheaper than so large a filter.
        half = side // 2
        padded = np.zeros((height + 2 * side, width + 2 * side), np.float32)
        rows = rng.integers(side - half, side + height + half, count) - half
        columns = rng.integers(side - half, side + width + half, count) - half
        for row, column, peak in zip(rows, columns, peaks, strict=True):
            turned = kernel if peak > opacity else kernel[::-1, ::-1]
            window = padded[row : row + side, column : column + side]
            np.maximum(window, peak * turned, out=window)
        layer = padded[side : side + height, side : side + width]
    return np.minimum(layer, np.float32(0.97))
