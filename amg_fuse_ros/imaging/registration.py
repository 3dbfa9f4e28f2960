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
from amg_fuse_ros.imaging.camera_model import (
    OUTSIDE,
    CalibrationError,
    CameraModel,
    Matrix,
    Points,
    Size,
    check_array,
)

__all__ = [
    "DISTANCE_M",
    "Calibration",
    "CalibrationError",
    "Homography",
    "Points",
    "Pose",
    "Registrar",
    "Size",
    "TwoCameras",
    "displacement",
    "share_seen",
]

DISTANCE_M = 30.0
"""Where two calibrated cameras agree if nobody says otherwise."""

GRID_PX = 4
"""Two cameras are asked for one pixel of so many in a row, and the others interpolated: lenses bend
things slowly, so that this costs a few thousandths of a pixel, and a sixteenth of the time."""

EDGE_PX = 1e-3
"""What rounding may put outside of the thermal image, which is on its border."""


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
        check_array("matrix", self.matrix, (3, 3))
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


@dataclass(frozen=True, eq=False)
class Pose:
    """How the cameras stand to each other; both frames are optical: x right, y down, z ahead."""

    rotation: Matrix
    """3 x 3, directions in the RGB camera's frame to the thermal camera's."""
    translation_m: Matrix
    """The RGB camera's origin in the thermal camera's frame, in metres."""

    def __post_init__(self) -> None:
        check_array("rotation", self.rotation, (3, 3))
        check_array("translation_m", self.translation_m, (3,))
        r = self.rotation
        if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
            raise CalibrationError("rotation: expected a rotation, found another matrix")


@dataclass(frozen=True, eq=False)
class TwoCameras:
    """Two calibrated cameras and the distance at which their images are brought together."""

    rgb: CameraModel
    thermal: CameraModel
    pose: Pose
    distance_m: float = DISTANCE_M
    """Depth in the RGB camera's frame at which the images agree; nearer things are displaced."""

    def __post_init__(self) -> None:
        if not 0 < self.distance_m < 1e6:
            raise CalibrationError(f"distance_m: expected above 0, found {self.distance_m}")

    @property
    def rgb_size(self) -> Size:
        """The RGB camera's size."""
        return self.rgb.size

    @property
    def thermal_size(self) -> Size:
        """The thermal camera's size."""
        return self.thermal.size

    def to_thermal(self, points: Points) -> Points:
        """RGB pixels to thermal pixels; ``OUTSIDE`` where the thermal camera sees nothing."""
        rays = self.rgb.directions(points)
        places = np.column_stack((rays, np.ones(len(rays)))) * self.distance_m
        return self.thermal.project(places @ self.pose.rotation.T + self.pose.translation_m)

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        cameras = {"rgb": self.rgb, "thermal": self.thermal}
        return {
            "model": "pinhole",
            **{f"{name}_size": list(camera.size) for name, camera in cameras.items()},
            **{f"{name}_matrix": camera.matrix.tolist() for name, camera in cameras.items()},
            **{f"{name}_model": camera.model for name, camera in cameras.items()},
            **{f"{name}_distortion": c.distortion.tolist() for name, c in cameras.items()},
            "rotation": self.pose.rotation.tolist(),
            "translation_m": self.pose.translation_m.tolist(),
            "distance_m": self.distance_m,
        }


def displacement(a: TwoCameras, b: TwoCameras) -> float:
    """By how much two calibrations differ: the largest distance in thermal pixels.

    Of places on a grid over the RGB image; infinite if they are for other sizes.
    """
    if (a.rgb_size, a.thermal_size) != (b.rgb_size, b.thermal_size):
        return np.inf
    same_cameras = a.rgb is b.rgb and a.thermal is b.thermal and a.distance_m == b.distance_m
    turn, move = a.pose.rotation - b.pose.rotation, a.pose.translation_m - b.pose.translation_m
    if same_cameras and not turn.any() and not move.any():
        return 0.0
    points = _sample(a.rgb_size)
    return float(np.abs(a.to_thermal(points) - b.to_thermal(points)).max())


def share_seen(calibration: Calibration) -> float:
    """Which part of the RGB image the thermal camera sees, 0 to 1, from a sample of its pixels."""
    places = calibration.to_thermal(_sample(calibration.rgb_size, 32))
    return float(_inside(places[:, 0], places[:, 1], calibration.thermal_size).mean())


def _sample(size: Size, count: int = 8) -> Points:
    x, y = np.meshgrid(*(np.linspace(0, n - 1, count) for n in size))
    return np.column_stack((x.ravel(), y.ravel()))


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
        step = 1 if isinstance(self.calibration, Homography) else GRID_PX
        (x, spread_x), (y, spread_y) = (_grid(n, step) for n in rgb)
        points = np.column_stack([n.ravel() for n in np.meshgrid(x, y)])
        points = _rescale(points, rgb, self.calibration.rgb_size)
        places = self.calibration.to_thermal(points)
        places = _rescale(places, self.calibration.thermal_size, thermal)
        places = np.nan_to_num(places, nan=OUTSIDE).clip(OUTSIDE, -OUTSIDE)
        tables = (places[:, i].reshape(len(y), len(x)) for i in (0, 1))
        if step > 1:
            tables = (spread_y @ table @ spread_x.T for table in tables)
        limit = 4.0 * MAX_SIDE
        columns, rows = (table.clip(-limit, limit).astype(np.float32) for table in tables)
        self._seen = _inside(columns, rows, thermal)
        self._places, self._fractions = cv2.convertMaps(columns, rows, cv2.CV_16SC2)


def _inside(x: NDArray[Any], y: NDArray[Any], size: Size) -> NDArray[np.bool_]:
    width, height = size
    inside = (x >= -EDGE_PX) & (x <= width - 1 + EDGE_PX)
    seen: NDArray[np.bool_] = inside & (y >= -EDGE_PX) & (y <= height - 1 + EDGE_PX)
    return seen


def _grid(count: int, step: int) -> tuple[Matrix, Matrix]:
    """Places from the first pixel to the last, about ``step`` apart.

    Returns:
        The places, and a matrix that interpolates linearly from them to every pixel.
    """
    places = np.linspace(0, count - 1, -(-(count - 1) // step) + 1)
    if len(places) == 1:
        return places, np.ones((count, 1))
    apart = np.abs(np.arange(count)[:, None] - places) / places[1]
    return places, np.maximum(0, 1 - apart)


def _rescale(points: Points, of: Size, to: Size) -> Points:
    """Pixels of a view at one size to pixels of the same view at another; centres are kept."""
    if of == to:
        return points
    factors = np.array(to, np.float64) / np.array(of, np.float64)
    return (points + 0.5) * factors - 0.5
