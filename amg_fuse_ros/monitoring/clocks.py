"""How far apart the clocks of two cameras are, as far as arrivals tell."""

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from amg_fuse_ros.monitoring.statistics import WINDOW_S

_MAX_IMAGES = 2048


class ClockOffset:
    """Estimates how much the thermal camera's stamps are behind the RGB camera's.

    Each image's arrival minus its stamp is its clock's distance from ours plus the way's delay; the
    smallest over a window has the least delay in it. The difference of the cameras' smallest is the
    distance of their clocks, plus the difference of their shortest delays (exposure, readout,
    driver), which no stamp tells. For use from several threads.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Start without images; ``clock`` gives seconds that never jump."""
        self._clock = clock
        self._lock = threading.Lock()
        self._ages: dict[str, deque[tuple[float, float]]] = {
            name: deque(maxlen=_MAX_IMAGES) for name in ("thermal", "rgb")
        }

    def note(self, camera: str, stamp_ns: int) -> None:
        """An image of ``"thermal"`` or ``"rgb"`` with this stamp arrived now."""
        now = self._clock()
        with self._lock:
            self._ages[camera].append((now, now - stamp_ns / 1e9))

    def forget(self) -> None:
        """Time jumped: what came before says nothing any more."""
        with self._lock:
            for ages in self._ages.values():
                ages.clear()

    @property
    def milliseconds(self) -> float | None:
        """What has to be added to the thermal stamps (``sync.thermal_offset_ms``).

        ``None`` while one of the cameras has sent nothing in the last ten seconds.
        """
        since = self._clock() - WINDOW_S
        with self._lock:
            least = [
                min((age for at, age in ages if at >= since), default=None)
                for ages in self._ages.values()
            ]
        thermal, rgb = least
        return None if thermal is None or rgb is None else 1000 * (thermal - rgb)
