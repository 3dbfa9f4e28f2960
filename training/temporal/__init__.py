"""How steady fusion is from frame to frame of a video: ``python -m training.temporal --help``.

:mod:`~training.temporal.gain` looks at the mapping of thermal counts,
:mod:`~training.temporal.flicker` at the fused image and its mask where the cameras rest,
:mod:`~training.temporal.weather` at what falling rain and snow leave in them.
"""

from training.temporal.flicker import Flicker, measure_flicker, static_pixels
from training.temporal.gain import GainSteps, measure_gain
from training.temporal.measuring import Measured, measure
from training.temporal.video import FusedVideo, FuseVideo, Video, by_baseline, by_fuser, read_video
from training.temporal.weather import WEATHERS, WeatherLeft, measure_weather, with_weather

__all__ = [
    "WEATHERS",
    "Flicker",
    "FuseVideo",
    "FusedVideo",
    "GainSteps",
    "Measured",
    "Video",
    "WeatherLeft",
    "by_baseline",
    "by_fuser",
    "measure",
    "measure_flicker",
    "measure_gain",
    "measure_weather",
    "read_video",
    "static_pixels",
    "with_weather",
]
