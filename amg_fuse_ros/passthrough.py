"""A frame from one camera alone, for when the other is missing: no network is asked."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.fusion import FusedFrame, Fuser
from amg_fuse_ros.imaging.arrays import as_rgb

NO_TIMINGS = {"prepare": 0.0, "engine": 0.0, "finish": 0.0, "total": 0.0}


def rgb_alone(rgb: NDArray[Any]) -> FusedFrame:
    """The RGB image as it is; its mask is 1 everywhere.

    Args:
        rgb: uint8, H W 3 in RGB order, or grey H W.

    Raises:
        ValueError: If the array is of another type or shape.
    """
    image = as_rgb(rgb)
    height, width = image.shape[:2]
    mask = np.ones((height, width), np.float32)
    return FusedFrame(image, mask, NO_TIMINGS, 1.0, (width, height))


def thermal_alone(
    fuser: Fuser, thermal: NDArray[Any], size: tuple[int, int] | None = None
) -> FusedFrame:
    """The thermal image in grey where the RGB image would be; its mask is 0 everywhere.

    Args:
        fuser: Whose gain and registration are used.
        thermal: uint8 or uint16 (counts), H W.
        size: Width and height of the RGB images so far; the thermal image's own where there were
            none.

    Raises:
        ValueError: If the array is of another type or shape.
    """
    width, height = size or (thermal.shape[1], thermal.shape[0])
    warm, unseen = fuser.thermal_alone(thermal, (width, height))
    grey = np.rint(warm * 255).astype(np.uint8)
    if unseen is not None:
        grey[unseen] = 0
    image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    mask = np.zeros((height, width), np.float32)
    return FusedFrame(image, mask, NO_TIMINGS, 1.0, (width, height))
