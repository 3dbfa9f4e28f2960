"""Counts, rates and latencies of the last seconds."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic

WINDOW_S = 10.0
"""Rates and latencies are those of the last ten seconds."""

_MAX_EVENTS = 4096


class Statistics:
    """Counts events and keeps recent durations; for use from several threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Start at nothing; ``clock`` gives seconds that never jump."""
        self._clock = clock
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        self._began = self._clock()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, deque[float]] = {}
        self._durations: dict[str, deque[tuple[float, float]]] = {}

    def count(self, event: str, times: int = 1) -> None:
        """Note that ``event`` has happened, so many times."""
        now = self._clock()
        with self._lock:
            self._counts[event] += times
            kept = self._times.setdefault(event, deque(maxlen=_MAX_EVENTS))
            kept.extend([now] * times)

    def add(self, name: str, seconds: float) -> None:
        """Note a duration, such as a stage's or a frame's way through all of them."""
        with self._lock:
            kept = self._durations.setdefault(name, deque(maxlen=_MAX_EVENTS))
            kept.append((self._clock(), seconds))

    def total(self, event: str) -> int:
        """How often ``event`` has happened."""
        with self._lock:
            return self._counts[event]

    def recent(self, event: str) -> int:
        """How often it has happened in the last ``WINDOW_S`` seconds."""
        since = self._clock() - WINDOW_S
        with self._lock:
            return sum(t >= since for t in self._times.get(event, ()))

    def rate(self, event: str) -> float:
        """Events per second over the last ``WINDOW_S`` seconds, or since the start."""
        return self.recent(event) / min(WINDOW_S, max(self._clock() - self._began, 1.0))

    def milliseconds(self, name: str, *quantiles: float) -> tuple[float | None, ...]:
        """Quantiles (0..1) of the recent durations, in milliseconds; ``None`` without any."""
        since = self._clock() - WINDOW_S
        with self._lock:
            recent = sorted(s for t, s in self._durations.get(name, ()) if t >= since)
        if not recent:
            return (None,) * len(quantiles)
        last = len(recent) - 1
        return tuple(1000 * recent[min(last, int(q * len(recent)))] for q in quantiles)
