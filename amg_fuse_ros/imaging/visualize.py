"""Pictures for people: masks in colour, pairs beside their fusion."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage
from amg_fuse_ros.imaging.thermal import to_unit_range

_CAPTION_HEIGHT = 26


def mask_to_bytes(mask: FloatImage) -> ByteImage:
    """A mask as a grey image: 0..1 to 0..255, H W."""
    return np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)


def color_mask(mask: FloatImage) -> ByteImage:
    """A mask in colour, RGB: red where the thermal camera decides, blue where the visible one."""
    colored = cv2.applyColorMap(mask_to_bytes(mask), cv2.COLORMAP_TURBO)
    # OpenCV gives B, G, R; read as R, G, B the scale runs from red to blue, so that
    # warm colours stand for the camera that sees warmth.
    return np.ascontiguousarray(colored)


def overlay_mask(image: ByteImage, mask: FloatImage, opacity: float = 0.45) -> ByteImage:
    """The mask's colours over the fused image, RGB, H W 3."""
    return cv2.addWeighted(image, 1 - opacity, color_mask(mask), opacity, 0).astype(np.uint8)


def side_by_side(panels: Mapping[str, NDArray[Any]]) -> ByteImage:
    """Panels in one row, each with its caption above.

    Args:
        panels: Caption to image: RGB H W 3 uint8, thermal H W uint8 or uint16, mask H W float in
            0..1. All are brought to the height of the first.

    Returns:
        RGB, uint8.
    """
    height = next(iter(panels.values())).shape[0]
    columns = []
    for caption, panel in panels.items():
        image = _as_rgb(panel)
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        bar = np.full((_CAPTION_HEIGHT, width, 3), 24, np.uint8)
        cv2.putText(
            bar, caption, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA
        )
        columns.append(np.vstack((bar, image)))
    return np.hstack(columns)


def _as_rgb(panel: NDArray[Any]) -> ByteImage:
    if panel.ndim == 3:
        return panel.astype(np.uint8)
    if panel.dtype == np.uint16:
        panel = to_unit_range(panel)
    grey = panel if panel.dtype == np.uint8 else mask_to_bytes(panel.astype(np.float32))
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8)
