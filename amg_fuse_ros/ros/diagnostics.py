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
        """Events per second over the last ``WINDOW_S`` seconds."""
        since = monotonic() - WINDOW_S
        with self._lock:
            recent = sum(t >= since for t in self._times.get(event, ()))
        return recent / WINDOW_S

    def latency_ms(self, quantile: float) -> float | None:
        """A quantile (0..1) of the recent latencies in milliseconds; ``None`` without any."""
        since = monotonic() - WINDOW_S
        with self._lock:
            recent = sorted(s for t, s in self._latencies if t >= since)
        if not recent:
            return None
        return 1000 * recent[min(len(recent) - 1, int(quantile * len(recent)))]


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
