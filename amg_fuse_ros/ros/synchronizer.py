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
- Where the thermal camera's clock is wrong by a fixed time, that is added to its stamps.
- An exception in the callback leaves the synchronizer usable, and the callback may reset it.

A synchronizer belongs to one thread: call it from the executor thread that takes the images (one
mutually exclusive callback group).
"""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

from rclpy.time import Time

from amg_fuse_ros.ros.time_jumps import NANOSECONDS, RGB, THERMAL, TimeJumps, stamp_ns_of

try:
    from message_filters import ApproximateTimeSynchronizer, SimpleFilter
    from rclpy.duration import Duration
except ImportError:
    SYNCHRONIZER = "own"
else:
    SYNCHRONIZER = "message_filters"
"""Which implementation pairs here by default: ``"message_filters"`` or ``"own"``."""

Message = Any
"""Anything with a header: images, raw or compressed."""


class Matcher(Protocol):
    """Lets images wait in two queues and takes out pairs; knows nothing of clocks and counts."""

    @property
    def queues(self) -> Sequence[dict[int, Any]]:
        """The waiting images of each stream by stamp in nanoseconds, to be changed in place."""

    def configure(self, slop_ns: int, queue: int) -> None:
        """Sets the greatest distance of a pair (inclusive) and the length of each queue."""

    def match(self, stream: int, stamp_ns: int, message: Message) -> tuple[Message, Message] | None:
        """Adds an image and returns the pair that it completes, first stream first."""


class PairSynchronizer:
    """Calls back with each pair of images whose stamps are close enough.

    Attributes:
        pairs: Pairs called back with.
        offset_s: Seconds that are added to the thermal stamps; may be set at any time.
    """

    def __init__(
        self,
        on_pair: Callable[[Message, Message], None],
        *,
        slop_s: float,
        queue: int,
        matcher: Matcher,
        offset_s: float = 0.0,
    ) -> None:
        self.pairs = 0
        self.offset_s = offset_s
        self._on_pair = on_pair
        self._matcher = matcher
        self._received = [0, 0]
        self._jumps = TimeJumps()
        self._slop_ns, self._queue = 0, 1
        self.slop_s = slop_s
        self.queue = queue

    @property
    def slop_s(self) -> float:
        """Most seconds between the stamps of a pair, inclusive; may be set at any time."""
        return self._slop_ns / NANOSECONDS

    @slop_s.setter
    def slop_s(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"The slop has to be 0 or more seconds; got {seconds}.")
        self._slop_ns = round(seconds * NANOSECONDS)
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
        return self._unpaired(THERMAL)

    @property
    def unpaired_rgb(self) -> int:
        """RGB images that left without a partner; those that wait are not among them."""
        return self._unpaired(RGB)

    def add_thermal(self, message: Message) -> None:
        """Takes a thermal image; one with a negative stamp leaves at once, unpaired."""
        self._add(THERMAL, message)

    def add_rgb(self, message: Message) -> None:
        """Takes an RGB image; one with a negative stamp leaves at once, unpaired."""
        self._add(RGB, message)

    @property
    def time_jumps(self) -> int:
        """How often stamps went back so far that a stream started over."""
        return self._jumps.count

    def reset(self) -> None:
        """Drops the waiting images, which count as unpaired, and forgets the stamps seen."""
        for waiting in self._matcher.queues:
            waiting.clear()
        self._jumps.forget()

    def _add(self, stream: int, message: Message) -> None:
        stamp_ns = stamp_ns_of(message, self.offset_s if stream == THERMAL else 0.0)
        self._received[stream] += 1
        if stamp_ns < 0:
            return  # rclpy.time.Time, which message_filters computes with, refuses it
        for outdated in self._jumps.note(stream, stamp_ns):
            self._matcher.queues[outdated].clear()
        pair = self._matcher.match(stream, stamp_ns, message)
        if pair is not None:
            self.pairs += 1
            self._jumps.both_agree()
            self._on_pair(*pair)

    def _unpaired(self, stream: int) -> int:
        return self._received[stream] - self.pairs - len(self._matcher.queues[stream])


class _OwnMatcher:
    """What `ApproximateTimeSynchronizer` does with two streams."""

    def __init__(self) -> None:
        self.queues: tuple[dict[int, Message], dict[int, Message]] = ({}, {})

    def configure(self, slop_ns: int, queue: int) -> None:
        self._slop_ns, self._queue = slop_ns, queue

    def match(self, stream: int, stamp_ns: int, message: Message) -> tuple[Message, Message] | None:
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
    pair is handed on only after it has returned. It reads the stamp in the header, so each message
    goes in under a header of its own that holds the corrected one.
    """

    def __init__(self) -> None:
        self._inputs = (SimpleFilter(), SimpleFilter())
        self._filter = ApproximateTimeSynchronizer(self._inputs, queue_size=1, slop=0.0)
        self._filter.registerCallback(self._keep)
        self._kept: tuple[Message, Message] | None = None

    @property
    def queues(self) -> Sequence[dict[int, Any]]:
        return self._filter.queues

    def configure(self, slop_ns: int, queue: int) -> None:
        # The filter pairs below its slop, not at it.
        self._filter.slop = Duration(nanoseconds=slop_ns + 1)
        self._filter.queue_size = queue

    def match(self, stream: int, stamp_ns: int, message: Message) -> tuple[Message, Message] | None:
        header = SimpleNamespace(stamp=Time(nanoseconds=stamp_ns).to_msg())
        self._inputs[stream].signalMessage(SimpleNamespace(header=header, message=message))
        kept, self._kept = self._kept, None
        return kept

    def _keep(self, first: Any, second: Any) -> None:
        self._kept = (first.message, second.message)


def make_synchronizer(
    on_pair: Callable[[Message, Message], None],
    *,
    slop_s: float,
    queue: int,
    offset_s: float = 0.0,
    implementation: str = SYNCHRONIZER,
) -> PairSynchronizer:
    """A synchronizer of the given implementation, by default the one chosen at import.

    Args:
        on_pair: Called with the thermal and the RGB image of each pair, from within the call that
            added the later one.
        slop_s: Most seconds between the two stamps, inclusive.
        queue: Most images that wait in each stream.
        offset_s: Seconds that are added to the thermal stamps.
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
    return PairSynchronizer(on_pair, slop_s=slop_s, queue=queue, matcher=matcher, offset_s=offset_s)


def _drop_oldest(waiting: dict[int, Any], *, down_to: int) -> None:
    while len(waiting) > down_to:
        del waiting[min(waiting)]
