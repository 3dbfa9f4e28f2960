"""The thermal camera: apparent temperatures, air, optics, sensor."""

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.camera import FloatArray
from amg_fuse_ros.scenes.gbuffer import COLDEST, GROUND, WARMEST, GBuffer
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.render_visible import frame_noise

_BELOW_AIR, _ABOVE_AIR = 9.0, 21.0
"""Kelvin around the air's temperature that the 8-bit picture covers; fixed for a scene."""


def temperatures(
    gbuffer: GBuffer, grain: FloatArray, shadow: FloatArray, light: Lighting
) -> FloatArray:
    """Apparent temperature of every surface.

    Args:
        gbuffer: The drawn frame.
        grain: H x W texture around 0; a little of it is relief, which a thermal camera sees.
        shadow: H x W in [0, 1]; ground out of the sun is colder.
        light: Day or night.

    Returns:
        H x W float32 degrees Celsius.
    """
    celsius = gbuffer.heat[..., 3].astype(np.float32)
    celsius *= np.float32((WARMEST - COLDEST) / 255)
    celsius += np.float32(COLDEST)
    celsius += 5.0 * grain
    if light.sun > 0:
        celsius -= np.where(gbuffer.owner == GROUND, 3.0 * light.sun * shadow, 0.0)
    return celsius.astype(np.float32)


def expose(
    celsius: FloatArray, light: Lighting, moment: int, contrast: float = 1.0
) -> NDArray[np.uint8]:
    """Temperatures as an 8-bit picture: optics, fixed gain, sensor noise.

    Args:
        celsius: H x W degrees Celsius.
        light: Its air temperature is where the gain is fixed.
        moment: Makes the noise of this frame.
        contrast: Below 1 the picture is flattened around its middle, as by a wet lens.

    Returns:
        H x W uint8, hot is bright.
    """
    height, width = celsius.shape
    value = (celsius - (light.air - _BELOW_AIR)) / (_BELOW_AIR + _ABOVE_AIR)
    # Uncooled detectors have soft optics and a gain that compresses both ends.
    value = cv2.GaussianBlur(np.clip(value, -0.9, 1.1), (0, 0), max(width / 640 * 0.85, 0.3))
    value = np.where(value < 0.22, 0.22 * np.exp((value - 0.22) / 0.22), value)
    value = np.where(value > 0.75, 0.75 + 0.25 * np.tanh((value - 0.75) / 0.25), value)
    value = 0.4 + contrast * (value - 0.4)
    # Temporal noise, and column noise that stays.
    noise = 1.5 * frame_noise(height, width, moment + 1, 0.7)
    noise += 0.7 * frame_noise(1, width, 5, 0.7)
    return np.clip(value * 250.0 + 3.0 + noise + 0.5, 0, 255).astype(np.uint8)
