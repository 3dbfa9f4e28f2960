"""Pairs the thermal and the RGB stream by stamp.

Pairing follows ``message_filters.ApproximateTimeSynchronizer``: an arriving image is paired at once
with the nearest image that waits in the other stream, if their stamps are at most the slop apart;
otherwise it waits, and when more than the queue wait, the oldest stamp leaves. It does not look
ahead: with a slop above half the faster camera's period, an image may be paired with a neighbour
of its best partner because the neighbour came first.

That class is used where it is installed, else a small one of the same behaviour. `PairSynchronizer`
adds to either what users miss:

- Images that leave without a partner are counted (ros_comm #1059, message_filters #82).
- When time jumps back (a bag starts over, a clock is set), what waits is dropped and pairing goes
  on. Otherwise images stamped later than everything to come hold the queues (ros_comm #1308).
- A slop of 0 pairs equal stamps.
- An exception in the callback leaves the synchronizer usable, and the callback may reset it.

A synchronizer belongs to one thread: call it from the executor thread that takes the images (one
mutually exclusive callback group).
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from sensor_msgs.msg import Image

try:
    from message_filters import ApproximateTimeSynchronizer, SimpleFilter
    from rclpy.duration import Duration
except ImportError:
    SYNCHRONIZER = "own"
else:
    SYNCHRONIZER = "message_filters"
"""Which implementation pairs here by default: ``"message_filters"`` or ``"own"``."""

TIME_JUMP_S = 0.5
"""A stream whose stamps go back by more than this started over; by less, it is out of order."""

_THERMAL, _RGB = 0, 1
_NANOSECONDS = 1_000_000_000


class Matcher(Protocol):
    """Lets images wait in two queues and takes out pairs; knows nothing of clocks and counts."""

    @property
    def queues(self) -> Sequence[dict[int, Image]]:
        """The waiting images of each stream by stamp in nanoseconds, to be changed in place."""

    def configure(self, slop_ns: int, queue: int) -> None:
        """Sets the greatest distance of a pair (inclusive) and the length of each queue."""

    def match(self, stream: int, stamp_ns: int, message: Image) -> tuple[Image, Image] | None:
        """Adds an image and returns the pair that it completes, first stream first."""


class PairSynchronizer:
    """Calls back with each pair of images whose stamps are close enough.

    Attributes:
        pairs: Pairs called back with.
        time_jumps: How often stamps went back by more than `TIME_JUMP_S`. A jump that both streams
            make one after the other, as when a bag starts over, counts once.
    """

    def __init__(
        self,
        on_pair: Callable[[Image, Image], None],
        *,
        slop_s: float,
        queue: int,
        matcher: Matcher,
    ) -> None:
        self.pairs = 0
        self.time_jumps = 0
        self._on_pair = on_pair
        self._matcher = matcher
        self._received = [0, 0]
        self._latest: list[int | None] = [None, None]
        self._still_to_jump: int | None = None
        self._slop_ns, self._queue = 0, 1
        self.slop_s = slop_s
        self.queue = queue

    @property
    def slop_s(self) -> float:
        """Most seconds between the stamps of a pair, inclusive; may be set at any time."""
        return self._slop_ns / _NANOSECONDS

    @slop_s.setter
    def slop_s(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"The slop has to be 0 or more seconds; got {seconds}.")
        self._slop_ns = round(seconds * _NANOSECONDS)
        self._matcher.configure(self._slop_ns, self._queue)

    @property
    def queue(self) -> int:
        """Most images that wait in each stream; may be set at any time."""
        return self._queue

    @queue.setter
    def queue(self, images: int) -> None:
        if images < 1:
            raise ValueError(f"The queue has to hold 1 or more images; got {images}.")
        self._queue = images
        for waiting in self._matcher.queues:
            _drop_oldest(waiting, down_to=images)
        self._matcher.configure(self._slop_ns, self._queue)

    @property
    def unpaired_thermal(self) -> int:
        """Thermal images that left without a partner; those that wait are not among them."""
        return self._unpaired(_THERMAL)

    @property
    def unpaired_rgb(self) -> int:
        """RGB images that left without a partner; those that wait are not among them."""
        return self._unpaired(_RGB)

    def add_thermal(self, message: Image) -> None:
        """Takes a thermal image; one with a negative stamp leaves at once, unpaired."""
        self._add(_THERMAL, message)

    def add_rgb(self, message: Image) -> None:
        """Takes an RGB image; one with a negative stamp leaves at once, unpaired."""
        self._add(_RGB, message)

    def reset(self) -> None:
        """Drops the waiting images, which count as unpaired, and forgets the stamps seen."""
        for waiting in self._matcher.queues:
            waiting.clear()
        self._latest = [None, None]
        self._still_to_jump = None

    def _add(self, stream: int, message: Image) -> None:
        stamp_ns = message.header.stamp.sec * _NANOSECONDS + message.header.stamp.nanosec
        self._received[stream] += 1
        if stamp_ns < 0:
            return  # rclpy.time.Time, which message_filters computes with, refuses it
        self._notice_time_jump(stream, stamp_ns)
        pair = self._matcher.match(stream, stamp_ns, message)
        if pair is not None:
            self.pairs += 1
            self._still_to_jump = None
            self._on_pair(*pair)

    def _notice_time_jump(self, stream: int, stamp_ns: int) -> None:
        latest = self._latest[stream]
        if latest is None or stamp_ns >= latest - TIME_JUMP_S * _NANOSECONDS:
            self._latest[stream] = stamp_ns if latest is None else max(stamp_ns, latest)
            return
        self._latest[stream] = stamp_ns
        self._matcher.queues[stream].clear()
        if self._still_to_jump == stream:
            # The other stream went first: what waits there is of the new time already.
            self._still_to_jump = None
        else:
            self._matcher.queues[1 - stream].clear()
            self._still_to_jump = 1 - stream
            self.time_jumps += 1

    def _unpaired(self, stream: int) -> int:
        return self._received[stream] - self.pairs - len(self._matcher.queues[stream])


class _OwnMatcher:
    """What `ApproximateTimeSynchronizer` does with two streams."""

    def __init__(self) -> None:
        self.queues: tuple[dict[int, Image], dict[int, Image]] = ({}, {})

    def configure(self, slop_ns: int, queue: int) -> None:
        self._slop_ns, self._queue = slop_ns, queue

    def match(self, stream: int, stamp_ns: int, message: Image) -> tuple[Image, Image] | None:
        waiting, others = self.queues[stream], self.queues[1 - stream]
        waiting[stamp_ns] = message
        _drop_oldest(waiting, down_to=self._queue)
        partner = min(others, key=lambda other: abs(other - stamp_ns), default=None)
        if (
            partner is None
            or abs(partner - stamp_ns) > self._slop_ns
            or stamp_ns not in waiting  # older than all of a full queue
        ):
            return None
        pair = waiting.pop(stamp_ns), others.pop(partner)
        return pair if stream == 0 else pair[::-1]


class _MessageFiltersMatcher:
    """Drives `ApproximateTimeSynchronizer` by hand; the node owns the subscriptions.

    The filter calls back under a lock, which it never gives back when the callback raises, so the
    pair is handed on only after it has returned.
    """

    def __init__(self) -> None:
        self._inputs = (SimpleFilter(), SimpleFilter())
        self._filter = ApproximateTimeSynchronizer(self._inputs, queue_size=1, slop=0.0)
        self._filter.registerCallback(self._keep)
        self._kept: tuple[Image, Image] | None = None

    @property
    def queues(self) -> Sequence[dict[int, Image]]:
        return self._filter.queues

    def configure(self, slop_ns: int, queue: int) -> None:
        # The filter pairs below its slop, not at it.
        self._filter.slop = Duration(nanoseconds=slop_ns + 1)
        self._filter.queue_size = queue

    def match(
        self,
        stream: int,
        stamp_ns: int,  # noqa: ARG002  (the filter reads the message's)
        message: Image,
    ) -> tuple[Image, Image] | None:
        self._inputs[stream].signalMessage(message)
        kept, self._kept = self._kept, None
        return kept

    def _keep(self, first: Image, second: Image) -> None:
        self._kept = (first, second)


def make_synchronizer(
    on_pair: Callable[[Image, Image], None],
    *,
    slop_s: float,
    queue: int,
    implementation: str = SYNCHRONIZER,
) -> PairSynchronizer:
    """A synchronizer of the given implementation, by default the one chosen at import.

    Args:
        on_pair: Called with the thermal and the RGB image of each pair, from within the call that
            added the later one.
        slop_s: Most seconds between the two stamps, inclusive.
        queue: Most images that wait in each stream.
        implementation: ``"message_filters"`` or ``"own"``.

    Raises:
        ValueError: ``slop_s`` is negative or not finite, ``queue`` is less than 1, or there is no
            such implementation.
        ImportError: ``message_filters`` is asked for and not installed.
    """
    matcher: Matcher
    if implementation == "own":
        matcher = _OwnMatcher()
    elif implementation != "message_filters":
        raise ValueError(f"No synchronizer {implementation!r}; there are message_filters and own.")
    elif SYNCHRONIZER != "message_filters":
        raise ImportError(
            "message_filters is not installed (the package ros-<distro>-message-filters has it);"
            " the synchronizer 'own' works without it."
        )
    else:
        matcher = _MessageFiltersMatcher()
    return PairSynchronizer(on_pair, slop_s=slop_s, queue=queue, matcher=matcher)


def _drop_oldest(waiting: dict[int, Image], *, down_to: int) -> None:
    while len(waiting) > down_to:
        del waiting[min(waiting)]
