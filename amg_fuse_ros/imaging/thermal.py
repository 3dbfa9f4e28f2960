"""Thermal counts to the network's range, steadily from frame to frame.

A 16-bit camera's counts fill a small part of their range, and which part changes with the scene.
A window of counts is stretched to [0, 1]. Where it is taken anew from every frame, all of the
picture flickers whenever something hot comes in; so it follows the scene slowly and not at all
while the scene stays within its bounds.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.imaging.arrays import ByteImage, FloatImage
from amg_fuse_ros.imaging.dead_pixels import DeadPixels

CountImage = NDArray[np.uint16]
ThermalImage = ByteImage | CountImage

GAINS = ("percentile", "equalize", "range")
POLARITIES = ("white_hot", "black_hot")

MIN_WINDOW = 64.0
"""Counts; a scene of one temperature is not stretched until its noise fills the picture."""
ZERO_CELSIUS = 273.15

_COUNTS = 1 << 16
_FOLLOW = 0.2
"""Part of the way to the frame's own window that the window moves in a frame."""
_START, _STOP = 0.03, 0.005
"""Distances, in widths of the window, from which it begins to move and at which it rests."""
_FLAT = 0.05
"""A frame whose counts spread over less of the window shows the camera's shutter, or nothing."""
_HOLD = 60
"""Frames; what stays flat for longer is taken for the scene."""
_BINS = 256
_PLATEAU = 3.0
"""Steepest stretch of equalisation, in multiples of the plain one."""


@dataclass(frozen=True)
class GainSettings:
    """How counts are mapped. 8-bit images have been through their camera's gain control."""

    gain: str = "percentile"
    """``percentile``: the window between two percentiles. ``equalize``: that window with more
    contrast where most pixels are (plateau equalisation). ``range``: fixed temperatures."""
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    range_low_c: float = -10.0
    """Degrees Celsius that become 0 with the gain ``range``; radiometric cameras only."""
    range_high_c: float = 50.0
    counts_per_kelvin: float = 100.0
    """100 for centikelvin, 25 for steps of 0.04 K; counts are taken to start at 0 K."""
    polarity: str = "white_hot"
    """``black_hot`` turns the image over, 8-bit ones included: the network knows hot as bright."""
    adaptation: float = 0.02
    """Largest move of the window's ends from a frame to the next, in widths of the window."""
    repair_pixels: bool = True
    """Replace dead pixels by the median of their neighbours."""

    def __post_init__(self) -> None:
        if self.gain not in GAINS:
            raise ValueError(f"thermal.gain: expected one of {GAINS}, found {self.gain!r}")
        if self.polarity not in POLARITIES:
            raise ValueError(
                f"thermal.polarity: expected one of {POLARITIES}, found {self.polarity!r}"
            )
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError(
                "expected 0 <= thermal.low_percentile < thermal.high_percentile <= 100, found "
                f"{self.low_percentile} and {self.high_percentile}"
            )
        if not -ZERO_CELSIUS <= self.range_low_c < self.range_high_c:
            raise ValueError(
                f"expected {-ZERO_CELSIUS} <= thermal.range_low_c < thermal.range_high_c, found "
                f"{self.range_low_c} and {self.range_high_c}"
            )
        if not self.counts_per_kelvin > 0:
            raise ValueError(
                f"thermal.counts_per_kelvin: expected more than 0, found {self.counts_per_kelvin}"
            )
        if not 0 < self.adaptation <= 1:
            raise ValueError(
                f"thermal.adaptation: expected more than 0 and at most 1, found {self.adaptation}"
            )

    @property
    def range_counts(self) -> tuple[float, float]:
        """The fixed temperatures in counts."""
        low, high = (
            (celsius + ZERO_CELSIUS) * self.counts_per_kelvin
            for celsius in (self.range_low_c, self.range_high_c)
        )
        return low, high


class ThermalGain:
    """The gain control of one camera: frames in the order they came.

    A first frame gets its own window. From then on the window's ends move by at most
    ``adaptation`` of its width a frame, and rest until the frames' own window is 3 % of the width
    away. Where nothing of a frame lies within the window (another camera, a bag's loop) it begins
    anew. While the camera shows its shutter, the window waits.
    """

    def __init__(self, settings: GainSettings | None = None) -> None:
        self.settings = settings or GainSettings()
        self._dead = DeadPixels()
        self.reset()

    @property
    def window(self) -> tuple[float, float] | None:
        """The counts that become 0 and 1; ``None`` before the first 16-bit frame."""
        return self._window

    @property
    def dead_pixels(self) -> int:
        """How many pixels are being replaced."""
        return self._dead.count

    def reset(self) -> None:
        """Forget the frames so far."""
        self._window: tuple[float, float] | None = None
        self._curve: NDArray[np.float32] | None = None
        self._moving = False
        self._flat = 0
        self._dead.reset()

    def __call__(self, thermal: ThermalImage) -> FloatImage:
        """Map the next frame to [0, 1].

        Args:
            thermal: H W, uint8 or uint16 (counts).

        Returns:
            H W, float32 in [0, 1], hot is bright.
        """
        if self.settings.repair_pixels:
            thermal = self._dead.repair(thermal)
        return self._to_unit_range(thermal)

    def _to_unit_range(self, thermal: ThermalImage) -> FloatImage:
        if thermal.dtype == np.uint8:
            unit = np.divide(thermal, np.float32(255), dtype=np.float32)
        else:
            unit = self._map(thermal.astype(np.uint16, copy=False))
        if self.settings.polarity == "black_hot":
            np.subtract(np.float32(1), unit, out=unit)
        return unit

    def _map(self, counts: CountImage) -> FloatImage:
        if self.settings.gain == "range":
            self._window = self.settings.range_counts
            return _stretch(counts, *self._window)
        histogram = cv2.calcHist([counts], [0], None, [_COUNTS], [0, _COUNTS]).ravel()
        cumulative = np.cumsum(histogram, dtype=np.float64)
        self._follow(_percentile_window(cumulative, self.settings))
        assert self._window is not None
        if self.settings.gain == "percentile":
            return _stretch(counts, *self._window)
        return self._equalized(counts, cumulative, *self._window)

    def _follow(self, own: tuple[float, float]) -> None:
        """Move the window towards the frame's own, ``own``."""
        window = self._window
        if window is None:
            self._window = _at_least_min_window(*own)
            return
        width = window[1] - window[0]
        self._flat = self._flat + 1 if own[1] - own[0] < _FLAT * width else 0
        if 0 < self._flat <= _HOLD:
            return
        own = _at_least_min_window(*own)
        if own[0] >= window[1] or own[1] <= window[0]:
            self._window, self._curve, self._moving = own, None, False
            return
        distance = max(abs(own[0] - window[0]), abs(own[1] - window[1])) / width
        self._moving = distance > (_STOP if self._moving else _START)
        if self._moving:
            most = self.settings.adaptation * width
            follow = max(_FOLLOW, self.settings.adaptation)
            low, high = (
                end + min(max(follow * (goal - end), -most), most)
                for end, goal in zip(window, own, strict=True)
            )
            self._window = (low, high)

    def _equalized(
        self, counts: CountImage, cumulative: NDArray[np.float64], low: float, high: float
    ) -> FloatImage:
        # Each bin as high as it is or as the plateau, half of a plain stretch for all: details of
        # the rare temperatures stay to be seen.
        edges = np.linspace(low, high, _BINS + 1)
        below = np.interp(edges, np.arange(_COUNTS + 1), np.concatenate(([0.0], cumulative)))
        share = np.diff(below) / max(below[-1] - below[0], 1.0)
        share = (np.minimum(share * _BINS, _PLATEAU * 2 - 1) + 1) / 2
        curve = np.concatenate(([0.0], np.cumsum(share / share.sum()))).astype(np.float32)
        if self._curve is not None:
            most = self.settings.adaptation
            curve = self._curve + np.clip(_FOLLOW * (curve - self._curve), -most, most)
        self._curve = curve
        table = np.zeros(_COUNTS, np.float32)
        first, last = int(np.ceil(max(low, 0.0))), int(np.ceil(min(high, _COUNTS)))
        table[first:last] = np.interp(np.arange(first, last), edges, curve)
        table[last:] = 1
        return table.take(counts)


def to_unit_range(thermal: ThermalImage, settings: GainSettings | None = None) -> FloatImage:
    """Map one image by itself to [0, 1], for pictures that are no sequence.

    Dead pixels stay: one image does not show which they are.

    Args:
        thermal: H W, uint8 or uint16.
        settings: How; the defaults when None.

    Returns:
        H W, float32 in [0, 1].
    """
    return ThermalGain(settings)._to_unit_range(thermal)


def _percentile_window(
    cumulative: NDArray[np.float64], settings: GainSettings
) -> tuple[float, float]:
    total = cumulative[-1]
    low, high = (
        float(np.searchsorted(cumulative, total * percentile / 100))
        for percentile in (settings.low_percentile, settings.high_percentile)
    )
    return low, min(high, _COUNTS - 1.0)


def _at_least_min_window(low: float, high: float) -> tuple[float, float]:
    if high - low < MIN_WINDOW:
        middle = (low + high) / 2
        low, high = middle - MIN_WINDOW / 2, middle + MIN_WINDOW / 2
    return low, high


def _stretch(counts: CountImage, low: float, high: float) -> FloatImage:
    unit = counts.astype(np.float32)
    unit -= np.float32(low)
    unit *= np.float32(1 / (high - low))
    return np.clip(unit, 0, 1, out=unit)
