"""Random combinations of degradations, as a pair of cameras meets them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from training.data.degradations.depth import FloatImage, luminance, pseudo_depth
from training.data.degradations.haze import haze
from training.data.degradations.light import low_light, sensor_noise
from training.data.degradations.rain import rain
from training.data.degradations.snow import snow
from training.data.degradations.thermal import (
    thermal_attenuation,
    thermal_blur,
    thermal_contrast,
    thermal_halo,
    thermal_noise,
    thermal_stripes,
)

Weather = Callable[[FloatImage, float, np.random.Generator, FloatImage | None], FloatImage]

WEATHER: dict[str, Weather] = {"rain": rain, "snow": snow, "haze": haze}

# In the order in which a camera adds them: optics, detector, readout.
THERMAL_FAULTS: dict[str, Callable[[FloatImage, float, np.random.Generator], FloatImage]] = {
    "thermal_blur": thermal_blur,
    "thermal_halo": thermal_halo,
    "thermal_contrast": thermal_contrast,
    "thermal_stripes": thermal_stripes,
    "thermal_noise": thermal_noise,
}


class Degraded(NamedTuple):
    """A degraded pair and what was done to it, in order."""

    visible: FloatImage
    thermal: FloatImage
    names: tuple[str, ...]


@dataclass(frozen=True)
class DegradationSettings:
    """How often each degradation occurs, as probabilities, and how severe they may be."""

    clean: float = 0.2
    """Pairs that pass through untouched."""
    weather: float = 0.88
    second_weather: float = 0.12
    """A second, different weather on top of the first."""
    weather_weights: dict[str, float] = field(
        default_factory=lambda: {"rain": 1.0, "snow": 1.0, "haze": 1.2}
    )
    low_light: float = 0.12
    visible_noise: float = 0.25
    thermal_attenuation: float = 0.75
    """Given weather: how often the thermal image suffers from it as well."""
    thermal_contrast: float = 0.2
    thermal_blur: float = 0.15
    thermal_stripes: float = 0.2
    thermal_halo: float = 0.1
    thermal_noise: float = 0.25
    severity: tuple[float, float] = (0.1, 1.0)
    eight_bit: bool = True
    """Round degraded images to 256 levels, as cameras deliver them."""

    def __post_init__(self) -> None:
        low, high = self.severity
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"severity must be a range within 0 to 1, found {self.severity}.")
        unknown = set(self.weather_weights) - set(WEATHER)
        if unknown or not any(w > 0 for w in self.weather_weights.values()):
            raise ValueError(
                f"weather_weights must give a positive weight to some of {sorted(WEATHER)}, "
                f"found {self.weather_weights}."
            )


def degrade(
    visible: FloatImage,
    thermal: FloatImage,
    rng: np.random.Generator,
    settings: DegradationSettings | None = None,
) -> Degraded:
    """Degrade a clean pair by a random combination: light, weather, sensors.

    Args:
        visible: H x W x 3 RGB, float32 in [0, 1]; not modified.
        thermal: H x W, float32 in [0, 1]; not modified.
        rng: source of all randomness; the same state gives the same pair.
        settings: probabilities and severities; the defaults when None.

    Returns:
        The degraded pair, float32 in [0, 1] of the same shapes, and the names of what was done;
        the given arrays themselves when nothing was.

    Raises:
        ValueError: shapes that are no pair.
    """
    if visible.ndim != 3 or visible.shape[2] != 3 or thermal.shape != visible.shape[:2]:
        raise ValueError(
            "expected visible H x W x 3 and thermal H x W of one size, "
            f"found {visible.shape} and {thermal.shape}."
        )
    settings = settings or DegradationSettings()
    visible = np.ascontiguousarray(visible, np.float32)
    thermal = np.ascontiguousarray(thermal, np.float32)
    if rng.random() < settings.clean:
        return Degraded(visible, thermal, ())
    names: list[str] = []

    def happens(probability: float, name: str) -> bool:
        hit = bool(rng.random() < probability)
        if hit:
            names.append(name)
        return hit

    def severity() -> float:
        return float(rng.uniform(*settings.severity))

    # A night image can lose nothing more and still be learned from.
    bright_enough = float(luminance(visible).mean()) > 0.15
    if happens(settings.low_light * bright_enough, "low_light"):
        visible = low_light(visible, severity(), rng)

    if rng.random() < settings.weather:
        depth = pseudo_depth(visible, rng)
        for name in _draw_weather(settings, rng):
            visible = WEATHER[name](visible, severity(), rng, depth)
            names.append(name)
        if happens(settings.thermal_attenuation, "thermal_attenuation"):
            thermal = thermal_attenuation(thermal, depth, severity(), rng)

    for name, fault in THERMAL_FAULTS.items():
        if happens(getattr(settings, name), name):
            thermal = fault(thermal, severity(), rng)
    if happens(settings.visible_noise, "visible_noise"):
        visible = sensor_noise(visible, severity(), rng)
    if names and settings.eight_bit:
        visible, thermal = _eight_bit(visible), _eight_bit(thermal)
    return Degraded(visible, thermal, tuple(names))


def _draw_weather(settings: DegradationSettings, rng: np.random.Generator) -> list[str]:
    names = list(settings.weather_weights)
    weights = np.array([settings.weather_weights[name] for name in names])
    possible = int(np.count_nonzero(weights))
    count = 2 if possible > 1 and rng.random() < settings.second_weather else 1
    return [str(n) for n in rng.choice(names, count, replace=False, p=weights / weights.sum())]


def _eight_bit(image: FloatImage) -> FloatImage:
    return cv2.convertScaleAbs(image, alpha=255.0).astype(np.float32) / np.float32(255.0)
