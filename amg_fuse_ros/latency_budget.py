"""Chooses the size at which pairs are fused, so that their latency stays within a budget."""

import math
from collections import deque
from collections.abc import Sequence
from statistics import median

STEPS = (1.0, 3 / 4, 1 / 2, 3 / 8)
"""The sizes that are tried, as fractions of the largest side allowed."""

SMALLEST_SCALE = 0.05
"""No scale is below this, whatever the steps say; a fuser takes none."""

WINDOW = 40
"""Frames from which p95 is taken, and the fewest between a change and going up."""

MISSES = 3
"""So many frames over the budget among the last ``WINDOW`` put p95 over it (2 are 5 %)."""

SETTLING = 2
"""Frames after a change that say nothing: one waited behind a frame of the old size, and where
engines are built for a resolution, one waited for the build and the next one for that."""

AIM = 0.9
"""Going down, p95 is to come below this fraction of the budget."""

COMFORT = 0.8
"""Going up, p95 must be expected below this fraction of it."""

MOST_DOUBLINGS = 6
"""A size that failed is tried again after twice the time, but no later than after
``WINDOW * 2**6`` frames."""

PROVEN = 10 * WINDOW
"""A size that was kept for so many frames has lived down earlier failures."""


class LatencyBudget:
    """Says at which scale the next pair is to be fused, given how long each one took.

    Latency is taken as a constant plus something linear in pixels. How much of it is constant
    is learned whenever the scale changes; how fast the engine is at the moment, from the last
    frames. Three frames over the budget make it go down, as far as that expects to be needed. It
    goes up one step at a time, when the larger size would have been comfortable for a while; a
    size that failed is tried again ever more rarely.

    One thread may change it; others may read its properties at the same time.
    """

    _step: int
    _settling: int
    _stayed: int
    _shown_ms: float | None
    _before: tuple[float, float] | None
    """Scale and latency in ms in front of the last change, until it has been learned from."""

    def __init__(
        self, budget_ms: float, steps: Sequence[float] = STEPS, *, largest: float = 1.0
    ) -> None:
        """Begin at the largest scale.

        Args:
            budget_ms: Milliseconds that p95 of the latency shall stay under; 0 is no budget:
                the scale is ``largest``.
            steps: Fractions of ``largest``, descending, in (0, 1].
            largest: Scale that is not exceeded, as a fraction of the RGB side, in (0, 1].

        Raises:
            ValueError: If the budget is negative or the steps do not descend within (0, 1].
        """
        if not steps or list(steps) != sorted(set(steps), reverse=True):
            raise ValueError(f"expected steps that descend, found {tuple(steps)}")
        if not (steps[-1] > 0 and steps[0] <= 1):
            raise ValueError(f"expected steps above 0 and up to 1, found {tuple(steps)}")
        self._steps = tuple(steps)
        self._constant: float | None = None
        self._budget_ms = 0.0
        self._scales: tuple[float, ...] = ()
        self.largest = largest
        self.budget_ms = budget_ms

    @property
    def budget_ms(self) -> float:
        """The budget in milliseconds, 0 for none; another one begins at the largest scale."""
        return self._budget_ms

    @budget_ms.setter
    def budget_ms(self, value: float) -> None:
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"latency budget: expected 0 (none) or milliseconds, found {value}")
        if value != self._budget_ms:
            self._budget_ms = value
            self._restart()

    @property
    def largest(self) -> float:
        """The scale that is not exceeded; another one begins there."""
        return self._scales[0]

    @largest.setter
    def largest(self, value: float) -> None:
        if not 0 < value <= 1:
            raise ValueError(f"largest scale: expected above 0 and up to 1, found {value}")
        scales = (max(SMALLEST_SCALE, value * step) for step in self._steps)
        found = tuple(dict.fromkeys(scales))
        if found != self._scales:
            self._scales = found
            self._restart()

    @property
    def scale(self) -> float:
        """The scale for the next pair."""
        return self._scales[self._step]

    @property
    def exceeded(self) -> bool:
        """Whether even the smallest scale misses the budget."""
        return self._exceeded

    @property
    def p95_ms(self) -> float | None:
        """p95 of the last frames at this scale, by nearest rank; ``None`` right after a change."""
        return self._shown_ms

    @property
    def words(self) -> str:
        """How it stands, for people; empty without a budget."""
        if not self._budget_ms:
            return ""
        shown = self._shown_ms
        p95 = "not known yet" if shown is None else f"{shown:.0f} ms"
        found = f"budget {self.budget_ms:g} ms, scale {self.scale:g}, p95 {p95}"
        if self._exceeded:
            found += "; missed at the smallest scale: a faster engine or a larger budget is needed"
        return found

    def expected_ms(self, scale: float) -> float | None:
        """p95 that another scale would have now; ``None`` right after a change."""
        return self._p95() * self._growth(scale) if self._recent else None

    def add(self, seconds: float, scale: float) -> float:
        """Learn from a frame.

        Args:
            seconds: From the newest input's arrival to publishing. What is no number or negative
                is left out: a clock was set.
            scale: At which it was fused. A frame of another scale than the present one was
                begun before the change, and says nothing.

        Returns:
            The scale for the next pair.
        """
        usable = math.isfinite(seconds) and seconds >= 0
        if not self._budget_ms or not usable or not math.isclose(scale, self.scale):
            return self.scale
        if self._settling:
            self._settling -= 1
            return self.scale
        self._recent.append(1000 * seconds)
        self._stayed += 1
        self._learn()
        if self._stayed >= PROVEN:
            self._failures.pop(self._step, None)
        if sum(ms > self._budget_ms for ms in self._recent) >= MISSES:
            self._go_down()
        elif len(self._recent) == WINDOW:
            self._exceeded = False
            self._go_up()
        self._shown_ms = self._p95() if self._recent else None
        return self.scale

    def _go_down(self) -> None:
        last = len(self._scales) - 1
        if self._step == last:
            self._exceeded = True
            return
        if self._climbed:
            failures = self._failures.get(self._step, 0)
            self._failures[self._step] = min(failures + 1, MOST_DOUBLINGS)
        aim = AIM * self._budget_ms / self._p95()
        smaller = range(self._step + 1, last)
        self._change(next((s for s in smaller if self._growth(self._scales[s]) <= aim), last))

    def _go_up(self) -> None:
        larger = self._step - 1
        if larger < 0 or self._stayed < WINDOW * 2 ** self._failures.get(larger, 0):
            return
        if self._p95() * self._growth(self._scales[larger]) <= COMFORT * self._budget_ms:
            self._change(larger)

    def _change(self, step: int) -> None:
        # The pace of the frames that led to the change, not of the calm before them.
        self._before = (self.scale, median(list(self._recent)[-MISSES:]))
        self._climbed = step < self._step
        self._step = step
        self._begin_window()

    def _restart(self) -> None:
        self._step = 0
        self._climbed = False
        self._before = None
        self._failures: dict[int, int] = {}
        self._begin_window()

    def _begin_window(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._shown_ms = None
        self._settling, self._stayed = SETTLING, 0
        self._exceeded = False

    def _p95(self) -> float:
        ordered = sorted(self._recent)
        return ordered[math.ceil(0.95 * len(ordered)) - 1]

    def _growth(self, scale: float) -> float:
        """How many times the present latency another scale would have."""
        return self._cost(scale) / self._cost(self.scale)

    def _cost(self, scale: float) -> float:
        """Relative to scale 1: c + (1 - c) scale^2, c the constant's share at scale 1."""
        constant = self._constant or 0.0
        return constant + (1 - constant) * scale**2

    def _learn(self) -> None:
        """Solve the ratio of the latencies before and after a change for the constant's share."""
        if self._before is None or len(self._recent) < MISSES:
            return
        scale, milliseconds = self._before
        self._before = None
        if not milliseconds:
            return
        ratio = median(self._recent) / milliseconds
        now, then = self.scale**2, scale**2
        divisor = ratio * (1 - then) - (1 - now)
        if abs(divisor) < 1e-6:
            return
        # Noise may say anything; nothing is free of pixels, or shrinks faster than they do.
        share = min(0.9, max(0.0, (now - ratio * then) / divisor))
        self._constant = share if self._constant is None else (self._constant + share) / 2
