"""Fusions of luminance as fusions of colour images."""

from collections.abc import Callable

import cv2
import numpy as np

from training.pseudo_truth.protocol import FloatImage

LUMA = (0.299, 0.587, 0.114)
"""BT.601 luma, the weights JPEG uses."""


def fuse_in_luminance(
    visible: FloatImage,
    thermal: FloatImage,
    fuse: Callable[[FloatImage, FloatImage], FloatImage],
) -> FloatImage:
    """Fuse the luminance of a clean pair; colours are the visible image's.

    Args:
        visible: H x W x 3 RGB, float32 in [0, 1].
        thermal: H x W, float32 in [0, 1].
        fuse: Called with luminance and thermal image, both H x W; what it returns is clipped.

    Returns:
        H x W x 3 RGB, float32 in [0, 1].

    Raises:
        ValueError: shapes that are no pair.
    """
    if visible.ndim != 3 or visible.shape[2] != 3 or thermal.shape != visible.shape[:2]:
        raise ValueError(
            "expected visible H x W x 3 and thermal H x W of one size, "
            f"found {visible.shape} and {thermal.shape}."
        )
    visible = np.ascontiguousarray(visible, np.float32)
    y = cv2.transform(visible, np.array([LUMA], np.float32))
    fused = np.clip(fuse(y, np.ascontiguousarray(thermal, np.float32)), 0.0, 1.0)
    # Cb and Cr depend on differences to Y alone: one step on all three channels keeps them.
    return np.clip(visible + (fused - y)[:, :, None], 0.0, 1.0).astype(np.float32)
