"""Textures made by filtering noise: tileable, cached, the same for the same seed."""

from functools import lru_cache

import cv2
import numpy as np

from amg_fuse_ros.scenes.camera import FloatArray

TILE = 512
"""Side of a noise tile in texels; tiles repeat without a seam."""


def stream(*key: int) -> np.random.Generator:
    """A random generator for a key of integers of either sign, equal for equal keys."""
    return np.random.default_rng([2 * k if k >= 0 else -2 * k - 1 for k in key])


def _blur_tile(tile: FloatArray, sigma_x: float, sigma_y: float) -> FloatArray:
    pad = int(4 * max(sigma_x, sigma_y)) + 1
    wrapped = np.pad(tile, pad, mode="wrap")
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    return np.asarray(blurred[pad:-pad, pad:-pad], np.float32)


def _standardised(tile: FloatArray) -> FloatArray:
    return ((tile - tile.mean()) / tile.std()).astype(np.float32)


@lru_cache(maxsize=32)
def noise_tile(
    seed: int, sigma: float, octaves: int = 1, stretch: float = 1.0, side: int = TILE
) -> FloatArray:
    """Tileable Gaussian noise with zero mean and unit deviation.

    Args:
        seed: Which noise.
        sigma: Feature size of the finest octave in texels.
        octaves: Each further one is twice as coarse and 1.6 times as strong.
        stretch: How much longer features are along rows than along columns.
        side: Texels along each side.

    Returns:
        ``side`` x ``side`` float32.
    """
    rng = stream(seed, octaves)
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        white = rng.standard_normal((side, side), dtype=np.float32)
        width = sigma * 2**octave
        total += 1.6**octave * _standardised(_blur_tile(white, width * stretch, width))
    return _standardised(total)


def sample_tile(tile: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """A tile's values between texels; it repeats in all directions.

    Args:
        tile: Side x side, a power of two.
        u: Column coordinates in texels, of any size.
        v: Row coordinates; both are broadcast to H x W.

    Returns:
        H x W float32.
    """
    # OpenCV's own wrapping is exact only near the tile: its coordinates are 16 bits wide.
    side = np.float32(len(tile))
    shape = np.broadcast_shapes(u.shape, v.shape)
    maps = []
    for texels in (u, v):
        wrapped = texels - side * np.floor(texels * (1 / side))
        maps.append(np.array(np.broadcast_to(wrapped.astype(np.float32, copy=False), shape)))
    values = cv2.remap(tile, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(values, np.float32)


@lru_cache(maxsize=16)
def crown_sprite(seed: int, side: int = 256) -> FloatArray:
    """A tree's crown: leaf clusters lit from above.

    Returns:
        ``side`` x ``side`` x 2 float32: shade (about 0.5 to 1.4) and coverage in [0, 1].
    """
    rng = stream(seed, 77)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1) - 0.5
    mass = np.full((side, side), -1.0, np.float32)
    light = np.zeros((side, side), np.float32)
    for _ in range(26):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        centre = 0.30 * reach * np.cos(angle), 0.29 * reach * np.sin(angle)
        radius = rng.uniform(0.09, 0.17)
        away = np.hypot(columns - centre[0], rows - centre[1]) / radius
        blob = 1.0 - away
        # Each cluster is a ball: bright on its upper left, dark below.
        ball = -0.75 * (rows - centre[1]) / radius - 0.35 * (columns - centre[0]) / radius
        nearer = blob > mass
        light = np.where(nearer, ball, light)
        mass = np.maximum(mass, blob)
    leaves = noise_tile(seed, 1.4, 4)[:side, :side]
    coverage = np.clip((mass + 0.26 * leaves) * 8.0, 0.0, 1.0)
    gaps = noise_tile(seed + 1, 3.0, 2)[:side, :side]
    coverage *= np.clip((gaps + 2.4) * 3.0, 0.0, 1.0)
    shade = 0.84 + 0.22 * light - 0.25 * rows + 0.17 * leaves
    sprite = np.dstack((np.clip(shade, 0.35, 1.5), coverage)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(sprite, (0, 0), 0.7), np.float32)
