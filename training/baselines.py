"""Fusion without learning: what any network has to beat.

All work on 8-bit luminance and return it (H W, uint8), because that is what the metrics judge.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from training.metrics.common import Gray, grey_triple

Image = npt.NDArray[np.uint8]

_LEVELS = 4
_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


def fuse_baseline(name: str, thermal: npt.ArrayLike, visible: npt.ArrayLike) -> Image:
    """Fuse a pair by the baseline of this name.

    Args:
        name: A key of `BASELINES`.
        thermal: H W, H W 1 or H W 3 (RGB), uint8.
        visible: The same size, likewise.

    Returns:
        Luminance, H W, uint8.

    Raises:
        ValueError: An unknown name, different sizes, or images that are not uint8.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline: expected one of {', '.join(BASELINES)}, found {name!r}")
    grey_thermal, grey_visible, _ = grey_triple(thermal, visible, np.asarray(thermal))
    fused = np.floor(BASELINES[name](grey_thermal, grey_visible) + 0.5)
    return np.clip(fused, 0, 255).astype(np.uint8)


def laplacian(thermal: Gray, visible: Gray) -> Gray:
    """Keep the stronger detail at each of four scales, the mean of what is left.

    Burt, Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Communications
    31(4), 1983: 5-tap binomial kernel, mirrored borders. Where details are equally strong, the
    thermal one is kept.
    """
    details_t, base_t = _pyramid(thermal)
    details_v, base_v = _pyramid(visible)
    fused = (base_t + base_v) / 2
    for detail_t, detail_v in zip(reversed(details_t), reversed(details_v), strict=True):
        stronger = np.where(np.abs(detail_t) >= np.abs(detail_v), detail_t, detail_v)
        fused = _expand(fused, detail_t.shape) + stronger
    return fused


def _pyramid(image: Gray) -> tuple[list[Gray], Gray]:
    details = []
    for _ in range(_LEVELS):
        coarse = cv2.sepFilter2D(image, cv2.CV_64F, _BINOMIAL, _BINOMIAL)[::2, ::2]
        details.append(image - _expand(coarse, image.shape))
        image = coarse
    return details, image


def _expand(coarse: Gray, shape: tuple[int, ...]) -> Gray:
    """Double the size; cv2.pyrUp would not mirror the border where the size is odd."""
    spread = np.zeros(shape)
    spread[::2, ::2] = coarse
    expanded: Gray = cv2.sepFilter2D(spread, cv2.CV_64F, 2 * _BINOMIAL, 2 * _BINOMIAL)
    return expanded


def guided_filter(thermal: Gray, visible: Gray) -> Gray:
    """Two scales, weighted where each camera stands out, the weights fitted to its edges.

    Li, Kang, Hu, "Image Fusion with Guided Filtering", IEEE Trans. Image Processing 22(7), 2013,
    with the paper's parameters: base by a 31x31 mean, saliency by a Gaussian (r 5, sigma 5) of the
    absolute Laplacian, guided filters of r 45, eps 0.3 for the bases and r 7, eps 1e-6 for the
    details. Borders are mirrored. Where both cameras stand out equally, the thermal one is taken;
    weights below 0, where a filter overshoots, count as 0.
    """
    images = (thermal / 255.0, visible / 255.0)
    saliency = [_saliency(image) for image in images]
    thermal_wins = (saliency[0] >= saliency[1]).astype(np.float64)
    bases = [_box(image, _BASE_RADIUS) for image in images]
    choices = (thermal_wins, 1.0 - thermal_wins)
    fused = np.zeros_like(thermal)
    for parts, radius, epsilon in (
        (bases, 45, 0.3),
        ([image - base for image, base in zip(images, bases, strict=True)], 7, 1e-6),
    ):
        weights = [
            np.maximum(_guided(choice, image, radius, epsilon), 0.0)
            for choice, image in zip(choices, images, strict=True)
        ]
        total = weights[0] + weights[1]
        share = np.divide(weights[0], total, out=np.full_like(total, 0.5), where=total > 0)
        fused += share * parts[0] + (1.0 - share) * parts[1]
    return fused * 255.0


_BASE_RADIUS = 15


def _saliency(image: Gray) -> Gray:
    detail = np.abs(cv2.Laplacian(image, cv2.CV_64F, borderType=cv2.BORDER_REFLECT))
    blurred: Gray = cv2.GaussianBlur(detail, (11, 11), 5.0, borderType=cv2.BORDER_REFLECT)
    return blurred


def _guided(image: Gray, guide: Gray, radius: int, epsilon: float) -> Gray:
    """He, Sun, Tang, "Guided Image Filtering", ECCV 2010, algorithm 1; both on [0, 1]."""
    mean_guide, mean = _box(guide, radius), _box(image, radius)
    covariance = _box(guide * image, radius) - mean_guide * mean
    variance = _box(guide * guide, radius) - mean_guide * mean_guide
    slope = covariance / (np.maximum(variance, 0.0) + epsilon)
    offset = mean - slope * mean_guide
    return _box(slope, radius) * guide + _box(offset, radius)


def _box(image: Gray, radius: int) -> Gray:
    side = 2 * radius + 1
    mean: Gray = cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT)
    return mean


BASELINES: Mapping[str, Callable[[Gray, Gray], Gray]] = MappingProxyType(
    {
        "average": lambda thermal, visible: (thermal + visible) / 2,
        "maximum": np.maximum,
        "laplacian": laplacian,
        "guided_filter": guided_filter,
        "visible": lambda _thermal, visible: visible,
        "thermal": lambda thermal, _visible: thermal,
    }
)
"""Thermal and visible luminance (H W, float64, 0..255) to the fused one, by name."""


def colorize(fused: Image, visible: Image) -> Image:
    """Give a fused luminance the visible image's colours, for people to look at.

    Args:
        fused: H W, uint8.
        visible: H W 3, RGB, uint8.

    Returns:
        H W 3, RGB, uint8: the visible image with its BT.601 luma replaced.
    """
    ycrcb = cv2.cvtColor(visible, cv2.COLOR_RGB2YCrCb)
    ycrcb[:, :, 0] = fused
    colored: Image = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)
    return colored
