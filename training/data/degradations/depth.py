"""A plausible depth for an image that has none, and the scattering that depends on it."""

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

# BT.601 luma, the weights JPEG uses.
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)


def luminance(visible: FloatImage) -> FloatImage:
    """BT.601 luma of an H x W x 3 RGB image, H x W."""
    return cv2.transform(visible, LUMA)


def smooth_field(
    shape: tuple[int, int], cell: float, rng: np.random.Generator, cells_at_least: int = 2
) -> FloatImage:
    """A random field of unit-variance bumps about ``cell`` pixels wide, H x W."""
    rows, columns = (max(cells_at_least, round(n / cell) + 1) for n in shape)
    coarse = rng.standard_normal((rows, columns), np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def guided_filter(guide: FloatImage, source: FloatImage, radius: int, eps: float) -> FloatImage:
    """Smooth ``source`` along the edges of ``guide`` (He et al., Guided image filtering, 2010)."""

    def mean(x: NDArray[np.floating]) -> FloatImage:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_source = mean(guide), mean(source)
    covariance = mean(guide * source) - mean_guide * mean_source
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = covariance / (variance + eps)
    offset = mean_source - slope * mean_guide
    return mean(slope) * guide + mean(offset)


def pseudo_depth(visible: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Draw a depth map that a road scene with this image could have.

    Below a horizon the ground comes nearer row by row; above it everything is far. Things stand
    in front of both: a random field shaped by the image's own edges and colours and by a
    dark-channel-like cue (bright and unsaturated reads as far, as in He et al., 2009). An image
    less high than a whole scene is taken for a crop, somewhere in it.

    Args:
        visible: H x W x 3 RGB in [0, 1].
        rng: source of all randomness.

    Returns:
        H x W in [0, 1], 0 at the camera and 1 at the far end.
    """
    height, width = visible.shape[:2]
    scene_height = max(float(height), rng.uniform(340.0, 520.0))
    top = rng.uniform(0.0, scene_height - height)
    horizon, near = rng.uniform(0.35, 0.7), rng.uniform(0.85, 1.1)
    roll = np.tan(np.deg2rad(rng.normal(0.0, 2.0)))

    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(top)
    x = np.arange(width, dtype=np.float32)[None, :] - np.float32(width / 2)
    row = (y + np.float32(roll) * x) / np.float32(scene_height)
    ground = np.clip((near - row) / (near - horizon), 0.0, 1.0).astype(np.float32)
    ground = cv2.pow(ground, rng.uniform(0.8, 1.5))

    red, green, blue = cv2.split(visible)
    dark = cv2.erode(cv2.min(cv2.min(red, green), blue), np.ones((7, 7), np.uint8))
    cue = dark / (dark.max() + np.float32(1e-3))
    field = smooth_field((height, width), rng.uniform(70.0, 200.0), rng)
    # Regions of one colour tend to be one thing at one distance: any projection of the colours
    # sets them apart.
    tone = cv2.transform(visible, rng.normal(0.0, 1.0, (1, 3)).astype(np.float32))
    tone = (tone - tone.mean()) / (tone.std() + np.float32(0.01))
    nearness = 0.5 + 0.35 * field + np.float32(rng.uniform(0.0, 0.35)) * tone
    nearness -= np.float32(rng.uniform(0.0, 0.6)) * (cue - cue.mean())
    guide = luminance(visible)
    # Night images have weak edges; on their own scale they shape the depth as those of day do.
    guide = guide / (4.0 * guide.std() + np.float32(0.02))
    radius = int(rng.integers(8, 24))
    nearness = guided_filter(guide, nearness, radius, 10 ** rng.uniform(-2.5, -1.0))
    nearness = np.clip(nearness, 0.0, 1.0)
    # Walls and trees differ in distance; the road itself is plain.
    relief = np.float32(rng.uniform(0.1, 0.6)) * nearness * (0.1 + 0.9 * ground * ground * ground)
    depth = ground * (1.0 - relief)
    return np.clip(depth, 0.0, 1.0).astype(np.float32)


def scatter(
    visible: FloatImage, transmission: FloatImage | np.float32, airlight: FloatImage
) -> FloatImage:
    """Atmospheric scattering I = J t + A (1 - t), Koschmieder's law.

    Args:
        visible: J, H x W x 3.
        transmission: t in [0, 1], H x W or one number.
        airlight: A, three channels.

    Returns:
        I, H x W x 3.
    """
    t = np.asarray(transmission, np.float32)
    if t.ndim == 2:
        t = t[:, :, None]
    return airlight + t * (visible - airlight)


def draw_airlight(low: float, high: float, tint: float, rng: np.random.Generator) -> FloatImage:
    """A near-grey light of three channels between ``low`` and ``high``, slightly coloured."""
    grey = rng.uniform(low, high)
    warm = rng.normal(0.0, tint)
    green = rng.normal(0.0, tint / 2)
    return np.clip(grey + np.array([warm, green, -warm]), 0.0, 1.0).astype(np.float32)
