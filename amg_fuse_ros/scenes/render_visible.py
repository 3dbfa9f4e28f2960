"""The RGB camera: light on surfaces, glare, tone and sensor noise.

Radiance is linear, 1 is a white surface by day, held as three planes; pictures have gamma 2. Both
are for speed.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.scenes.camera import FloatArray
from amg_fuse_ros.scenes.gbuffer import GROUND, SKY, GBuffer
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.textures import TILE, noise_tile, stream
from amg_fuse_ros.scenes.world import LAMP_HEIGHT, LAMP_REACH, LAMP_SPACING, LAMP_X

_LAMP_TINT = np.array((1.0, 0.70, 0.40), np.float32)
_BEAM_TINT = np.array((1.0, 0.95, 0.86), np.float32)
_TONE_STEPS = 2048
_GLARE_FROM = 225
"""Glow from here on is a lamp, many times brighter than white."""


def radiance(
    gbuffer: GBuffer, depth: FloatArray, grain: FloatArray, shadow: FloatArray, light: Lighting
) -> tuple[FloatArray, FloatArray]:
    """Light that leaves every surface towards the camera.

    Args:
        gbuffer: The drawn frame.
        depth: H x W metres.
        grain: H x W texture around 0.
        shadow: H x W in [0, 1], of the ground.
        light: Day or night.

    Returns:
        Radiance 3 x H x W float32, linear, and of it what lamps give off (for their glare).
    """
    on_ground = gbuffer.owner == GROUND
    scale = np.maximum(1.0 + 1.7 * grain, 0.1) * np.float32(1 / 255**2)
    dimmed = shadow * on_ground
    if light.night:
        lit = _night_light(gbuffer, depth, on_ground)
        scale *= 1.0 - 0.8 * dimmed
    lamps = (gbuffer.heat[..., 0] >= _GLARE_FROM) & (gbuffer.owner != SKY)
    # White lamps are far brighter than red ones.
    white = gbuffer.heat[..., 1][lamps].astype(np.float32) / 255.0
    boost = 1.3 + (5.7 if light.night else 0.4) * white * white
    image = np.empty((3, *depth.shape), np.float32)
    glare = np.zeros_like(image)
    # What the sun does not reach is lit by the blue sky; clouds are a little blue too.
    for channel, (lack, overcast) in enumerate(((0.86, 0.84), (0.82, 0.87), (0.74, 0.92))):
        plane = gbuffer.color[..., channel].astype(np.float32)
        plane *= plane
        plane *= scale
        if light.night:
            plane *= lit[channel]
        else:
            plane *= (1.0 if light.sun > 0 else overcast) - lack * dimmed
        glow = gbuffer.heat[..., channel].astype(np.float32)
        glow *= glow * np.float32(1 / 255**2)
        glow[lamps] *= boost
        glare[channel][lamps] = glow[lamps]
        np.add(plane, glow, out=image[channel])
    return image, glare


def _night_light(gbuffer: GBuffer, depth: FloatArray, on_ground: NDArray[np.bool_]) -> FloatArray:
    """Irradiance 3 x H x W at night: the vehicle's low beams and the street lamps."""
    camera = gbuffer.camera
    slope = camera.columns()[None]
    fall = ((np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.focal)[:, None]
    x = np.float32(camera.x) + slope * depth
    y = np.float32(camera.y) - fall * depth
    z = np.float32(camera.z) + depth
    beam = headlight(slope, (y - 0.65) / depth, depth)
    # Light grazes the ground and stands upright on people, cars and walls.
    beam *= np.where(on_ground, np.minimum(0.22 + 2.2 / depth, 0.62), 1.0)
    lamps = np.zeros_like(depth)
    for side in (-1, 1):
        shift = 0.0 if side > 0 else LAMP_SPACING / 2
        turns = (z - np.float32(shift)) * np.float32(1 / LAMP_SPACING)
        along = (turns - np.rint(turns)) * np.float32(LAMP_SPACING)
        over = x - side * (LAMP_X - LAMP_REACH)
        down = np.maximum(LAMP_HEIGHT - y, 0.0)
        squared = along * along + over * over + down * down + 3.0
        lamps += 7.5 * down * np.where(on_ground, down, 1.7) / (squared * squared) * 3.6
    # Blended edges lie at depths where nothing is, at times within a lamp.
    np.minimum(lamps, 0.8, out=lamps)
    ambient = (0.011, 0.012, 0.017)
    return np.stack([
        lamps * _LAMP_TINT[i] + (beam * _BEAM_TINT[i] + np.float32(ambient[i])) for i in range(3)
    ])  # fmt: skip


def headlight(slope: FloatArray, rise: FloatArray, depth: FloatArray) -> FloatArray:
    """Intensity of the vehicle's low beams.

    Args:
        slope: Tangent of the angle to the right.
        rise: Tangent of the angle above the lamps; little light goes above 0.
        depth: Metres.

    Returns:
        Irradiance of a surface that faces the lamps, the shape of the broadcast arguments.
    """
    spread = np.exp(-((slope + 0.02) ** 2) / 0.075) + 0.7 * np.exp(-((slope - 0.12) ** 2) / 0.01)
    edge = np.clip(0.5 - rise / 0.05 + 0.9 * np.maximum(slope, 0), 0.0, 1.0)
    return np.asarray(spread * (0.035 + 0.965 * edge) * (34.0 / (depth * depth + 45.0)), np.float32)


def add_glare(image: FloatArray, glare: FloatArray, spread: float, strength: float) -> None:
    """Scatter the light of lamps around them, in place.

    Args:
        image: 3 x H x W radiance.
        glare: 3 x H x W radiance of the lamps alone.
        spread: Radius of the widest halo as a share of the image's width.
        strength: 1 for a clean lens in clear air.
    """
    if not glare.any():
        return
    height, width = glare.shape[1:]
    size = (max(width // 4, 1), max(height // 4, 1))
    for channel, lamps in enumerate(glare):
        small = cv2.resize(lamps, size, interpolation=cv2.INTER_AREA)
        total = np.zeros_like(small)
        for share, weight in ((0.006, 0.5), (0.022, 0.5), (spread, 0.55)):
            total += weight * cv2.GaussianBlur(small, (0, 0), max(width / 4 * share, 0.4))
        image[channel] += strength * cv2.resize(
            total, (width, height), interpolation=cv2.INTER_LINEAR
        )


def develop(image: FloatArray, light: Lighting, moment: int) -> NDArray[np.uint8]:
    """Radiance as a picture: vignette, tone curve, noise.

    Args:
        image: 3 x H x W linear radiance.
        light: Decides exposure and noise.
        moment: Makes the noise of this frame.

    Returns:
        H x W x 3 uint8 RGB.
    """
    height, width = image.shape[1:]
    rows = ((np.arange(height, dtype=np.float32) - height / 2) / width)[:, None]
    columns = ((np.arange(width, dtype=np.float32) - width / 2) / width)[None]
    exposure = 1.75 if light.night else 1.12
    vignette = (exposure * _TONE_STEPS**2) * (1.0 - 0.55 * (rows * rows + columns * columns))
    curve, noise = _tone_curve(light.night), _color_noise(height, width, moment)
    strength = np.float32(3.6 if light.night else 1.7)
    planes = []
    for plane, disturbance in zip(image, noise, strict=True):
        codes = np.sqrt(np.maximum(plane * vignette, 0.0))
        toned = curve[np.minimum(codes, 4 * _TONE_STEPS, out=codes).astype(np.uint16)]
        toned += strength * disturbance
        planes.append(np.clip(toned, 0, 255, out=toned).astype(np.uint8))
    return np.asarray(cv2.merge(planes), np.uint8)


@lru_cache(maxsize=2)
def _tone_curve(night: bool) -> FloatArray:
    value = np.arange(4 * _TONE_STEPS + 1, dtype=np.float32) / _TONE_STEPS
    # A shoulder keeps lamps from turning into flat discs; the night's toe crushes shadows.
    value = np.where(value > 0.8, 0.8 + 0.2 * np.tanh((value - 0.8) / 0.2), value)
    if night:
        value = np.maximum(value - 0.045, 0.0) * 1.047
    return (value * 255.0).astype(np.float32)


@lru_cache(maxsize=8)
def _noise_field(height: int, width: int, grain: float) -> FloatArray:
    tile = noise_tile(900, grain)
    repeats = (-(-height // TILE) + 1, -(-width // TILE) + 1)
    return np.tile(tile, repeats)


@lru_cache(maxsize=4)
def _color_field(height: int, width: int) -> FloatArray:
    field = _noise_field(height, width, 0.55)
    shifted = np.roll(field, (17, 31), axis=(0, 1))
    weights = ((0.8, 0.5), (0.7, 0.0), (0.85, -0.5))
    return np.stack([common * field + apart * shifted for common, apart in weights])


def _color_noise(height: int, width: int, moment: int) -> FloatArray:
    dy, dx = stream(moment, 7).integers(TILE, size=2)
    return _color_field(height, width)[:, dy : dy + height, dx : dx + width]


def frame_noise(height: int, width: int, moment: int, grain: float = 0.55) -> FloatArray:
    """Sensor noise with unit deviation, another one for each ``moment``; height x width."""
    dy, dx = stream(moment, 7).integers(TILE, size=2)
    return _noise_field(height, width, grain)[dy : dy + height, dx : dx + width]
