"""Flicker: how much a fused video changes where its cameras see nothing change.

Everything rests on differences of successive frames, x_t - x_(t-1). The temporal standard
deviation is taken from them, sigma^2 = mean_t (x_t - x_(t-1))^2 / 2 (von Neumann, "Distribution of
the ratio of the mean square successive difference to the variance", Annals of Mathematical
Statistics 12(4), 1941): for noise it is the usual one, but a slow drift, such as the sun or a
camera's exposure makes, is no flicker and does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage
from training.metrics.common import luminance
from training.temporal.video import FusedVideo, Video

REST = 2.0
"""A pixel rests where both cameras' deviations are below this multiple of their noise."""
LEAST_NOISE = 0.5
"""Grey levels; the rounding to 8 bits alone makes about as much."""
MOST_NOISE = 3.0
"""Grey levels; where most of an image changes by more, it is the camera that moves."""
MARGIN = 8
"""Pixels; this near to something that moves, a fused image may change with good reason."""
FEWEST_RESTING = 0.01
"""Share of the image; where less rests, the camera moves and there is nothing to measure at."""

BoolImage = NDArray[np.bool_]


@dataclass(frozen=True)
class Flicker:
    """How much a fused video flickers. Grey levels are those of 8 bits; means over pixels are rms.

    Attributes:
        resting: Share of the image where both cameras see nothing change.
        std: Temporal standard deviation of the fused luminance there, grey levels; ``None``
            where less than 1 % rests, as are the others but ``beyond_inputs``.
        brightness_std: The same of its mean over all these pixels: pumping of the whole image.
        mask_std: The same of the mask, in percent of share.
        beyond_inputs_resting: Mean of ``beyond_inputs`` there, grey levels.
        beyond_inputs: Mean over frames and all pixels of what the change of the fused luminance
            exceeds the larger change of its two inputs by, in grey levels:
            max(0, |dF| - max(|dVI|, |dIR|)). A mix M VI + (1 - M) IR whose shares M stay as they
            are never exceeds it, so this is the method's own doing.
    """

    resting: float
    std: float | None
    brightness_std: float | None
    mask_std: float | None
    beyond_inputs_resting: float | None
    beyond_inputs: float


def measure_flicker(video: Video, fused: FusedVideo, resting: BoolImage | None = None) -> Flicker:
    """Measure how much a fused video flickers.

    Args:
        video: What was fused.
        fused: What became of it.
        resting: Where the cameras see nothing change, H W; from ``video`` by default. With
            weather in ``video`` take that of the video without.

    Raises:
        ValueError: The two do not have the same number of frames.
    """
    if len(video) != len(fused.images):
        raise ValueError(f"expected {len(video)} fused frames, found {len(fused.images)}")
    rest = static_pixels(video) if resting is None else resting
    changes = _changes(fused.images)
    inputs = [_changes(frames) for frames in (video.visible, video.thermal_bytes())]
    beyond = np.maximum(np.abs(changes) - np.maximum(*(np.abs(x) for x in inputs)), 0)
    share = float(rest.mean())
    if share < FEWEST_RESTING:
        return Flicker(share, None, None, None, None, float(beyond.mean()))
    masks = np.diff(np.stack(fused.masks), axis=0)
    return Flicker(
        share,
        rms(deviations(changes)[rest]),
        float(deviations(changes[:, rest].mean(1))),
        100 * rms(deviations(masks)[rest]),
        float(beyond[:, rest].mean()),
        float(beyond.mean()),
    )


def static_pixels(video: Video) -> BoolImage:
    """Where neither camera sees anything change but its own noise.

    A camera's noise is the median over its pixels of their deviations, but at least 0.5 and at
    most 3 grey levels. A pixel rests where both cameras' are below twice that, and all pixels
    within `MARGIN` do so, too, but for single ones (a median over 3 x 3 pixels).

    Returns:
        H W.
    """
    rest = np.ones(video.visible[0].shape[:2], np.uint8)
    for frames in (video.visible, video.thermal_bytes()):
        own = deviations(_changes(frames))
        noise = min(max(float(np.median(own)), LEAST_NOISE), MOST_NOISE)
        rest &= np.uint8(own < REST * noise)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    eroded: BoolImage = cv2.erode(cv2.medianBlur(rest, 3), disc) > 0
    return eroded


def deviations(changes: NDArray[np.float32]) -> FloatImage:
    """Temporal standard deviations from successive differences, along the first axis."""
    return np.sqrt(np.square(changes).mean(0, dtype=np.float64) / 2).astype(np.float32)


def _changes(frames: Sequence[ByteImage]) -> NDArray[np.float32]:
    """Differences of successive frames' luminance, N - 1 H W, grey levels."""
    return np.diff(np.stack([luminance(frame).astype(np.float32) for frame in frames]), axis=0)


def rms(values: FloatImage) -> float:
    """Root of the mean square over all pixels."""
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))
