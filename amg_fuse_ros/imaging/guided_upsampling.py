"""Brings an image that was fused at a lower size to the cameras' size, with their detail."""

import cv2
import numpy as np

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage

SIGMA = 2.0
"""Detail is what a Gaussian of so many pixels, at the lower size, takes away."""

WINDOW = 7
"""Side of the window of the fit, in pixels of the lower size."""

EPSILON = 1e-4
"""Variance of a camera's detail (range [0, 1]) below which it is noise: 2.5 grey levels."""


def upsample_guided(
    fused: FloatImage,
    visible: FloatImage,
    thermal: FloatImage,
    full_visible: ByteImage,
    full_thermal: FloatImage,
) -> FloatImage:
    """Enlarge a fused image, guided by what both cameras see at full size.

    Joint upsampling by a local linear model, after the guided filter (He, Sun and Tang, 2013) and
    its fast form (He and Sun, 2015): where F = a VI + b IR + r at the lower size, a, b and r are
    enlarged and put together with the full frames. a and b are least squares over a window on
    the *detail* of luminance, so that brightness and colour, with what the network has done to
    them, stay in r.

    Rain and snow that the network took away are detail of VI that F does not have: a is small
    there. To be sure, both are multiplied by the correlation of F's detail with the model.

    Args:
        fused: RGB, h w 3, float32 in [0, 1].
        visible: RGB, h w 3, float32 in [0, 1]: what the network saw.
        thermal: h w, float32 in [0, 1]: what the network saw.
        full_visible: RGB, H W 3, uint8.
        full_thermal: H W, float32 in [0, 1], on the pixels of ``full_visible``.

    Returns:
        RGB, H W 3, float32 in [0, 1].
    """
    height, width = full_thermal.shape
    luminance = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    a, b = _shares(cv2.cvtColor(fused, cv2.COLOR_RGB2GRAY), luminance, thermal)
    rest = _enlarge(fused - cv2.merge([a * luminance + b * thermal] * 3), width, height)

    full_luminance = cv2.cvtColor(full_visible, cv2.COLOR_RGB2GRAY).astype(np.float32)
    guided = cv2.multiply(_enlarge(a, width, height), full_luminance, scale=1 / 255)
    guided += _enlarge(b, width, height) * full_thermal
    result = cv2.add(rest, cv2.merge([guided] * 3))
    return np.clip(result, 0, 1, out=result)


def _shares(
    fused: FloatImage, visible: FloatImage, thermal: FloatImage
) -> tuple[FloatImage, FloatImage]:
    """How much of each camera's detail the fused image has: a and b, h w each."""
    f, v, t = (x - cv2.GaussianBlur(x, (0, 0), SIGMA) for x in (fused, visible, thermal))
    vv, tt = _mean(v * v) + np.float32(EPSILON), _mean(t * t) + np.float32(EPSILON)
    vt, fv, ft = _mean(v * t), _mean(f * v), _mean(f * t)
    # Cramer's rule; epsilon keeps the determinant positive.
    determinant = vv * tt - vt * vt
    a, b = (tt * fv - vt * ft) / determinant, (vv * ft - vt * fv) / determinant
    explained = (a * fv + b * ft) / (_mean(f * f) + np.float32(1e-6))
    trust = np.sqrt(np.clip(explained, 0, 1))
    return cv2.blur(a * trust, (3, 3)), cv2.blur(b * trust, (3, 3))


def _mean(image: FloatImage) -> FloatImage:
    return cv2.blur(image, (WINDOW, WINDOW))


def _enlarge(image: FloatImage, width: int, height: int) -> FloatImage:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
