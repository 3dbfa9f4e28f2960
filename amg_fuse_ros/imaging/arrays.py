"""What a thermal and an RGB array may be; checked once, in front of everything else."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ByteImage = NDArray[np.uint8]
FloatImage = NDArray[np.float32]

MAX_SIDE = 16384
"""Larger images are refused before anything is allocated for them."""


def as_thermal(array: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Check a thermal image and return it as H W.

    Args:
        array: uint8 or uint16, H W, H W 1, or H W 3 with three equal channels.

    Raises:
        ValueError: If it is anything else; the message says what was found.
    """
    _check_array(array, "thermal", (np.uint8, np.uint16))
    if array.ndim == 3:
        if array.shape[2] == 3 and not (
            np.array_equal(array[..., 0], array[..., 1])
            and np.array_equal(array[..., 0], array[..., 2])
        ):
            raise ValueError(
                "thermal image: expected one channel or three equal ones, found three different "
                "channels; publish the camera's grey image rather than a coloured palette"
            )
        if array.shape[2] not in (1, 3):
            raise ValueError(f"thermal image: expected H W or H W 3, found {array.shape}")
        array = array[..., 0]
    return np.ascontiguousarray(array)


def as_rgb(array: NDArray[Any]) -> ByteImage:
    """Check an RGB image and return it as H W 3; grey is repeated.

    Args:
        array: uint8, H W 3, or grey as H W or H W 1.

    Raises:
        ValueError: If it is anything else; the message says what was found.
    """
    _check_array(array, "RGB", (np.uint8,))
    if array.ndim == 2 or array.shape[2] == 1:
        return cv2.merge([np.ascontiguousarray(array).reshape(array.shape[:2])] * 3)
    if array.shape[2] != 3:
        raise ValueError(f"RGB image: expected H W 3 or grey H W, found shape {array.shape}")
    return np.ascontiguousarray(array)


def _check_array(array: Any, name: str, dtypes: tuple[type, ...]) -> None:
    names = " or ".join(np.dtype(t).name for t in dtypes)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} image: expected a numpy array, found {type(array).__name__}")
    if array.dtype not in [np.dtype(t) for t in dtypes]:
        nan = np.issubdtype(array.dtype, np.floating) and bool(np.isnan(array).any())
        raise ValueError(
            f"{name} image: expected {names}, found {array.dtype}" + (" with NaN" if nan else "")
        )
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} image: expected two or three dimensions, found {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} image: expected pixels, found an empty array {array.shape}")
    if max(array.shape[:2]) > MAX_SIDE:
        raise ValueError(f"{name} image: expected sides up to {MAX_SIDE}, found {array.shape}")
