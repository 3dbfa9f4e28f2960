"""A calibrated camera: pixels to directions and back, with the distortions of CameraInfo."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import MAX_SIDE

Matrix = NDArray[np.float64]
Size = tuple[int, int]
"""Width, height in pixels."""
Points = NDArray[np.float64]
"""N 2, x and y in pixels; the centre of the first pixel is (0, 0)."""

COEFFICIENTS = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (4,),
}
"""How many numbers the distortion of each model has. Names and order are those of
``sensor_msgs/CameraInfo`` (sensor_msgs/distortion_models.hpp) and of OpenCV, whose fisheye model
equidistant is."""

OUTSIDE = -1e6
"""Where a point lands that a camera cannot see: in no image, however large."""

_WIDEST_TAN = 100.0
"""Pixels whose direction is more than 89.4 degrees aside have none on the plane in front."""
_MISSED_PX = 0.5
"""Distortions are taken back by iteration; what comes back this far off has not been found."""
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)


class CalibrationError(ValueError):
    """A calibration that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A camera's lens and sensor.

    Attributes:
        size: For which the matrix holds.
        matrix: 3 x 3, directions to pixels.
        distortion: Coefficients, as many as the model has; none for a perfect lens.
        model: ``plumb_bob``, ``rational_polynomial`` or ``equidistant`` (fisheye).
    """

    size: Size
    matrix: Matrix
    distortion: Matrix = field(default_factory=lambda: np.zeros(0))
    model: str = "plumb_bob"

    def __post_init__(self) -> None:
        check_array("matrix", self.matrix, (3, 3))
        if not (self.matrix[0, 0] > 0 and self.matrix[1, 1] > 0):
            raise CalibrationError(
                f"matrix: expected focal lengths above 0, found {self.matrix[0, 0]:g} and "
                f"{self.matrix[1, 1]:g}"
            )
        if not all(0 < n <= MAX_SIDE for n in self.size):
            raise CalibrationError(f"size: expected 1 to {MAX_SIDE} pixels, found {self.size}")
        if self.model not in COEFFICIENTS:
            raise CalibrationError(
                f"model: expected one of {', '.join(COEFFICIENTS)}, found {self.model!r}"
            )
        counts = COEFFICIENTS[self.model]
        if self.distortion.ndim != 1 or self.distortion.size not in counts:
            raise CalibrationError(
                f"distortion: expected {' or '.join(map(str, counts))} coefficients for "
                f"{self.model}, found {self.distortion.size}"
            )
        if not np.isfinite(self.distortion).all():
            raise CalibrationError("distortion: expected finite numbers")

    def directions(self, points: Points) -> Matrix:
        """Where pixels look.

        Args:
            points: N 2, pixels.

        Returns:
            N 2: x and y of each direction at depth 1; NaN where the lens has none in front of the
            camera.
        """
        points = np.ascontiguousarray(points, np.float64)[:, None]
        if self.model == "equidistant":
            found = cv2.fisheye.undistortPoints(
                points, self.matrix, self.distortion, criteria=_CRITERIA
            )
        else:
            found = cv2.undistortPointsIter(
                points, self.matrix, self.distortion, None, None, _CRITERIA
            )
        directions: Matrix = found[:, 0].astype(np.float64)
        directions[~(np.abs(directions).max(axis=1) < _WIDEST_TAN)] = np.nan
        missed = np.abs(self.project(_at_depth_1(directions)) - points[:, 0]).max(axis=1)
        directions[~(missed < _MISSED_PX)] = np.nan
        return directions

    def project(self, places: Matrix) -> Points:
        """Where the camera sees places.

        Args:
            places: N 3, in its optical frame: x to the right, y down, z ahead.

        Returns:
            N 2, pixels; ``OUTSIDE`` for what lies behind it, or so far aside that the model of the
            distortion folds it back into the image.
        """
        x, y, z = np.asarray(places, np.float64).T
        with np.errstate(all="ignore"):  # what overflows is outside
            radius = np.hypot(x, y)
            if self.model == "equidistant":
                bent = self._bend(np.arctan2(radius, z))
                factor = np.where(radius > 0, bent / radius, 1 / z)
                directions = np.column_stack((x * factor, y * factor))
                seen = np.arctan2(radius, z) < self.widest
                pixels = directions @ self.matrix[:2, :2].T + self.matrix[:2, 2]
            else:
                # Of the others only the radial part is looked at: it alone folds an image.
                seen = (z > 0) & (radius < self.widest * z)
                ahead = np.where(seen[:, None], places, (0.0, 0.0, 1.0))
                pixels = cv2.projectPoints(
                    ahead, np.zeros(3), np.zeros(3), self.matrix, self.distortion
                )[0].reshape(-1, 2)
        pixels[~(seen & np.isfinite(pixels).all(axis=1))] = OUTSIDE
        return pixels

    @cached_property
    def widest(self) -> float:
        """Up to where the distortion moves things outwards the further aside they are.

        The tangent of the angle from the axis, or for equidistant the angle itself in radians.
        """
        limit = np.pi if self.model == "equidistant" else _WIDEST_TAN
        aside = np.linspace(0, 1, 20_001)[1:] ** 2 * limit
        with np.errstate(all="ignore"):
            bent = self._bend(aside)
            falls = ~(np.diff(bent, prepend=0.0) > 0)
        return float(aside[falls.argmax()]) if falls.any() else limit

    def cut(self, offset: Size, size: Size, binning: Size = (1, 1)) -> "CameraModel":
        """The same camera where only a part of its sensor is read out, or pixels are joined.

        Args:
            offset: Of the part, x and y in pixels of the whole sensor.
            size: Of the part, width and height in pixels of the whole sensor.
            binning: How many columns and rows make one pixel.
        """
        scale = 1 / np.array(binning, np.float64)
        matrix = self.matrix.copy()
        matrix[0] *= scale[0]
        matrix[1] *= scale[1]
        # Centres of pixels are whole numbers: the first of two joined ones lies at 1/2.
        matrix[:2, 2] = (self.matrix[:2, 2] - offset + 0.5) * scale - 0.5
        joined = (size[0] // binning[0], size[1] // binning[1])
        return replace(self, size=joined, matrix=matrix)

    def _bend(self, aside: Matrix) -> Matrix:
        """Where the radial part of the distortion puts what lies so far from the axis."""
        squared = aside**2
        if self.model == "equidistant":
            k1, k2, k3, k4 = self.distortion
            return aside * (1 + squared * (k1 + squared * (k2 + squared * (k3 + squared * k4))))
        k = np.zeros(8)
        k[: min(8, self.distortion.size)] = self.distortion[:8]
        outer = 1 + squared * (k[0] + squared * (k[1] + squared * k[4]))
        inner = 1 + squared * (k[5] + squared * (k[6] + squared * k[7]))
        return np.where(inner > 0, aside * outer / inner, np.nan)


def check_array(name: str, array: Matrix, shape: tuple[int, ...]) -> None:
    """Refuse what is not of this shape or not finite.

    Raises:
        CalibrationError: With the name.
    """
    if array.shape != shape:
        raise CalibrationError(f"{name}: expected {shape} numbers, found {array.shape}")
    if not np.isfinite(array).all():
        raise CalibrationError(f"{name}: expected finite numbers")


def _at_depth_1(directions: Matrix) -> Matrix:
    return np.column_stack((directions, np.ones(len(directions))))
