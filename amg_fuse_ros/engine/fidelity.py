"""How close a fused image is to that of float64, and how close it must be."""

import math

import numpy as np
from numpy.typing import NDArray

LEAST_ERROR = 1e-20

FLOOR_DB = {"fp64": 45.0, "fp32": 45.0, "bf16": 42.0, "fp16": 42.0}
"""With trained weights; what limits all of them is the function, which amplifies rounding."""

BELOW_EAGER_DB = 2.0
"""So much may an fp32 engine lie below eager fp32."""


def psnr_db(image: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Peak signal to noise ratio, 10 log10(1 / MSE), of images in [0, 1]; at most 200.

    Raises:
        ValueError: If the shapes differ.
    """
    if image.shape != reference.shape:
        raise ValueError(f"expected images of one shape, found {image.shape}, {reference.shape}")
    error = float(np.mean((image.astype(np.float64) - reference) ** 2))
    if not math.isfinite(error):
        return 0.0
    return 10 * math.log10(1 / max(error, LEAST_ERROR))


def shortfall(precision: str, psnr: float, eager_fp32: float | None = None) -> str | None:
    """Why a fidelity does not suffice, in words; ``None`` if it does.

    Args:
        precision: Of the engine.
        psnr: Its PSNR against eager float64, in dB.
        eager_fp32: That of eager fp32, if it was measured.
    """
    floor = FLOOR_DB[precision]
    if psnr < floor:
        return f"{psnr:.1f} dB against float64, {precision} needs {floor:g} dB"
    if precision == "fp32" and eager_fp32 is not None and psnr < eager_fp32 - BELOW_EAGER_DB:
        return f"{psnr:.1f} dB against float64, eager fp32 has {eager_fp32:.1f} dB"
    return None
