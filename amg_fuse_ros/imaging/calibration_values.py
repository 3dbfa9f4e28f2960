"""Calibrations from plain values, as a file holds them; whole, or the parts that are there."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from amg_fuse_ros.imaging.arrays import MAX_SIDE
from amg_fuse_ros.imaging.camera_model import CalibrationError, CameraModel, Matrix, Size
from amg_fuse_ros.imaging.registration import (
    DISTANCE_M,
    Calibration,
    Homography,
    Pose,
    TwoCameras,
)

_POSE = ("rotation", "translation_m")


@dataclass(frozen=True)
class CalibrationParts:
    """What a file says; the rest is known from elsewhere."""

    homography: Homography | None = None
    rgb: CameraModel | None = None
    thermal: CameraModel | None = None
    pose: Pose | None = None
    distance_m: float = DISTANCE_M

    def whole(self) -> Calibration:
        """The calibration, if nothing is missing.

        Raises:
            CalibrationError: If something is; it is named.
        """
        if self.homography is not None:
            return self.homography
        for name, part in (("rgb_matrix", self.rgb), ("thermal_matrix", self.thermal)):
            if part is None:
                raise CalibrationError(f"{name}: expected numbers, found no such entry")
        if self.pose is None:
            raise CalibrationError("rotation: expected numbers, found no such entry")
        assert self.rgb is not None
        assert self.thermal is not None
        return TwoCameras(self.rgb, self.thermal, self.pose, self.distance_m)


def parts_from_dict(values: Any) -> CalibrationParts:
    """What a file holds of a calibration.

    Of the model ``pinhole`` a camera (``rgb_*``, ``thermal_*``) or the pose (``rotation`` and
    ``translation_m``) may be left out as a whole.

    Raises:
        CalibrationError: If these are no calibration's values; the message names the entry.
    """
    if not isinstance(values, dict) or values.get("model") not in ("homography", "pinhole"):
        found = values.get("model") if isinstance(values, dict) else type(values).__name__
        raise CalibrationError(f"model: expected homography or pinhole, found {found!r}")
    if values["model"] == "homography":
        sizes = _size(values, "rgb_size"), _size(values, "thermal_size")
        facts = values.get("facts") or {}
        return CalibrationParts(homography=Homography(*sizes, _array(values, "matrix"), facts))
    distance = values.get("distance_m", DISTANCE_M)
    if isinstance(distance, bool) or not isinstance(distance, int | float):
        raise CalibrationError(f"distance_m: expected a number, found {distance!r}")
    if not 0 < distance < 1e6:
        raise CalibrationError(f"distance_m: expected above 0, found {distance}")
    pose = None
    if any(name in values for name in _POSE):
        pose = Pose(*(_array(values, name) for name in _POSE))
    return CalibrationParts(
        rgb=_camera(values, "rgb"),
        thermal=_camera(values, "thermal"),
        pose=pose,
        distance_m=float(distance),
    )


def _camera(values: dict[str, Any], name: str) -> CameraModel | None:
    if not any(f"{name}_{part}" in values for part in ("size", "matrix", "distortion", "model")):
        return None
    distortion = f"{name}_distortion"
    given = _array(values, distortion) if distortion in values else np.zeros(0)
    model = values.get(f"{name}_model") or (
        "rational_polynomial" if given.size > 5 else "plumb_bob"  # a file need not name it
    )
    size, matrix = _size(values, f"{name}_size"), _array(values, f"{name}_matrix")
    try:
        return CameraModel(size, matrix, given, str(model))
    except CalibrationError as error:
        raise CalibrationError(f"{name}_{error}") from error


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
