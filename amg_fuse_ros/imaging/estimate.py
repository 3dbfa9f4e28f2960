"""Estimate from pairs of images alone how a thermal camera sits beside an RGB camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage
from amg_fuse_ros.imaging.edge_matching import Matches, match_edges
from amg_fuse_ros.imaging.registration import CalibrationError, Homography

WORKING_WIDTH = 640
"""Larger RGB images are made smaller for the estimate; errors are told in the original's pixels."""
FIELDS = (1.0, 0.8, 0.64, 1.25)
"""Shares of the RGB image's width that the thermal image may show, tried in turn."""
MIN_MATCHES = 12
MIN_INLIERS = 0.25
"""A smaller share of the matches that agree is chance."""


class _Stage(NamedTuple):
    scale: float
    side: int
    reach: int
    step: int
    tolerance: float
    """Pixels of the working size up to which a match agrees with the model."""
    freedom: int
    """Of the model: 4 similarity, 6 affine, 8 homography."""


_COARSE = _Stage(0.5, 80, 36, 20, 6.0, 4)
_FINE = (
    _Stage(0.5, 64, 16, 16, 4.0, 6),
    _Stage(1.0, 96, 16, 24, 4.0, 8),
    _Stage(1.0, 80, 10, 20, 3.0, 8),
)


class _Fit(NamedTuple):
    matrix: NDArray[np.float64]
    distances: NDArray[np.float64]
    """Of all matches from the model, in working pixels."""
    agreeing: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A homography and how sure it is."""

    calibration: Homography
    error_px: float
    """Median distance of agreeing matches from the model, in pixels of the RGB image."""
    matches: int
    agreeing: int


def estimate_homography(pairs: Sequence[tuple[ByteImage, ByteImage]]) -> Estimate:
    """Estimate one homography from pairs of a rig, by matching the directions of edges.

    Coarse to fine: patches of the RGB image are looked for in the thermal one, the matches of all
    pairs together give a similarity, then an affine map, then a homography (RANSAC), and each
    time the search begins anew around the last result. Nothing has to be put up in the scene;
    pairs with structure at the distance that matters, and many of them, make it better.

    Args:
        pairs: Visible (H W 3 RGB or H W, uint8) and thermal (H W, uint8) images, of one size each.

    Raises:
        CalibrationError: If sizes differ between pairs, or too little agrees.
    """
    if not pairs:
        raise CalibrationError("expected pairs of images, found none")
    sizes = {(v.shape[1], v.shape[0], t.shape[1], t.shape[0]) for v, t in pairs}
    if len(sizes) > 1:
        raise CalibrationError(f"expected pairs of one rig, found several sizes: {sorted(sizes)}")
    [(width, height, thermal_width, thermal_height)] = sizes
    factor = min(1.0, WORKING_WIDTH / width)
    working = round(width * factor), round(height * factor)
    prepared = [(_grey(v, working), _resize(t, working)) for v, t in pairs]

    matrix = _coarse(prepared)
    for stage in _FINE:
        fit = _refine_or_raise(prepared, matrix, stage)
        matrix = fit.matrix
    to_working = _between((width, height), working)
    from_working = _between(working, (thermal_width, thermal_height))
    full = from_working @ matrix @ to_working
    error = float(np.median(fit.distances[fit.agreeing])) / factor
    count = int(fit.agreeing.sum())
    facts = {
        "method": "edge directions",
        "pairs": len(pairs),
        "matches": len(fit.distances),
        "agreeing": count,
        "error_px": round(error, 2),
    }
    calibration = Homography(
        (width, height), (thermal_width, thermal_height), full / full[2, 2], facts
    )
    return Estimate(calibration, error, len(fit.distances), count)


def _coarse(pairs: Sequence[tuple[ByteImage, ByteImage]]) -> NDArray[np.float64]:
    best, most = np.eye(3), 0.0
    height, width = pairs[0][0].shape
    centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    for share in FIELDS:
        # The thermal image spans this share of the RGB image, around its centre.
        start = centre @ np.diag([1 / share, 1 / share, 1]) @ np.linalg.inv(centre)
        fit = _refine(pairs, start, _COARSE)
        if fit is not None and fit.agreeing.mean() * fit.agreeing.sum() > most:
            best, most = fit.matrix, float(fit.agreeing.mean() * fit.agreeing.sum())
    return best


def _refine_or_raise(
    pairs: Sequence[tuple[ByteImage, ByteImage]], matrix: NDArray[np.float64], stage: _Stage
) -> _Fit:
    fit = _refine(pairs, matrix, stage)
    if fit is None:  # patches overlap, so that one stage alone could agree by chance
        raise CalibrationError(
            "too few places agree between the cameras' images: show scenes with edges that both "
            "see (houses, cars, people), more pairs, or turn the cameras closer to one view"
        )
    return fit


def _refine(
    pairs: Sequence[tuple[ByteImage, ByteImage]], matrix: NDArray[np.float64], stage: _Stage
) -> _Fit | None:
    """Match around ``matrix`` and fit anew; ``None`` where too little agrees."""
    height, width = pairs[0][0].shape
    small = round(width * stage.scale), round(height * stage.scale)
    scaled = _between((width, height), small)
    around = scaled @ matrix @ np.linalg.inv(scaled)
    found = []
    for visible, thermal in pairs:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(
            _resize(thermal, small), around, small, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        found.append(
            match_edges(
                _resize(visible, small),
                warped.astype(np.uint8, copy=False),
                side=stage.side,
                reach=stage.reach,
                step=stage.step,
            )
        )
    visible_points, warped_points = _joined(found)
    if len(visible_points) < MIN_MATCHES:
        return None
    back = np.linalg.inv(scaled)
    sources = cv2.perspectiveTransform(visible_points[None], back)[0]
    targets = cv2.perspectiveTransform(warped_points[None], back @ around)[0]
    return _fit(sources, targets, stage)


def _joined(found: Sequence[Matches]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.concatenate([m.visible for m in found]).astype(np.float64),
        np.concatenate([m.thermal for m in found]).astype(np.float64),
    )


def _fit(sources: NDArray[np.float64], targets: NDArray[np.float64], stage: _Stage) -> _Fit | None:
    cv2.setRNGSeed(0)  # the same pairs, the same result
    limit = stage.tolerance
    if stage.freedom == 4:
        model, _ = cv2.estimateAffinePartial2D(sources, targets, ransacReprojThreshold=limit)
    elif stage.freedom == 6:
        model, _ = cv2.estimateAffine2D(sources, targets, ransacReprojThreshold=limit)
    else:
        model, _ = cv2.findHomography(sources, targets, cv2.RANSAC, limit, maxIters=5000)
    if model is None:
        return None
    matrix = np.vstack((model, [0, 0, 1])) if model.shape == (2, 3) else model
    mapped = cv2.perspectiveTransform(sources[None], matrix)[0]
    distances = np.linalg.norm(mapped - targets, axis=1)
    agreeing = distances <= limit
    if agreeing.sum() < MIN_MATCHES or agreeing.mean() < MIN_INLIERS:
        return None
    return _Fit(matrix, distances, agreeing)


def _between(of: tuple[int, int], to: tuple[int, int]) -> NDArray[np.float64]:
    """Pixels at one size to pixels at another, as a matrix; centres of pixels are kept."""
    x, y = to[0] / of[0], to[1] / of[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _grey(image: ByteImage, size: tuple[int, int]) -> ByteImage:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return _resize(grey.astype(np.uint8, copy=False), size)


def _resize(image: ByteImage, size: tuple[int, int]) -> ByteImage:
    if (image.shape[1], image.shape[0]) == size:
        return image
    smaller = size[0] < image.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=way).astype(np.uint8, copy=False)
