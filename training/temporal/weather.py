"""Rain and snow that fall anew in every frame, and how much of it fusion keeps."""

from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np

from amg_fuse_ros.imaging.arrays import ByteImage
from training.data.degradations import pseudo_depth, rain, snow
from training.metrics.common import luminance
from training.temporal.flicker import deviations, rms
from training.temporal.video import FusedVideo, Video

WEATHERS = {"rain": rain, "snow": snow}
SEVERITY = 0.6


@dataclass(frozen=True)
class WeatherLeft:
    """How much of the weather's flicker is left, over all pixels.

    D_t = x_t(weather) - x_t(clean) is the weather's part of a frame; what the scene itself does
    drops out. Its temporal standard deviation (see :mod:`training.temporal.flicker`), rms over
    pixels, is

    Attributes:
        visible_std: that of the visible camera, grey levels,
        fused_std: that of the fused image, grey levels: the flicker beyond that of the clean
            fusion,
        left: the second over the first: 0 for a method that removes falling weather, 0.5 for the
            average,
        mask_std: and that of the mask, in percent of share.
    """

    visible_std: float
    fused_std: float
    left: float
    mask_std: float


def with_weather(video: Video, kind: str, *, severity: float = SEVERITY, seed: int = 0) -> Video:
    """Let rain or snow fall before the visible camera.

    How hard and how slanted it falls, its veil and the depth of the scene are drawn once; where
    each drop or flake is, anew for every frame. At 30 frames a second a drop is in one frame only,
    a near flake too; far flakes would be seen again a little farther on, so this snow flickers
    more than real snow does.

    Args:
        video: The clean one.
        kind: A key of `WEATHERS`.
        severity: 0 mild to 1 heavy.
        seed: The same gives the same frames.
    """
    first = np.float32(video.visible[0]) / np.float32(255)
    depth = pseudo_depth(first, np.random.default_rng(seed))
    frames = []
    for number, frame in enumerate(video.visible):
        rng = cast("np.random.Generator", _Fall(seed, number))
        wet = WEATHERS[kind](np.float32(frame) / np.float32(255), severity, rng, depth)
        frames.append(cast("ByteImage", cv2.convertScaleAbs(wet, alpha=255)))
    return replace(video, name=f"{video.name} in {kind}", visible=tuple(frames))


class _Fall:
    """A generator for weather that is the same in every frame but for its single particles.

    Degradations draw what describes the weather one number at a time and their particles many at
    once, from the distributions below.
    """

    def __init__(self, seed: int, frame: int) -> None:
        self._weather = np.random.default_rng([seed, 0])
        self._particles = np.random.default_rng([seed, 1, frame])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._weather, name)

    def integers(self, low: int, high: int, size: int | None = None) -> Any:
        return self._of(size).integers(low, high, size)

    def exponential(self, scale: float, size: int | None = None) -> Any:
        return self._of(size).exponential(scale, size)

    def gamma(self, shape: float, scale: float, size: int | None = None) -> Any:
        return self._of(size).gamma(shape, scale, size)

    def _of(self, size: int | None) -> np.random.Generator:
        return self._weather if size is None else self._particles


def measure_weather(
    clean: Video, fused_clean: FusedVideo, wet: Video, fused_wet: FusedVideo
) -> WeatherLeft:
    """Measure how much of the weather's flicker a fusion leaves in its image and mask.

    Args:
        clean: The video without weather.
        fused_clean: What a method made of it.
        wet: The same with weather, from `with_weather`.
        fused_wet: What the same method made of that.

    Raises:
        ValueError: They do not have the same number of frames.
    """
    fused = _std(fused_wet.images, fused_clean.images)
    visible = _std(wet.visible, clean.visible)
    part = np.stack(fused_wet.masks) - np.stack(fused_clean.masks)
    mask = rms(deviations(np.diff(part, axis=0)))
    return WeatherLeft(visible, fused, fused / visible if visible else 0.0, 100 * mask)


def _std(wet: tuple[ByteImage, ...], clean: tuple[ByteImage, ...]) -> float:
    if len(wet) != len(clean):
        raise ValueError(f"expected {len(clean)} frames with weather, found {len(wet)}")
    parts = [
        (luminance(a) - luminance(b)).astype(np.float32) for a, b in zip(wet, clean, strict=True)
    ]
    return rms(deviations(np.diff(np.stack(parts), axis=0)))
