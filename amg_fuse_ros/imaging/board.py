"""A homography from a chessboard that both cameras see."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage
from amg_fuse_ros.imaging.estimate import Estimate
from amg_fuse_ros.imaging.registration import CalibrationError, Homography

TOLERANCE = 3.0
"""Pixels of the thermal image up to which a corner agrees with the homography."""


def estimate_from_board(
    pairs: Sequence[tuple[ByteImage, ByteImage]], corners: tuple[int, int]
) -> Estimate:
    """Estimate a homography from the inner corners of a chessboard.

    The board must be seen by both cameras: printed on metal and warmed, for instance. It holds for
    the board's distance; put it where the images should agree.

    Args:
        pairs: Visible (H W 3 RGB or H W, uint8) and thermal (H W, uint8) images, of one size each.
        corners: Inner corners along a row and a column, 3 or more each.

    Raises:
        CalibrationError: If no pair shows the board to both cameras, or sizes differ.
    """
    if min(corners) < 3:
        raise CalibrationError(f"board: expected 3 or more inner corners a side, found {corners}")
    sources, targets = [], []
    sizes = set()
    for visible, thermal in pairs:
        grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY) if visible.ndim == 3 else visible
        sizes.add((grey.shape[1], grey.shape[0], thermal.shape[1], thermal.shape[0]))
        of_visible = _corners(grey, corners)
        # Warm squares may be the dark ones: the board is looked for in the negative, too.
        for image in (thermal, 255 - thermal):
            of_thermal = _corners(image, corners) if of_visible is not None else None
            if of_visible is not None and of_thermal is not None:
                sources.append(of_visible)
                targets.append(_same_order(of_visible, of_thermal))
                break
    if not sources:
        raise CalibrationError(
            f"no pair shows both cameras a board of {corners[0]}x{corners[1]} inner corners"
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
        "method": f"board {corners[0]}x{corners[1]}",
        "pairs": len(sources),
        "matches": len(distances),
        "agreeing": int(agreeing.sum()),
        "error_px": round(error, 2),
    }
    calibration = Homography((width, height), (thermal_width, thermal_height), matrix, facts)
    return Estimate(calibration, error, len(distances), int(agreeing.sum()))


def _corners(image: ByteImage, corners: tuple[int, int]) -> NDArray[np.float64] | None:
    found, places = cv2.findChessboardCornersSB(image, corners)
    return places.reshape(-1, 2).astype(np.float64) if found else None


def _same_order(visible: NDArray[np.float64], thermal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The thermal corners, from the end that the visible ones start from.

    The two cameras look the same way up, so the first corner lies on the same side of the board.
    """
    along = visible[-1] - visible[0]
    other = thermal[-1] - thermal[0]
    return thermal if float(along @ other) > 0 else thermal[::-1]
