"""All measures of one video, for several ways to fuse it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from training.temporal.flicker import Flicker, measure_flicker, static_pixels
from training.temporal.gain import CASES, GainSteps, measure_gain
from training.temporal.sheet import draw_sheet
from training.temporal.video import FusedVideo, FuseVideo, Video
from training.temporal.weather import SEVERITY, WeatherLeft, measure_weather, with_weather


@dataclass(frozen=True)
class Measured:
    """What was measured on one video: gain by case and mapping, the rest by method."""

    video: str
    frames: int
    gain: Mapping[str, Mapping[str, GainSteps]]
    flicker: Mapping[str, Flicker]
    weather: Mapping[str, Mapping[str, WeatherLeft]]


def measure(
    video: Video,
    methods: Mapping[str, FuseVideo],
    *,
    weathers: Sequence[str] = (),
    severity: float = SEVERITY,
    sheet: Path | None = None,
) -> Measured:
    """Measure gain, flicker and weather on one video.

    Args:
        video: The video.
        methods: What to compare, by name; the picture shows the first two.
        weathers: Keys of `WEATHERS`: what to let fall before the visible camera, one by one.
        severity: How hard it falls, 0 to 1.
        sheet: Where to draw a picture of it.

    Raises:
        OSError: The picture cannot be written.
    """
    cases = ("as filmed",) if video.has_counts else CASES
    gain = {case: measure_gain(video, case) for case in cases}
    fused = {name: fuse(video) for name, fuse in methods.items()}
    resting = static_pixels(video)
    flicker = {name: measure_flicker(video, f, resting) for name, f in fused.items()}
    left: dict[str, dict[str, WeatherLeft]] = {}
    shown: dict[str, tuple[Video, str, FusedVideo]] = {}
    for kind in weathers:
        wet = with_weather(video, kind, severity=severity)
        left[kind] = {}
        for name, fuse in methods.items():
            result = fuse(wet)
            left[kind][name] = measure_weather(video, fused[name], wet, result)
            shown.setdefault(kind, (wet, name, result))
    if sheet is not None:
        picture = draw_sheet(video, {name: fused[name] for name in list(fused)[:2]}, shown)
        sheet.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(sheet), picture[:, :, ::-1]):
            raise OSError(f"{sheet}: cannot be written")
    return Measured(video.name, len(video), gain, flicker, left)
