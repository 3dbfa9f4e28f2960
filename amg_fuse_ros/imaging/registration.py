"""Bring the thermal image onto the RGB camera's pixels.

A calibration says where each pixel of the RGB image lies in the thermal one. It is a homography
(two cameras side by side that look at things far away) or two calibrated cameras with the pose
between them and a distance at which they agree. From it a look-up table is made once.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import MAX_SIDE, FloatImage

Matrix = NDArray[np.float64]
Size = tuple[int, int]
"""Width, height in pixels."""
Points = NDArray[np.float64]
"""N 2, x and y in pixels; the centre of the first pixel is (0, 0)."""


class CalibrationError(ValueError):
    """A calibration that cannot be used; the message says what is wrong with it."""


class Calibration(Protocol):
    """Where pixels of the RGB image lie in the thermal image."""

    @property
    def rgb_size(self) -> Size:
        """The RGB camera's size for which this holds."""

    @property
    def thermal_size(self) -> Size:
        """The thermal camera's."""

    def to_thermal(self, points: Points) -> Points:
        """RGB pixels to thermal pixels, at these sizes."""

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""


@dataclass(frozen=True)
class Homography:
    """A plane-to-plane mapping."""

    rgb_size: Size
    thermal_size: Size
    matrix: Matrix
    """3 x 3, RGB pixels to thermal pixels."""
    facts: dict[str, Any] = field(default_factory=dict)
    """How it was found: error in pixels, number of pairs; for people."""

    def __post_init__(self) -> None:
        _check_matrix("matrix", self.matrix, (3, 3))
        if abs(np.linalg.det(self.matrix)) < 1e-9:
            raise CalibrationError("matrix: expected an invertible one, found a singular one")

    def to_thermal(self, points: Points) -> Points:
        """RGB pixels to thermal pixels."""
        mapped: Points = cv2.perspectiveTransform(points[None].astype(np.float64), self.matrix)[0]
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "model": "homography",
            "rgb_size": list(self.rgb_size),
            "thermal_size": list(self.thermal_size),
            "matrix": self.matrix.tolist(),
            **({"facts": self.facts} if self.facts else {}),
        }


@dataclass(frozen=True)
class Pinhole:
    """Two calibrated cameras and the distance at which their images are brought together.

    Matrices and distortions are those of ``sensor_msgs/CameraInfo`` (``k``, ``d``, plumb_bob or
    rational_polynomial).
    """

    rgb_size: Size
    thermal_size: Size
    rgb_matrix: Matrix
    thermal_matrix: Matrix
    rgb_distortion: Matrix
    thermal_distortion: Matrix
    rotation: Matrix
    """3 x 3, directions in the RGB camera's optical frame to the thermal camera's."""
    translation_m: Matrix
    """The RGB camera's origin in the thermal camera's optical frame, in metres."""
    distance_m: float = 30.0
    """Depth in the RGB camera's frame at which the images agree; nearer things are displaced."""

    def __post_init__(self) -> None:
        for name in ("rgb_matrix", "thermal_matrix", "rotation"):
            _check_matrix(name, getattr(self, name), (3, 3))
        _check_matrix("translation_m", self.translation_m, (3,))
        for name in ("rgb_distortion", "thermal_distortion"):
            if getattr(self, name).size not in (0, 4, 5, 8, 12, 14):
                raise CalibrationError(
                    f"{name}: expected 0, 4, 5 or 8 coefficients, found {getattr(self, name).size}"
                )
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3):
            raise CalibrationError("rotation: expected an orthogonal matrix, found another one")
        if not 0 < self.distance_m < 1e6:
            raise CalibrationError(f"distance_m: expected above 0, found {self.distance_m}")

    def to_thermal(self, points: Points) -> Points:
        """RGB pixels to thermal pixels."""
        rays = cv2.undistortPoints(
            points[:, None].astype(np.float64), self.rgb_matrix, self.rgb_distortion
        )[:, 0]
        places = np.column_stack((rays, np.ones(len(rays)))) * self.distance_m
        rotation, _ = cv2.Rodrigues(self.rotation)
        projected, _ = cv2.projectPoints(
            places, rotation, self.translation_m, self.thermal_matrix, self.thermal_distortion
        )
        mapped: Points = projected[:, 0]
        behind = (places @ self.rotation.T + self.translation_m)[:, 2] <= 0
        mapped[behind] = -1e6
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "model": "pinhole",
            "rgb_size": list(self.rgb_size),
            "thermal_size": list(self.thermal_size),
            "distance_m": self.distance_m,
            **{name: getattr(self, name).tolist() for name in _PINHOLE_ARRAYS},
        }


_PINHOLE_ARRAYS = (
    "rgb_matrix",
    "thermal_matrix",
    "rgb_distortion",
    "thermal_distortion",
    "rotation",
    "translation_m",
)


class Registrar:
    """Maps thermal images to the RGB camera's pixels by a table that is made once for each size."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._key: tuple[Size, Size] | None = None

    def __call__(self, thermal: FloatImage, size: Size) -> tuple[FloatImage, NDArray[np.bool_]]:
        """Map one image.

        Args:
            thermal: H W, float32, of the calibrated size or another one of the same view.
            size: Width and height of the result, of the RGB camera's view.

        Returns:
            The thermal image as the RGB camera would see it, 0 where it sees nothing; and for
            each pixel whether the thermal camera sees it.
        """
        height, width = thermal.shape
        if self._key != ((width, height), size):
            self._make_table((width, height), size)
            self._key = ((width, height), size)
        mapped = cv2.remap(
            thermal, self._places, self._fractions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return mapped, self._seen

    def _make_table(self, thermal: Size, rgb: Size) -> None:
        calibration = self.calibration
        x, y = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in rgb))
        points = _rescale(np.column_stack((x.ravel(), y.ravel())), rgb, calibration.rgb_size)
        places = _rescale(calibration.to_thermal(points), calibration.thermal_size, thermal)
        limit = 4.0 * MAX_SIDE
        table = np.nan_to_num(places, nan=-limit).clip(-limit, limit).astype(np.float32)
        columns, rows = (table[:, i].reshape(rgb[1], rgb[0]) for i in (0, 1))
        inside = (columns >= 0) & (columns <= thermal[0] - 1)
        self._seen = inside & (rows >= 0) & (rows <= thermal[1] - 1)
        self._places, self._fractions = cv2.convertMaps(columns, rows, cv2.CV_16SC2)


def calibration_from_dict(values: Any) -> Calibration:
    """The inverse of a calibration's ``to_dict``.

    Raises:
        CalibrationError: If these are no calibration's values; the message names the entry.
    """
    if not isinstance(values, dict) or values.get("model") not in ("homography", "pinhole"):
        found = values.get("model") if isinstance(values, dict) else type(values).__name__
        raise CalibrationError(f"model: expected homography or pinhole, found {found!r}")
    sizes = _size(values, "rgb_size"), _size(values, "thermal_size")
    if values["model"] == "homography":
        return Homography(*sizes, _array(values, "matrix"), values.get("facts") or {})
    distance = values.get("distance_m", Pinhole.distance_m)
    if not isinstance(distance, int | float):
        raise CalibrationError(f"distance_m: expected a number, found {distance!r}")
    rgb, thermal, bent_rgb, bent_thermal, turn, move = (_array(values, n) for n in _PINHOLE_ARRAYS)
    return Pinhole(*sizes, rgb, thermal, bent_rgb, bent_thermal, turn, move, float(distance))


def _size(values: dict[str, Any], name: str) -> Size:
    size = values.get(name)
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(n, int) and 0 < n <= MAX_SIDE for n in size)
    ):
        raise CalibrationError(f"{name}: expected [width, height] in pixels, found {size!r}")
    return size[0], size[1]


def _array(values: dict[str, Any], name: str) -> Matrix:
    try:
        array = np.array(values[name], np.float64)
    except KeyError as error:
        raise CalibrationError(f"{name}: expected numbers, found no such entry") from error
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{name}: expected numbers, found {values[name]!r}") from error
    if not np.isfinite(array).all():
        raise CalibrationError(f"{name}: expected finite numbers, found {values[name]!r}")
    return array


def _check_matrix(name: str, matrix: Matrix, shape: tuple[int, ...]) -> None:
    if matrix.shape != shape:
        raise CalibrationError(f"{name}: expected {shape} numbers, found {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise CalibrationError(f"{name}: expected finite numbers")


def _rescale(points: Points, of: Size, to: Size) -> Points:
    """Pixels of a view at one size to pixels of the same view at another; centres are kept."""
    if of == to:
        return points
    factors = np.array(to, np.float64) / np.array(of, np.float64)
    return (points + 0.5) * factors - 0.5
