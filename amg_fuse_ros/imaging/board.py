"""A homography from a chessboard or a grid of circles that both cameras see."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage
from amg_fuse_ros.imaging.estimate import Estimate
from amg_fuse_ros.imaging.registration import CalibrationError, Homography

TOLERANCE = 3.0
"""Pixels of the thermal image up to which a corner agrees with the homography."""


PATTERNS = ("chessboard", "circles", "acircles")
"""What a board shows: squares, a grid of circles, or one whose every other row is shifted."""


def estimate_from_board(
    pairs: Sequence[tuple[ByteImage, ByteImage]],
    corners: tuple[int, int],
    pattern: str = "chessboard",
) -> Estimate:
    """Estimate a homography from the inner corners of a chessboard, or from centres of circles.

    The board must be seen by both cameras: printed on metal and warmed, or holes cut into a plate
    in front of something warm. It holds for the board's distance; put it where the images should
    agree.

    Args:
        pairs: Visible (H W 3 RGB or H W, uint8) and thermal (H W, uint8) images, of one size each.
        corners: Inner corners (or circles) along a row and a column, 3 or more each.
        pattern: One of `PATTERNS`.

    Raises:
        CalibrationError: If no pair shows the board to both cameras, or sizes differ.
    """
    if min(corners) < 3:
        raise CalibrationError(f"board: expected 3 or more inner corners a side, found {corners}")
    if pattern not in PATTERNS:
        raise CalibrationError(f"board: expected one of {PATTERNS}, found {pattern!r}")
    find = partial(_FINDERS[pattern], corners=corners)
    sources, targets = [], []
    sizes = set()
    for visible, thermal in pairs:
        grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY) if visible.ndim == 3 else visible
        sizes.add((grey.shape[1], grey.shape[0], thermal.shape[1], thermal.shape[0]))
        # What is dark may be warm, and circles may be bright: both are looked for in the negative.
        of_visible = _first(find(image) for image in (grey, 255 - grey))
        if of_visible is None:
            continue
        of_thermal = _first(find(image) for image in (thermal, 255 - thermal))
        if of_thermal is not None:
            sources.append(of_visible)
            targets.append(_same_order(of_visible, of_thermal))
    if not sources:
        raise CalibrationError(
            f"no pair shows both cameras a {pattern} of {corners[0]}x{corners[1]}"
        )
    if len(sizes) > 1:
        raise CalibrationError(f"expected pairs of one rig, found several sizes: {sorted(sizes)}")
    [(width, height, thermal_width, thermal_height)] = sizes
    here, there = np.concatenate(sources), np.concatenate(targets)
    matrix, _ = cv2.findHomography(here, there, cv2.RANSAC, TOLERANCE)
    if matrix is None:
        raise CalibrationError("the board's corners do not lie as a homography would have them")
    distances = np.linalg.norm(cv2.perspectiveTransform(here[None], matrix)[0] - there, axis=1)
    agreeing = distances <= TOLERANCE
    error = float(np.median(distances[agreeing])) * width / thermal_width
    facts = {
        "method": f"{pattern} {corners[0]}x{corners[1]}",
        "pairs": len(sources),
        "matches": len(distances),
        "agreeing": int(agreeing.sum()),
        "error_px": round(error, 2),
    }
    calibration = Homography((width, height), (thermal_width, thermal_height), matrix, facts)
    return Estimate(calibration, error, len(distances), int(agreeing.sum()))


Places = NDArray[np.float64]


def _chessboard(image: ByteImage, corners: tuple[int, int]) -> Places | None:
    found, places = cv2.findChessboardCornersSB(image, corners)
    return places.reshape(-1, 2).astype(np.float64) if found else None


def _circles(image: ByteImage, corners: tuple[int, int], kind: int) -> Places | None:
    found, places = cv2.findCirclesGrid(image, corners, flags=kind)
    return places.reshape(-1, 2).astype(np.float64) if found else None


_FINDERS: Mapping[str, Callable[..., Places | None]] = {
    "chessboard": _chessboard,
    "circles": partial(_circles, kind=cv2.CALIB_CB_SYMMETRIC_GRID),
    "acircles": partial(_circles, kind=cv2.CALIB_CB_ASYMMETRIC_GRID),
}


def _first(found: Iterable[Places | None]) -> Places | None:
    return next((places for places in found if places is not None), None)


def _same_order(visible: Places, thermal: Places) -> Places:
    """The thermal corners, from the end that the visible ones start from.

    The two cameras look the same way up, so the first corner lies on the same side of the board.
    """
    along = visible[-1] - visible[0]
    other = thermal[-1] - thermal[0]
    return thermal if float(along @ other) > 0 else thermal[::-1]
