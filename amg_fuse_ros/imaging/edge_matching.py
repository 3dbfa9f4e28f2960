"""Match places between a thermal and a visible image by the directions of their edges.

What is bright in one camera may be dark in the other, but edges run the same way. Each pixel is
described by how strong the gradient is along nine directions, regardless of its sign, smoothed
over directions and neighbours and normalised (channel features of oriented gradients: Ye et al.,
"Fast and Robust Matching for Multimodal Remote Sensing Image Registration", TGRS 2019). Patches of
such descriptions are found again by normalised correlation.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage

DIRECTIONS = 9
_SMOOTH_IMAGE = 1.0
_SMOOTH_CHANNELS = 1.5
_NEIGHBOURHOOD = 12.0
"""Pixels over which the strength of edges is levelled: faint ones count, too."""
_FAINT = 2.0
"""Grey levels; gradients below are noise."""
_LEAST_STRUCTURE = 0.05
"""Mean squared description of a patch that is worth a search."""


@dataclass(frozen=True)
class Matches:
    """Places that belong together, and how well they fit."""

    visible: NDArray[np.float32]
    """N 2, x and y in pixels."""
    thermal: NDArray[np.float32]
    """N 2, to fractions of a pixel."""
    scores: NDArray[np.float32]
    """N, normalised correlations, at most 1."""


def describe_edges(image: ByteImage) -> FloatImage:
    """Describe every pixel's edges.

    Args:
        image: Grey, H W.

    Returns:
        ``DIRECTIONS`` H W, each pixel's vector at most 1 long, about 0 where nothing is.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), _SMOOTH_IMAGE)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    along = [np.abs(dx * np.float32(np.cos(a)) + dy * np.float32(np.sin(a))) for a in angles]
    channels = np.stack(
        [
            cv2.GaussianBlur(
                along[k - 1] + 2 * along[k] + along[(k + 1) % DIRECTIONS], (0, 0), _SMOOTH_CHANNELS
            )
            for k in range(DIRECTIONS)
        ]
    )
    channels -= channels.min(axis=0)  # what is the same in all directions says nothing
    strength = np.sqrt((channels * channels).sum(axis=0))
    level = cv2.GaussianBlur(strength, (0, 0), _NEIGHBOURHOOD)
    described: FloatImage = channels / (np.sqrt(strength**2 + (0.5 * level) ** 2) + _FAINT)
    return described.astype(np.float32, copy=False)


def match_edges(
    visible: ByteImage, thermal: ByteImage, *, side: int, reach: int, step: int
) -> Matches:
    """Find patches of the visible image in the thermal one, near the same place.

    Args:
        visible: Grey, H W.
        thermal: Grey, of the same size.
        side: Side of the patches in pixels, even.
        reach: How far off a patch may be, in pixels along each axis.
        step: Distance between patches in pixels.

    Returns:
        One match for each patch with structure whose best place is not at the end of its reach.
    """
    of_visible, of_thermal = describe_edges(visible), describe_edges(thermal)
    energy = (of_thermal * of_thermal).sum(axis=0)
    height, width = visible.shape
    half, area = side // 2, side * side
    found: list[tuple[float, ...]] = []
    for y in range(half, height - half + 1, step):
        for x in range(half, width - half + 1, step):
            patch = of_visible[:, y - half : y + half, x - half : x + half]
            own = float((patch * patch).sum())
            if own < _LEAST_STRUCTURE * area:
                continue
            top, left = max(0, y - half - reach), max(0, x - half - reach)
            window = np.s_[top : y + half + reach, left : x + half + reach]
            product = np.sum(
                [
                    cv2.matchTemplate(of_thermal[k][window], patch[k], cv2.TM_CCORR)
                    for k in range(DIRECTIONS)
                ],
                axis=0,
            )
            sums = cv2.integral(energy[window], sdepth=cv2.CV_64F)
            others = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side]
            others = others + sums[:-side, :-side]
            score = product / np.sqrt(np.maximum(others, 1e-3 * area) * own)
            if place := _peak(score):
                row, column, best = place
                found.append((x, y, left + column + half, top + row + half, best))
    table = np.array(found, np.float32).reshape(-1, 5)
    return Matches(table[:, :2], table[:, 2:4], table[:, 4])


def _peak(score: NDArray[np.float64]) -> tuple[float, float, float] | None:
    """Row, column and value of the highest score, between pixels by parabolas."""
    row, column = (int(i) for i in np.unravel_index(int(score.argmax()), score.shape))
    if not (0 < row < score.shape[0] - 1 and 0 < column < score.shape[1] - 1):
        return None
    best = float(score[row, column])
    return (
        row + _vertex(*score[row - 1 : row + 2, column]),
        column + _vertex(*score[row, column - 1 : column + 2]),
        best,
    )


def _vertex(before: float, at: float, after: float) -> float:
    curvature = before - 2 * at + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0
