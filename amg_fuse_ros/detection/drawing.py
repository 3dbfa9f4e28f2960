"""Detections drawn over their image."""

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.detection.detections import Detections

SMALLEST_LETTERS = 0.35
"""Scale of OpenCV's simplex font that can still be read."""

_GOLDEN_ANGLE = 0.381966
"""Share of the colour circle between two classes: any number of them stays well apart."""


def draw(
    image: NDArray[np.uint8], detections: Detections, mask_opacity: float = 0.4
) -> NDArray[np.uint8]:
    """Boxes, masks and captions in a copy of the image.

    A caption is the class's name, the track's id where there is one, and the score in percent.
    Colours belong to classes; with tracking, to tracks. Lines grow with the image.

    Args:
        image: RGB, H W 3, uint8.
        detections: Found in this image.
        mask_opacity: Of the masks, 0 (not drawn) to 1.

    Returns:
        RGB, H W 3, uint8.
    """
    drawn = np.ascontiguousarray(image).copy()
    if detections.masks is not None:
        for index, mask in enumerate(detections.masks):
            tint = np.array(_color(detections, index), np.float32)
            drawn[mask] = drawn[mask] * (1 - mask_opacity) + tint * mask_opacity
    side = min(image.shape[:2])
    thickness = max(1, round(side / 360))
    letters = max(SMALLEST_LETTERS, side / 1200)
    # The most certain last: its caption stays readable.
    for index in reversed(range(len(detections))):
        x0, y0, x1, y1 = np.rint(detections.boxes[index]).astype(int).tolist()
        color = _color(detections, index)
        cv2.rectangle(drawn, (x0, y0), (x1, y1), color, thickness, cv2.LINE_AA)
        _caption(drawn, detections.caption(index), (x0, y0), color, letters)
    return drawn


def _color(detections: Detections, index: int) -> tuple[int, int, int]:
    ids = detections.class_ids if detections.track_ids is None else detections.track_ids
    red, green, blue = colorsys.hsv_to_rgb(float(ids[index]) * _GOLDEN_ANGLE % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _caption(
    drawn: NDArray[np.uint8],
    words: str,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    letters: float,
) -> None:
    """Black letters on the box's colour, above its upper left corner or inside it at the top."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.5 * letters))
    (width, height), below = cv2.getTextSize(words, font, letters, thickness)
    left = max(0, min(corner[0], drawn.shape[1] - width))
    bottom = corner[1] if corner[1] >= height + below else corner[1] + height + below
    cv2.rectangle(drawn, (left, bottom - height - below), (left + width, bottom), color, -1)
    baseline = (left, bottom - below // 2 - 1)
    cv2.putText(drawn, words, baseline, font, letters, (0, 0, 0), thickness, cv2.LINE_AA)
