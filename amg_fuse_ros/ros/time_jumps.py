"""Stamps that go back: which stream started over, and what waits in vain because of it."""

from typing import Any

from amg_fuse_ros.monitoring.stream import TIME_JUMP_NS

THERMAL, RGB = 0, 1
NANOSECONDS = 1_000_000_000
CREDIBLE_AGE_S = (-0.5, 60.0)


def stamp_ns_of(message: Any, offset_s: float = 0.0) -> int:
    """The stamp in a message's header in nanoseconds, moved by ``offset_s``."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec) + round(offset_s * NANOSECONDS)


def age_s_of(stamp_ns: int, now_ns: int) -> float | None:
    """How long ago a stamp was, seconds.

    ``None`` where that says that the stamp is of another clock (a bag without /clock), not that it
    took so long: below ``CREDIBLE_AGE_S`` or above.
    """
    age_s = (now_ns - stamp_ns) / NANOSECONDS
    return age_s if CREDIBLE_AGE_S[0] < age_s < CREDIBLE_AGE_S[1] else None


class TimeJumps:
    """Notices when one of two streams starts over, as they do when a bag loops.

    Attributes:
        count: How often that was. A jump that both streams make one after the other counts once.
    """

    def __init__(self) -> None:
        self.count = 0
        self._latest: list[int | None] = [None, None]
        self._still_to_jump: int | None = None

    def forget(self) -> None:
        """Forget the stamps seen; the count stays."""
        self._latest = [None, None]
        self._still_to_jump = None

    def both_agree(self) -> None:
        """A pair was found: both streams are in the same time."""
        self._still_to_jump = None

    def note(self, stream: int, stamp_ns: int) -> tuple[int, ...]:
        """An image of ``THERMAL`` or ``RGB`` came.

        Returns:
            The streams whose waiting images are of a time that is over: none but after a jump.
        """
        latest = self._latest[stream]
        if latest is None or stamp_ns >= latest - TIME_JUMP_NS:
            self._latest[stream] = stamp_ns if latest is None else max(stamp_ns, latest)
            return ()
        self._latest[stream] = stamp_ns
        if self._still_to_jump == stream:
            # The other stream went first: what waits there is of the new time already.
            self._still_to_jump = None
            return (stream,)
        self._still_to_jump = 1 - stream
        self.count += 1
        return (stream, 1 - stream)
