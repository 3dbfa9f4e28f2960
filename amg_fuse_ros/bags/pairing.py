"""Pairs two recorded streams by their stamps."""

from bisect import insort_right
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

BACKWARD_JUMP_NS = 1_000_000_000
"""A stamp this far behind its stream's newest means a restarted clock, not a late message."""


class _Entry(NamedTuple):
    stamp_ns: int
    number: int
    item: object


class StampPairer(Generic[T]):
    """Finds for each item of one stream the nearest of the other.

    Unlike live pairing it need not be quick: it waits for the next item before it settles on a
    partner, so that a lost frame does not shift all later pairs by one. At most ``queue`` items of
    a stream wait; the oldest gives way.

    Args:
        slop_ns: Largest difference of stamps within a pair.
        queue: Items of each stream that may wait for a partner.
    """

    def __init__(self, slop_ns: int, queue: int) -> None:
        if slop_ns < 0 or queue < 1:
            raise ValueError(f"slop should be >= 0 and queue >= 1, not {slop_ns} ns and {queue}")
        self.slop_ns = slop_ns
        self.queue = queue
        self.unpaired = [0, 0]
        """Items of each stream that found no partner."""
        self._waiting: tuple[list[_Entry], list[_Entry]] = ([], [])
        self._newest: list[int | None] = [None, None]
        self._count = 0

    def add(self, stream: int, stamp_ns: int, item: T) -> Iterator[tuple[T, T]]:
        """Takes an item and yields the pairs that are settled by it.

        Args:
            stream: 0 or 1.
            stamp_ns: The item's stamp, nanoseconds.
            item: What to pair.

        Yields:
            Pairs (item of stream 0, item of stream 1) in the order of their stamps.
        """
        newest = self._newest[stream]
        if newest is not None and stamp_ns < newest - BACKWARD_JUMP_NS:
            yield from self.finish()
            newest = None
        self._newest[stream] = stamp_ns if newest is None else max(newest, stamp_ns)
        self._count += 1
        insort_right(self._waiting[stream], _Entry(stamp_ns, self._count, item))
        yield from self._settle(final=False)

    def finish(self) -> Iterator[tuple[T, T]]:
        """Yields the pairs among what still waits; the rest is unpaired."""
        yield from self._settle(final=True)
        for stream, waiting in enumerate(self._waiting):
            self.unpaired[stream] += len(waiting)
            waiting.clear()
        self._newest = [None, None]

    def _settle(self, final: bool) -> Iterator[tuple[T, T]]:
        while all(self._waiting):
            early = 0 if self._waiting[0][0].stamp_ns <= self._waiting[1][0].stamp_ns else 1
            first, other = self._waiting[early], self._waiting[1 - early]
            stamp_ns = other[0].stamp_ns
            gap = stamp_ns - first[0].stamp_ns
            if gap > self.slop_ns or (len(first) > 1 and abs(first[1].stamp_ns - stamp_ns) < gap):
                self._drop(early)
            elif len(first) > 1 or gap == 0 or final or len(other) >= self.queue:
                pair = self._waiting[0].pop(0), self._waiting[1].pop(0)
                yield pair[0].item, pair[1].item  # type: ignore[misc]
            else:
                return
        for stream, waiting in enumerate(self._waiting):
            while len(waiting) > self.queue:
                self._drop(stream)

    def _drop(self, stream: int) -> None:
        self._waiting[stream].pop(0)
        self.unpaired[stream] += 1
