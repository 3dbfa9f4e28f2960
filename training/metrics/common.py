"""What the fusion metrics share: luminance, contrast stretch, Sobel gradients, Gaussian windows.

All metrics work on float64 luminance on the 0..255 scale, shape H W.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import special

Gray = npt.NDArray[np.float64]
"""Luminance, H W, float64, 0..255."""

_FRACTIONS = 1024.0


def luminance(
    image: npt.ArrayLike, name: str = "image", *, value_range: float | None = None
) -> Gray:
    """Bring an image to the float64 luminance that every metric takes.

    Colour becomes BT.601 luma, 0.299 R + 0.587 G + 0.114 B. A uint8 colour image gives 8-bit
    luma, rounded to an integer by OpenCV, as the field's programs take it from image files; a
    floating one keeps its fractions, rounded to 1/1024 grey level. That rounding is far below
    what any metric can feel, and it keeps sums of pixels exact: the same picture as uint8, as
    float64 and as float32 divided by 255 has the same pixels with a gradient of exactly zero,
    which Q_G and Q^AB/F treat on their own.

    Args:
        image: H W, H W 1 or H W 3 (RGB); uint8 or floating.
        name: What to call the image in an error.
        value_range: The white level of floating images, 255 or 1. ``None`` means 255, but an
            image with no value above 1 is then refused rather than guessed at (all zeros is
            black on either scale and passes). uint8 images are always 0..255.

    Returns:
        H W, float64, 0..255.

    Raises:
        ValueError: Another shape or dtype, no pixels, NaN or infinite values, values outside
            0..``value_range``, or a floating image that may be on either scale.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"{name}: expected shape H W, H W 1 or H W 3 (RGB), found {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name}: expected an image with pixels, found shape {array.shape}")
    if array.dtype == np.uint8:
        if array.ndim == 3:
            array = cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_RGB2GRAY)
        return array.astype(np.float64, order="C")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name}: expected uint8 or floating values, found {array.dtype}; "
            "convert other integers (16-bit thermal counts, say) to 8 bits first"
        )
    return _luminance_of_float(array.astype(np.float64, order="C"), name, value_range)


def _luminance_of_float(array: Gray, name: str, value_range: float | None) -> Gray:
    white = 255.0 if value_range is None else float(value_range)
    if white not in (1.0, 255.0):
        raise ValueError(f"value_range: expected 255 or 1, found {value_range}")
    lowest, highest = float(array.min()), float(array.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError(f"{name}: expected finite values, found NaN or infinity")
    if lowest < 0.0 or highest > white:
        raise ValueError(
            f"{name}: expected values in 0..{white:g}, found {lowest:g}..{highest:g}; "
            "clip the image, or pass the value_range that it is on (255 or 1)"
        )
    if value_range is None and 0.0 < highest <= 1.0:
        raise ValueError(
            f"{name}: a floating image with no value above 1 may be on the 0..1 or the 0..255 "
            "scale; pass value_range=1 or value_range=255"
        )
    if array.ndim == 3:
        array = array @ np.array([0.299, 0.587, 0.114])
    return np.rint(array * (255.0 / white * _FRACTIONS)) / _FRACTIONS


def grey_triple(
    thermal: npt.ArrayLike,
    visible: npt.ArrayLike,
    fused: npt.ArrayLike,
    *,
    value_range: float | None = None,
) -> tuple[Gray, Gray, Gray]:
    """Bring a triple to luminance; see `luminance` for what is accepted.

    Raises:
        ValueError: As `luminance`, or the three differ in size.
    """
    names = ("thermal", "visible", "fused")
    triple = [
        luminance(image, name, value_range=value_range)
        for image, name in zip((thermal, visible, fused), names, strict=True)
    ]
    if len({image.shape for image in triple}) > 1:
        sizes = ", ".join(
            f"{name} {image.shape[1]}x{image.shape[0]}"
            for name, image in zip(names, triple, strict=True)
        )
        raise ValueError(f"expected three images of one size, found {sizes}")
    return triple[0], triple[1], triple[2]


def require_side(image: Gray, least: int, metric: str) -> None:
    """Refuse an image whose smaller side is below what a metric's windows need.

    Raises:
        ValueError: Naming the metric, the least side and the size found.
    """
    height, width = image.shape
    if min(height, width) < least:
        raise ValueError(
            f"{metric} needs at least {least} pixels on each side, found {width}x{height}"
        )


def stretch(image: Gray) -> Gray:
    """Spread an image over 0..255 and round half up (before Q_MI and Q_CB).

    The division comes before the multiplication: real images have exact halves, and the other
    order rounds some of them the other way. A constant image has no contrast to spread; it
    becomes all zeros, where the toolbox divides 0 by 0 unless it is black.
    """
    low, high = float(image.min()), float(image.max())
    if high == low:
        return np.zeros_like(image)
    return np.floor((image - low) / (high - low) * 255.0 + 0.5)


def sobel(image: Gray) -> tuple[Gray, Gray]:
    """Correlate with the 3x3 Sobel kernels, zeros outside: (right - left, lower - upper)."""
    gx: Gray = cv2.Sobel(image, cv2.CV_64F, 1, 0, ksize=3, borderType=cv2.BORDER_CONSTANT)
    gy: Gray = cv2.Sobel(image, cv2.CV_64F, 0, 1, ksize=3, borderType=cv2.BORDER_CONSTANT)
    return gx, gy


def gaussian(size: int, sigma: float) -> npt.NDArray[np.float64]:
    """A 1-D Gaussian window of odd ``size``, sum 1; its outer square is the 2-D window."""
    x = np.arange(size) - size // 2
    window = np.exp(-(x**2) / (2.0 * sigma**2))
    return window / window.sum()


def filter_valid(image: Gray, window: npt.NDArray[np.float64]) -> Gray:
    """Filter along both axes, keeping only positions where the window fits entirely."""
    margin = len(window) // 2
    filtered: Gray = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
    return filtered[margin : image.shape[0] - margin, margin : image.shape[1] - margin]


def ratio(numerator: Any, denominator: Any) -> Any:
    """Divide element by element; a term whose denominator is zero counts as 0."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    quotient = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    np.divide(numerator, denominator, out=quotient, where=denominator != 0.0)
    return quotient


def sigmoid(x: Gray, slope: float, centre: float) -> Gray:
    """The logistic curve 1 / (1 + exp(-slope (x - centre)))."""
    return special.expit(slope * (x - centre))
