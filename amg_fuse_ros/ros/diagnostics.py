"""What the node knows about itself, as numbers and as ``diagnostic_msgs``."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from time import monotonic

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

WINDOW_S = 10.0
"""Rates and latencies are those of the last ten seconds."""

_MAX_EVENTS = 4096


class Statistics:
    """Counts events and keeps recent latencies; for use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = monotonic()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, deque[float]] = {}
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_MAX_EVENTS)

    def count(self, event: str) -> None:
        """Note that ``event`` has happened."""
        now = monotonic()
        with self._lock:
            self._counts[event] += 1
            self._times.setdefault(event, deque(maxlen=_MAX_EVENTS)).append(now)

    def add_latency(self, seconds: float) -> None:
        """Note how long a frame took from its newer image's arrival to its publication."""
        with self._lock:
            self._latencies.append((monotonic(), seconds))

    def total(self, event: str) -> int:
        """How often ``event`` has happened."""
        with self._lock:
            return self._counts[event]

    def rate(self, event: str) -> float:
        """Events per second over the last ``WINDOW_S`` seconds, or since the start."""
        now = monotonic()
        with self._lock:
            recent = sum(t >= now - WINDOW_S for t in self._times.get(event, ()))
        return recent / min(WINDOW_S, max(now - self._began, 1.0))

    def values(self) -> dict[str, object]:
        """All of it, by the names that /diagnostics shows."""
        rates = {f"{e} rate [Hz]": self.rate(e) for e in ("thermal", "rgb", "pairs", "fused")}
        totals = {e: self.total(e) for e in ("pairs", "fused", "dropped", "refused", "failed")}
        return {
            **rates,
            **totals,
            "not fused, nobody subscribes": self.total("unwatched"),
            "latency p50 [ms]": self.latency_ms(0.5),
            "latency p95 [ms]": self.latency_ms(0.95),
        }

    def latency_ms(self, quantile: float) -> float | None:
        """A quantile (0..1) of the recent latencies in milliseconds; ``None`` without any."""
        since = monotonic() - WINDOW_S
        with self._lock:
            recent = sorted(s for t, s in self._latencies if t >= since)
        if not recent:
            return None
        return 1000 * recent[min(len(recent) - 1, int(quantile * len(recent)))]


OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def assess(statistics: Statistics) -> tuple[bytes, str]:
    """Level of an active node, and one line for people, from what happened recently."""
    s = statistics
    missing = [camera for camera in ("thermal", "rgb") if s.rate(camera) == 0]
    findings = (
        (s.rate("failed") > 0, ERROR, "pairs could not be fused, see the log"),
        (s.rate("refused") > 0, ERROR, "images could not be read, see the log"),
        (bool(missing), WARN, f"no images from: {', '.join(missing)}"),
        (s.rate("pairs") == 0, WARN, "no stamps of the cameras are within sync.slop_ms"),
        (s.rate("unwatched") > 0 and s.rate("fused") == 0, OK, "nobody subscribes"),
        (s.rate("dropped") > 0, WARN, "the engine is slower than the cameras"),
    )
    return next(((level, text) for holds, level, text in findings if holds), (OK, "fusing"))


def make_diagnostics(
    *,
    stamp: Time,
    node_name: str,
    level: bytes,
    message: str,
    values: Mapping[str, object],
) -> DiagnosticArray:
    """One status of the fusion node.

    Args:
        stamp: When.
        node_name: Fully qualified, so that several cameras can be told apart.
        level: ``DiagnosticStatus.OK``, ``WARN``, ``ERROR`` or ``STALE``.
        message: One line for people.
        values: Key to value, shown as text.
    """
    status = DiagnosticStatus(
        level=level,
        name=f"{node_name}: fusion",
        message=message,
        hardware_id="amg_fuse_ros",
        values=[KeyValue(key=k, value=_text(v)) for k, v in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
