"""Pairs every RGB image with the newest thermal one: for thermal cameras that are slower."""

from collections.abc import Callable
from typing import Any

from amg_fuse_ros.ros.time_jumps import NANOSECONDS, RGB, THERMAL, TimeJumps, stamp_ns_of


class HoldThermal:
    """Calls back with each RGB image and the newest thermal one, if that is not too old.

    It has what `amg_fuse_ros.ros.synchronizer.PairSynchronizer` has, and belongs to one thread like
    that. A thermal image serves as many RGB images as come before the next one.

    Attributes:
        pairs: Pairs called back with.
        unpaired_thermal: Thermal images that were replaced before an RGB image came.
        unpaired_rgb: RGB images for which there was no thermal image of about their time.
        limit_s: Most seconds between the stamps of the two; may be set at any time.
        offset_s: Seconds that are added to the thermal stamps; may be set at any time.
    """

    def __init__(
        self, on_pair: Callable[[Any, Any], None], *, limit_s: float, offset_s: float = 0.0
    ) -> None:
        self.pairs = self.unpaired_thermal = self.unpaired_rgb = 0
        self.limit_s = limit_s
        self.offset_s = offset_s
        self._on_pair = on_pair
        self._jumps = TimeJumps()
        self._thermal: Any = None
        self._stamp_ns = 0
        self._used = True

    @property
    def time_jumps(self) -> int:
        """How often stamps went back so far that a stream started over."""
        return self._jumps.count

    def add_thermal(self, message: Any) -> None:
        """Takes a thermal image; one that is older than the one held leaves at once."""
        stamp_ns = stamp_ns_of(message, self.offset_s)
        self._heed_jumps(THERMAL, stamp_ns)
        if self._thermal is not None and stamp_ns < self._stamp_ns:
            self.unpaired_thermal += 1
            return
        self._drop()
        self._thermal, self._stamp_ns, self._used = message, stamp_ns, False

    def add_rgb(self, message: Any) -> None:
        """Takes an RGB image, and calls back if the thermal image held is of about its time."""
        stamp_ns = stamp_ns_of(message)
        self._heed_jumps(RGB, stamp_ns)
        distance_ns = abs(stamp_ns - self._stamp_ns)
        if self._thermal is None or distance_ns > self.limit_s * NANOSECONDS:
            self.unpaired_rgb += 1
            return
        self._used = True
        self.pairs += 1
        self._jumps.both_agree()
        self._on_pair(self._thermal, message)

    def reset(self) -> None:
        """Drops the thermal image held, and forgets the stamps seen."""
        self._drop()
        self._jumps.forget()

    def _heed_jumps(self, stream: int, stamp_ns: int) -> None:
        if THERMAL in self._jumps.note(stream, stamp_ns):
            self._drop()

    def _drop(self) -> None:
        self.unpaired_thermal += not self._used
        self._thermal, self._used = None, True
