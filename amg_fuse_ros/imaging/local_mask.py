"""The mask for people and consumers: equation 3 solved by local least squares."""

import cv2
import numpy as np

from amg_fuse_ros.imaging.arrays import FloatImage

SPREAD = 2.5
"""Standard deviation of the window w in pixels: a Gaussian, which averages about as many pixels as
a box of 9 x 9. A box draws a square around every snowflake."""

WINDOW = 17
"""Side in pixels of what is computed of the window. The weights at its edge are 0.6 % of the middle
one's: with 5 % a bright flake would show the edge again."""

EPSILON = 1e-3
"""Mean squared difference of the cameras (range [0, 1]) below which their shares are unknown:
about eight grey levels."""


def local_mask(fused: FloatImage, visible: FloatImage, thermal: FloatImage) -> FloatImage:
    """How much of each pixel comes from the visible camera, without the grain of equation 5.

    Equation 3, F = M VI + (1 - M) IR, solved for M over a round window w on luminance:
    M = (mean_w (F - IR)(VI - IR) + eps / 2) / (mean_w (VI - IR)^2 + eps), clamped to [0, 1].
    Where the two cameras agree M tends to 1/2.

    Args:
        fused: RGB, H W 3, float32 in [0, 1].
        visible: RGB, H W 3, float32 in [0, 1].
        thermal: H W, float32 in [0, 1].

    Returns:
        H W, float32 in [0, 1].
    """
    # In place: fresh megabytes cost more than the arithmetic on them.
    difference = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    explained = cv2.cvtColor(fused, cv2.COLOR_RGB2GRAY)
    cv2.subtract(difference, thermal, dst=difference)
    cv2.subtract(explained, thermal, dst=explained)
    cv2.multiply(explained, difference, dst=explained)
    cv2.multiply(difference, difference, dst=difference)
    numerator = cv2.GaussianBlur(explained, (WINDOW, WINDOW), SPREAD)
    denominator = cv2.GaussianBlur(difference, (WINDOW, WINDOW), SPREAD, dst=explained)
    numerator += np.float32(EPSILON / 2)
    denominator += np.float32(EPSILON)
    cv2.divide(numerator, denominator, dst=numerator)
    return np.clip(numerator, 0, 1, out=numerator)
