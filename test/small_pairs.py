"""Small thermal and RGB images for the tests."""

import cv2
import numpy as np


def smooth_image(height, width, channels=1, seed=0, top=256, dtype=np.uint8):
    """Blotches of every level below ``top``: H W, or H W C for more than one channel."""
    blotches = np.random.default_rng(seed).random((5, 7, channels), np.float32)
    image = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR)
    return (image * (top - 1)).round().astype(dtype)


def smooth_pair(height=32, width=40, seed=0):
    """A thermal H W and an RGB H W 3 image, uint8."""
    return smooth_image(height, width, 1, 2 * seed), smooth_image(height, width, 3, 2 * seed + 1)
