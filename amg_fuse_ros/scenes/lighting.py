"""Where light comes from, for the colours of surfaces and for their temperatures."""

from dataclasses import dataclass
from typing import Literal

TimeOfDay = Literal["day", "night"]
Weather = Literal["clear", "fog", "rain", "snow"]


Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """The light of a scene.

    ``sun`` is the strength of direct sun, 0 (night, overcast) to 1; ``toward_sun`` a unit vector.
    ``air`` is the air's temperature in degrees Celsius, ``sky_horizon`` and ``sky_zenith`` what a
    thermal camera sees there.
    """

    night: bool
    weather: Weather
    sun: float
    toward_sun: Vector
    air: float
    sky_horizon: float
    sky_zenith: float

    @classmethod
    def of(cls, time_of_day: TimeOfDay, weather: Weather, sun_side: int) -> "Lighting":
        """The light at a time of day in some weather; ``sun_side`` is -1 left or 1 right."""
        night = time_of_day == "night"
        clear = weather == "clear"
        return cls(
            night=night,
            weather=weather,
            sun=1.0 if clear and not night else 0.0,
            toward_sun=(sun_side * 0.461, 0.802, -0.380),
            air={"clear": 9.0, "fog": 7.0, "rain": 8.0, "snow": -2.0}[weather] - 4.0 * night,
            sky_horizon=(2.0 if clear else 3.0) - (6.0 if weather == "snow" else 0.0) - 4.0 * night,
            sky_zenith=(-28.0 if clear else -9.0) - 3.0 * night,
        )

    def shade(self, normal: Vector) -> float:
        """Light on a surface with this outward unit normal, about 1 where it is well lit."""
        nx, ny, nz = normal
        sx, sy, sz = self.toward_sun
        from_sky = 0.74 + 0.2 * ny - 0.06 * abs(nx)
        from_sun = max(0.0, nx * sx + ny * sy + nz * sz)
        return from_sky + self.sun * (0.46 * from_sun - 0.06)

    def sun_warmth(self, normal: Vector) -> float:
        """Kelvin that the sun adds to a surface with this outward unit normal."""
        nx, ny, nz = normal
        sx, sy, sz = self.toward_sun
        return 5.0 * self.sun * max(0.0, nx * sx + ny * sy + nz * sz)
