"""CameraInfo messages as camera models."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from amg_fuse_ros.imaging.camera_model import CalibrationError, CameraModel, Size

_MODELS = {
    "": "plumb_bob",
    "plumb_bob": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "equidistant": "equidistant",
    "fisheye": "equidistant",  # as some drivers call it
}


class SeenThrough(NamedTuple):
    """The camera that an image was taken with, as the image's pixels see it."""

    model: CameraModel
    turn: NDArray[np.float64] = np.eye(3)
    """3 x 3, directions in the camera's frame to those in which the model holds; of rectified
    images only is it no identity."""


def contents(info: CameraInfo) -> tuple[object, ...]:
    """What tells two messages apart but their headers."""
    roi = info.roi
    return (
        *(info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
        *(np.asarray(numbers).tobytes() for numbers in (info.d, info.k, info.r, info.p)),
    )


def read_camera_info(info: CameraInfo, *, rectified: bool = False) -> SeenThrough:
    """What a CameraInfo says of the images that belong to it.

    By the message's definition ``width``, ``height``, ``k``, ``d`` and the ROI are in pixels of the
    whole sensor, and the image is the ROI (all of it where it is empty) after binning.

    Args:
        info: The message.
        rectified: The images are rectified: ``p`` and ``r`` hold. A stereo camera's shift (the
            fourth column of ``p``) is not heeded: TF says where a camera is.

    Raises:
        CalibrationError: If it is not calibrated or contradicts itself.
    """
    k = np.array(info.k, np.float64).reshape(3, 3)
    size = int(info.width), int(info.height)
    turn = np.eye(3)
    if not k.any():
        raise CalibrationError("it is not calibrated (k is 0)")
    if rectified:
        k = np.array(info.p, np.float64).reshape(3, 4)[:, :3]
        if not k.any():
            raise CalibrationError("p is 0, which rectified images need")
        r = np.array(info.r, np.float64).reshape(3, 3)
        if r.any():
            turn = _nearest_rotation(r)
        model = CameraModel(size, k)
    else:
        name = info.distortion_model
        if name not in _MODELS:
            known = ", ".join(sorted(set(_MODELS.values())))
            raise CalibrationError(f"distortion_model: expected one of {known}, found {name!r}")
        d = np.array(info.d, np.float64)
        model = CameraModel(size, k, d, _MODELS[name])
    return SeenThrough(model.cut(*_read_out(info, size)), turn)


def _nearest_rotation(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Files round their numbers; of what is left of a rotation the nearest one is taken."""
    if not (np.abs(r) < 1.1).all() or not np.allclose(r @ r.T, np.eye(3), atol=1e-2):
        raise CalibrationError("r: expected a rotation, found another matrix")
    u, _, v = np.linalg.svd(r)
    rotation: NDArray[np.float64] = u @ v
    if np.linalg.det(rotation) < 0:
        raise CalibrationError("r: expected a rotation, found a reflection")
    return rotation


def size_of_images(info: CameraInfo) -> Size:
    """Width and height of the images that belong to it; not above 0 where it says nothing."""
    _, size, binning = _read_out(info, (int(info.width), int(info.height)))
    return size[0] // binning[0], size[1] // binning[1]


def _read_out(info: CameraInfo, whole: Size) -> tuple[Size, Size, Size]:
    """Offset and size of the part that is read out, and the binning."""
    roi = info.roi
    binning = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    offset = int(roi.x_offset), int(roi.y_offset)
    size = int(roi.width) or whole[0], int(roi.height) or whole[1]
    if any(o + s > w for o, s, w in zip(offset, size, whole, strict=True)):
        raise CalibrationError(
            f"roi: expected a part of {whole[0]}x{whole[1]} pixels, found {size[0]}x{size[1]} at "
            f"{offset[0]}, {offset[1]}"
        )
    return offset, size, binning
