"""Too little light, and the noise of real sensors."""

import cv2
import numpy as np

from training.data.degradations.depth import FloatImage, smooth_field


def low_light(visible: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """Take the light away: gamma, gain, uneven illumination, colour shift and the noise it brings.

    Args:
        visible: H x W x 3 RGB in [0, 1].
        severity: 0 dusk, 1 a tenth of the light.
        rng: source of all randomness.

    Returns:
        H x W x 3 RGB in [0, 1].
    """
    gamma = np.float32(1.0 + severity * rng.uniform(0.2, 1.0))
    gain = 1.0 - severity * rng.uniform(0.4, 0.85)
    tint = np.clip(1.0 + severity * rng.normal(0.0, 0.12, 3), 0.5, 1.5)
    lamps = smooth_field(visible.shape[:2], rng.uniform(60.0, 150.0), rng)
    uneven = np.exp(np.float32(0.25 * severity) * lamps)[:, :, None]
    dark = cv2.pow(visible, float(gamma)) * (gain * tint).astype(np.float32) * uneven
    noisy = dark + _noise(dark, 0.002 + 0.006 * severity, 0.004 + 0.016 * severity, rng)
    return np.clip(noisy, 0.0, 1.0)


def sensor_noise(image: FloatImage, severity: float, rng: np.random.Generator) -> FloatImage:
    """Poisson-Gaussian noise of a sensor, for either camera (Foi et al., 2008).

    The variance is a x + b^2, photon and read noise; a share of the draws is correlated over
    neighbours, as demosaicing and in-camera filters leave it.

    Args:
        image: H x W or H x W x 3 in [0, 1].
        severity: 0 hardly seen, 1 a standard deviation of about 0.1 in the highlights.
        rng: source of all randomness.

    Returns:
        Like ``image``, in [0, 1].
    """
    photon = severity * rng.uniform(0.0, 0.01)
    read = 0.004 + severity * rng.uniform(0.01, 0.06)
    return np.clip(image + _noise(image, photon, read, rng), 0.0, 1.0)


def _noise(image: FloatImage, photon: float, read: float, rng: np.random.Generator) -> FloatImage:
    """Normal noise of variance ``photon * image + read**2``, like ``image``."""
    unit = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.4:
        # Grain of more than a pixel; rescaled to the variance it had.
        unit = 1.9 * cv2.GaussianBlur(unit, (3, 3), 0.6)
    deviation = cv2.sqrt(np.maximum(image, 0.0) * np.float32(photon) + np.float32(read**2))
    return unit * deviation
