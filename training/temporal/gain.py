"""How much the mapping of thermal counts changes from frame to frame, steadily and otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.arrays import FloatImage
from training.temporal.video import Video

CASES = ("as filmed", "drift", "hot object")
"""What `make_counts` makes of a video."""
ZERO_GREY = 29000.0
"""Counts of 8-bit black: 290 K of a centikelvin camera."""
PER_GREY = 12.0
"""Counts of a grey level: 0 to 255 becomes 17 to 47 degrees Celsius."""
NOISE = 4.0
"""Counts; a usual camera's 40 mK."""
DRIFT = 5.0
"""Counts a frame by which the sensor's own temperature raises the counts: 1.5 K a second."""
WANDER = 0.01
"""Standard deviation of the sensor's gain, about 1 and the frame's mean, anew in every frame."""
HOT = 35000.0
"""Counts of a hot object: 77 degrees Celsius, an exhaust or an oven's door."""

Counts = NDArray[np.uint16]


@dataclass(frozen=True)
class GainSteps:
    """The largest and the mean change of a mapping from a frame to the next.

    Attributes:
        window_largest: Of the window's ends (the counts that become black and white), in widths.
        window_mean: The same, mean over the frames.
        brightness_largest: Of the mapped image's mean, in grey levels of 8 bits, where no hot
            object is in any frame.
        brightness_mean: The same, mean over the frames.
    """

    window_largest: float
    window_mean: float
    brightness_largest: float
    brightness_mean: float


def measure_gain(video: Video, case: str, *, seed: int = 0) -> dict[str, GainSteps]:
    """Measure what the gain control does to a video, beside taking each frame by itself.

    Args:
        video: 16-bit frames are taken as they are; of 8-bit ones counts are made.
        case: One of `CASES`.
        seed: Of the noise.

    Returns:
        ``steady``: as the node maps a camera's frames; ``each frame``: each by itself; ``fixed``:
        the first frame's window for all, which shows what the scene does by itself.
    """
    counts, background = make_counts(video, case, seed=seed)
    size = (counts[0].shape[1], counts[0].shape[0])
    steps = {}
    for name, steady in (("steady", True), ("each frame", False)):
        fuser = Fuser(_NoEngine(), steady=steady)
        mapped = [fuser.thermal_alone(frame, size)[0] for frame in counts]
        windows = [_window(*both) for both in zip(counts, mapped, strict=True)]
        steps[name] = _steps(windows, mapped, background)
    low, high = windows[0]  # which the first frame had in both
    fixed = [np.clip((np.float32(f) - low) / (high - low), 0, 1) for f in counts]
    steps["fixed"] = _steps([(low, high)] * len(fixed), fixed, background)
    return steps


def make_counts(
    video: Video, case: str, *, seed: int = 0
) -> tuple[list[Counts], NDArray[np.bool_]]:
    """Counts as a radiometric camera of the same scene would give them.

    ``as filmed``: 29000 + 12 g + n for an 8-bit frame g, n Gaussian noise of 4 counts; ``drift``:
    beside it all counts rise by 5 a frame and the sensor's gain wanders by 1 % about
    the frame's mean; ``hot object``: a disc of 77 degrees Celsius, a seventh of the image's width
    across, comes in from the left after a quarter of the video and crosses the image.

    Returns:
        H W each, and where no hot object comes, H W.
    """
    if case not in CASES:
        raise ValueError(f"case: expected one of {CASES}, found {case!r}")
    rng = np.random.default_rng(seed)
    height, width = video.thermal[0].shape
    radius, arrives = max(1, width // 14), len(video) // 4
    covered = np.zeros((height, width), np.uint8)
    counts = []
    for number, frame in enumerate(video.thermal):
        heat = np.float32(frame)
        if not video.has_counts:
            heat = ZERO_GREY + PER_GREY * heat + NOISE * rng.standard_normal(heat.shape, np.float32)
        if case == "drift":
            middle = float(heat.mean())
            heat = middle + (heat - middle) * rng.normal(1, WANDER) + DRIFT * number
        if case == "hot object" and number >= arrives:
            done = (number - arrives) / max(1, len(video) - arrives)
            disc = np.zeros_like(covered)
            where = (round(-radius + done * (width + 2 * radius)), height // 3)
            cv2.circle(disc, where, radius, 1, cv2.FILLED)
            hot = max(HOT, float(heat.max()) + 1000) if video.has_counts else HOT
            heat = np.where(disc > 0, hot, heat)
            covered |= disc
        counts.append(np.clip(np.rint(heat), 0, 65535).astype(np.uint16))
    return counts, covered == 0


def _window(counts: Counts, mapped: FloatImage) -> tuple[float, float]:
    """The counts that became 0 and 1, from what the mapping did: a line where it is not clipped."""
    inside = (mapped > 0) & (mapped < 1)
    slope, offset = np.polyfit(counts[inside].astype(np.float64), mapped[inside], 1)
    return float(-offset / slope), float((1 - offset) / slope)


def _steps(
    windows: Sequence[tuple[float, float]],
    mapped: Sequence[FloatImage],
    background: NDArray[np.bool_],
) -> GainSteps:
    ends = np.array(windows)
    moves = np.abs(np.diff(ends, axis=0)).max(1) / np.diff(ends, axis=1)[:-1, 0]
    brightness = np.abs(np.diff([255 * float(m[background].mean()) for m in mapped]))
    return GainSteps(
        float(moves.max()), float(moves.mean()), float(brightness.max()), float(brightness.mean())
    )


class _NoEngine:
    """Stands where the network would: the gain is before it."""

    name, device, precision = "none", "cpu", "fp32"

    def fuse(self, visible: FloatImage, thermal: FloatImage) -> FloatImage:
        raise NotImplementedError
