"""Pseudo ground truth without training: the brighter camera, with the other's lost edges back.

The pixelwise maximum keeps hot targets and lit scenes at their natural brightness and outdoes
learned methods on most metrics, but where one camera is brighter the other's texture is gone:
letters on a warm wall, a number plate in the glare. In a Laplacian pyramid (Burt and Adelson,
1983) the bands of the maximum are replaced by those of the camera with the stronger detail, only
where that detail is missing and rises above what is usual for its camera, so that sensor grain
stays out. The pyramid is shallow and its base is the maximum's: no halos, no grey veil.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.pseudo_truth.luminance import fuse_in_luminance
from training.pseudo_truth.protocol import FloatImage

_LEVELS = 3
# Standard deviation over which a band's strength is averaged, in that band's pixels.
_NEIGHBOURHOOD = 2.0
# A band is missing when the stronger camera has this many times the maximum's detail:
# from the first value on it is mixed in, from the second on it replaces.
_MISSING = (1.2, 2.0)
# The share of a band's median strength that counts as grain, and its bound for busy images.
_GRAIN, _GRAIN_LIMIT = 0.75, 0.02


def fuse_classical(visible: FloatImage, thermal: FloatImage) -> FloatImage:
    """Fuse a clean pair by maximum and restored detail; colours are the visible image's.

    Args:
        visible: H x W x 3 RGB, float32 in [0, 1].
        thermal: H x W, float32 in [0, 1].

    Returns:
        H x W x 3 RGB, float32 in [0, 1].

    Raises:
        ValueError: shapes that are no pair.
    """
    return fuse_in_luminance(visible, thermal, _fuse_luminance)


@dataclass(frozen=True)
class ClassicalPseudoTruth:
    """:func:`fuse_classical` as a generator of pseudo ground truth."""

    name: str = "classical"
    version: str = "1"

    def __call__(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        """See :func:`fuse_classical`."""
        return fuse_classical(visible, thermal)


def _fuse_luminance(visible: FloatImage, thermal: FloatImage) -> FloatImage:
    bands_max, image = _laplacian_pyramid(np.maximum(visible, thermal))
    bands_visible, _ = _laplacian_pyramid(visible)
    bands_thermal, _ = _laplacian_pyramid(thermal)
    for m, v, t in reversed(list(zip(bands_max, bands_visible, bands_thermal, strict=True))):
        above_v, above_t = _above_grain(v), _above_grain(t)
        stronger = np.where(above_v >= above_t, v, t)
        ratio = np.maximum(above_v, above_t) / (_strength(m) + np.float32(1e-4))
        share = np.clip((ratio - _MISSING[0]) / (_MISSING[1] - _MISSING[0]), 0.0, 1.0)
        image = _expand(image, m.shape) + m + share * (stronger - m)
    return image


def _laplacian_pyramid(image: FloatImage) -> tuple[list[FloatImage], FloatImage]:
    """Bands from fine to coarse, and the base that remains."""
    bands = []
    for _ in range(_LEVELS):
        smaller = cv2.pyrDown(image)
        bands.append(image - _expand(smaller, image.shape))
        image = smaller
    return bands, image


def _expand(image: FloatImage, shape: tuple[int, ...]) -> FloatImage:
    return cv2.pyrUp(image, dstsize=(shape[1], shape[0]))


def _strength(band: FloatImage) -> FloatImage:
    return cv2.GaussianBlur(np.abs(band), (0, 0), _NEIGHBOURHOOD)


def _above_grain(band: FloatImage) -> FloatImage:
    strength = _strength(band)
    grain = min(_GRAIN * float(np.median(strength)), _GRAIN_LIMIT)
    return np.maximum(strength - np.float32(grain), 0.0)
