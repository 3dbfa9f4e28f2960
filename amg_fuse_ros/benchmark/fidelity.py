"""How close two fused images are."""

import math

import numpy as np
from numpy.typing import NDArray

LEAST_ERROR = 1e-20


def psnr_db(image: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Peak signal to noise ratio, 10 log10(1 / MSE), of images in [0, 1]; at most 200.

    Raises:
        ValueError: If the shapes differ.
    """
    if image.shape != reference.shape:
        raise ValueError(f"expected images of one shape, found {image.shape}, {reference.shape}")
    error = float(np.mean((image.astype(np.float64) - reference) ** 2))
    return 10 * math.log10(1 / max(error, LEAST_ERROR))
