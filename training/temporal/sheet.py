"""A picture of a fused video to look at: frames, their changes, and where it flickers."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage
from training.metrics.common import luminance
from training.temporal.flicker import deviations, static_pixels
from training.temporal.video import FusedVideo, Video

WIDTH = 320
"""Of a tile, in pixels."""
CHANGE, FLICKER = 8.0, 32.0
"""What changes and deviations are multiplied by to be seen."""
_LABEL_HEIGHT = 16


def draw_sheet(
    video: Video, fused: Mapping[str, FusedVideo], wet: Mapping[str, tuple[Video, str, FusedVideo]]
) -> ByteImage:
    """Draw the middle frame, its change from the frame before, and the deviations of the video.

    Args:
        video: The clean video.
        fused: What methods made of it, by name; the first one's mask is shown.
        wet: By what it shows: the video with weather, and one method's name and result.

    Returns:
        RGB, uint8; for the clean and each wet video a row of frames and one of changes, and for
        the clean one a row of deviations and where both cameras rest.
    """
    shown: dict[str, Sequence[NDArray]] = {
        "visible": video.visible,
        "thermal": video.thermal_bytes(),
        **{name: result.images for name, result in fused.items()},
        "mask": _mask_bytes(next(iter(fused.values()))),
    }
    middle = len(video) // 2
    rows = [
        [_tile(name, frames[middle]) for name, frames in shown.items()],
        [_tile(f"change x {CHANGE:g}", _change(f, middle)) for f in shown.values()],
        [_tile(f"deviation x {FLICKER:g}", _deviation(f)) for f in shown.values()],
    ]
    rows[1].append(_tile("where both rest", np.uint8(255 * static_pixels(video))))
    for kind, (rainy, name, result) in wet.items():
        seen: dict[str, Sequence[NDArray]] = {
            f"visible, {kind}": rainy.visible,
            f"{name}, {kind}": result.images,
            f"mask, {kind}": _mask_bytes(result),
        }
        rows.append(
            [_tile(label, frames[middle]) for label, frames in seen.items()]
            + [_tile(f"change x {CHANGE:g}", _change(f, middle)) for f in seen.values()]
        )
    columns = max(len(row) for row in rows)
    blank = np.full_like(rows[0][0], 24)
    lines = [cv2.hconcat([*row, *[blank] * (columns - len(row))]) for row in rows]
    sheet: ByteImage = cv2.vconcat(lines)
    return sheet


def _mask_bytes(fused: FusedVideo) -> tuple[ByteImage, ...]:
    return tuple(np.uint8(np.rint(255 * mask)) for mask in fused.masks)


def _change(frames: Sequence[NDArray], number: int) -> ByteImage:
    return _bytes(CHANGE * np.abs(luminance(frames[number]) - luminance(frames[number - 1])))


def _deviation(frames: Sequence[NDArray]) -> ByteImage:
    stack = np.stack([luminance(frame).astype(np.float32) for frame in frames])
    return _bytes(FLICKER * deviations(np.diff(stack, axis=0)))


def _bytes(image: NDArray[np.float64] | FloatImage) -> ByteImage:
    return np.clip(image, 0, 255).astype(np.uint8)


def _tile(label: str, image: NDArray) -> ByteImage:
    rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
    height = round(rgb.shape[0] * WIDTH / rgb.shape[1])
    small = cv2.resize(rgb, (WIDTH, height), interpolation=cv2.INTER_AREA)
    tile = cv2.copyMakeBorder(small, _LABEL_HEIGHT, 2, 2, 2, cv2.BORDER_CONSTANT, value=(24,) * 3)
    where = (4, _LABEL_HEIGHT - 4)
    font, light = cv2.FONT_HERSHEY_SIMPLEX, (220, 220, 220)
    cv2.putText(tile, label, where, font, 0.4, light, 1, cv2.LINE_AA)
    done: ByteImage = tile
    return done
