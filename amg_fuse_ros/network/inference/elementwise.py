"""The masks' elementwise functions, in a form that the compiler turns into vector code."""

import numba
import numpy as np

from amg_fuse_ros.network.inference.layout import MARGIN, Array
from amg_fuse_ros.network.mask import EPSILON, SHARPNESS

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
"""ln 2 in two parts, of which the first times a small integer is exact in float32."""


@numba.njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _exp32(x):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """exp(x) for -87 <= x <= 0 in float32: 2^k times the Taylor series of the rest."""
    one = np.float32(1)
    k = np.floor(x * np.float32(_LOG2_E) + np.float32(0.5))
    r = x - k * np.float32(_LN2_HIGH) - k * np.float32(_LN2_LOW)
    s = one + r * np.float32(1 / 7)
    s = one + r * np.float32(1 / 6) * s
    s = one + r * np.float32(1 / 5) * s
    s = one + r * np.float32(1 / 4) * s
    s = one + r * np.float32(1 / 3) * s
    s = one + r * np.float32(1 / 2) * s
    s = one + r * s
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    return s * power


@numba.njit(cache=True, nogil=True)
def sigmoid_row(row: Array) -> None:
    """1 / (1 + exp(-x)), in place."""
    if row.itemsize == 8:
        for i in range(row.shape[0]):
            row[i] = 1 / (1 + np.exp(-row[i]))
        return
    one, lowest = np.float32(1), np.float32(-87)
    for i in range(row.shape[0]):
        x = np.float32(row[i])
        e = _exp32(max(-abs(x), lowest))
        share = one / (one + e)
        row[i] = share if x >= 0 else one - share if e > np.float32(0.5) else e * share


@numba.njit(cache=True, nogil=True, error_model="numpy")
def feature_mask_rows(
    f: Array, v: Array, i: Array, mask: Array, width: int, first: int, last: int
) -> None:
    """Equation 5 on planes: see :func:`amg_fuse_ros.network.mask.feature_mask`."""
    zero, one = f.dtype.type(0), f.dtype.type(1)
    eps, half, sharpness = f.dtype.type(EPSILON), f.dtype.type(0.5), f.dtype.type(SHARPNESS)
    for c in range(f.shape[0]):
        for row in range(first + 1, last + 1):
            fused, visible, thermal, out = f[c, row], v[c, row], i[c, row], mask[c, row]
            for k in range(MARGIN, MARGIN + width):
                quotient = (fused[k] - thermal[k]) / (visible[k] - thermal[k] + fused[k] + eps)
                out[k] = sharpness * (min(max(quotient, zero), one) - half)
            sigmoid_row(out[MARGIN : MARGIN + width])
