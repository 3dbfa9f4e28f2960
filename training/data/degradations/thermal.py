"""What happens to thermal images: weather in between, flat gain, blur, stripes, halos."""

import cv2
import numpy as np

from training.data.degradations.depth import FloatImage
from training.data.degradations.light import sensor_noise


def thermal_noise(thermal: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """Sensor noise in proportion to the image's contrast, as gain control amplifies both.

    Args:
        thermal: H x W in [0, 1].
        severity: 0 hardly seen, 1 a fifteenth of the contrast.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    return sensor_noise(thermal, severity * _contrast(thermal), rng)


def _contrast(thermal: FloatImage) -> float:
    """A measure of the range in use: 1 for a full one, above 0.1 for any."""
    return min(1.0, 0.1 + 4.0 * float(thermal.std()))


def thermal_attenuation(
    thermal: FloatImage, depth: FloatImage, severity: float, rng: np.random.Generator
) -> FloatImage:
    """Radiation absorbed on its way through weather, more of it the farther away.

    T t + P (1 - t), where P is what the air itself radiates. AWMM's weather pairs have t = 1 on
    the near road and 0.33 to 0.45 beyond the horizon with P near 0; real fog (its real pairs) has a
    bright P instead, so that far things sink into grey.

    Args:
        thermal: H x W in [0, 1].
        depth: H x W in [0, 1], that of the weather in the visible image.
        severity: 0 none, 1 leaves 15 % of the farthest radiation.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    floor = np.float32(1.0 - 0.85 * severity)
    # The thermal image of AWMM loses its light within a short way and then no more.
    reach = np.minimum(depth * np.float32(rng.uniform(0.9, 2.2)), 1.0)
    transmission = 1.0 - (1.0 - floor) * reach
    air = np.float32(rng.uniform(0.0, 0.03) if rng.random() < 0.7 else rng.uniform(0.05, 0.6))
    return np.clip(thermal * transmission + air * (1.0 - transmission), 0.0, 1.0)


def thermal_contrast(thermal: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """A flat or dim picture: gamma, gain below 1 and an offset, all over the image.

    Args:
        thermal: H x W in [0, 1].
        severity: 0 unchanged, 1 leaves a fifth of the contrast or so.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    gain = np.float32(1.0 - severity * rng.uniform(0.4, 0.8))
    gamma = float(2.0 ** (severity * rng.normal(0.0, 0.35)))
    room = 1.0 - float(gain)
    # Dim images are the common fault; washed-out grey ones the other.
    offset = np.float32(room * rng.uniform(0.0, 0.08 if rng.random() < 0.6 else 0.7))
    return np.clip(gain * cv2.pow(thermal, gamma) + offset, 0.0, 1.0)


def thermal_blur(thermal: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """Defocus or a low native resolution: a Gaussian of 0.4 to 2.4 px.

    Args:
        thermal: H x W in [0, 1].
        severity: scales the width of the blur.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    sigma = 0.4 + 2.0 * severity * rng.uniform(0.5, 1.0)
    return cv2.GaussianBlur(thermal, (0, 0), sigma)


def thermal_stripes(thermal: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """Fixed-pattern noise of a microbolometer: columns, sometimes rows, of their own offset.

    Args:
        thermal: H x W in [0, 1].
        severity: 0 hardly seen, 1 offsets with a standard deviation up to 0.06 of the contrast.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    deviation = (0.004 + severity * rng.uniform(0.01, 0.056)) * _contrast(thermal)
    height, width = thermal.shape
    columns = rng.normal(0.0, deviation, (1, width))
    rows = rng.normal(0.0, deviation * rng.uniform(0.0, 0.7), (height, 1))
    if rng.random() < 0.25:
        columns, rows = np.zeros_like(columns), rng.normal(0.0, deviation, (height, 1))
    # Readout gain differs from column to column as well, but less.
    gain = 1.0 + rng.normal(0.0, 0.5 * deviation, (1, width))
    striped = thermal * gain.astype(np.float32) + (columns + rows).astype(np.float32)
    return np.clip(striped, 0.0, 1.0)


def thermal_halo(thermal: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """The dark ring around hot objects, as pyroelectric and sharpened cameras show it.

    Args:
        thermal: H x W in [0, 1].
        severity: depth of the ring, at most half of how far the object stands out.
        rng: source of all randomness.

    Returns:
        H x W in [0, 1].
    """
    surround = cv2.GaussianBlur(thermal, (0, 0), 12.0)
    hot = np.maximum(thermal - surround - np.float32(0.05), 0.0)
    ring = cv2.GaussianBlur(hot, (0, 0), rng.uniform(2.0, 7.0))
    depth = np.float32(severity * rng.uniform(0.7, 1.6))
    return np.clip(thermal - depth * np.maximum(ring - hot, 0.0), 0.0, 1.0)
