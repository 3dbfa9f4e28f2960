"""Thermal and visible images of a bag, pair by pair."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from amg_fuse_ros.bags.pairing import StampPairer
from amg_fuse_ros.bags.recording import (
    COMPRESSED_IMAGE,
    IMAGE,
    IMAGE_TYPES,
    BagError,
    Header,
    MessageError,
    RawMessage,
    Recording,
)
from amg_fuse_ros.bags.topics import Topics
from amg_fuse_ros.compressed_encoding import compressed_rgb_array, compressed_thermal_array
from amg_fuse_ros.image_encoding import (
    Array,
    ImageEncodingError,
    rgb_array,
    thermal_array,
)

_log = logging.getLogger(__name__)

SHOWN_PER_TOPIC = 5
"""Damaged messages logged one by one; the rest is only counted."""

_READERS: Mapping[str, tuple[Callable[[Any], Array], Callable[[Any], Array]]] = {
    IMAGE: (thermal_array, rgb_array),
    COMPRESSED_IMAGE: (compressed_thermal_array, compressed_rgb_array),
}
"""What reads a thermal and a visible image, by type of message."""


class FramePair(NamedTuple):
    """A thermal and a visible image that belong together."""

    thermal: Array
    """HxW, uint8 or uint16."""
    rgb: Array
    """HxWx3 uint8 in the order R, G, B."""
    thermal_header: Header
    rgb_header: Header
    record_ns: int
    """When the visible image was recorded, nanoseconds since the epoch."""


@dataclass
class PairCounts:
    """What became of the images of a bag."""

    pairs: int = 0
    unpaired_thermal: int = 0
    unpaired_rgb: int = 0
    skipped: int = 0
    """Damaged or unreadable messages."""
    problems: list[str] = field(default_factory=list)
    """The first of them, with topic and time."""
    broken: str | None = None
    """Why reading ended before the end of the bag, if it did."""


class _Image(NamedTuple):
    pixels: Array
    header: Header
    record_ns: int


class PairReader:
    """Iterates once over the pairs of a bag, in the order of their stamps.

    Holds at most ``queue`` images of each camera at a time. Counts what found no partner; reports,
    counts and skips what is damaged.

    Args:
        recording: The opened bag.
        topics: The pair's topics.
        slop_s: Largest difference of stamps within a pair, seconds.
        queue: Images of each camera that may wait for a partner.
        also: Further topics to read in the same pass, handed to ``on_message``.
        on_message: Called with each message, undecoded, before its image is paired.
    """

    def __init__(
        self,
        recording: Recording,
        topics: Topics,
        slop_s: float = 0.025,
        queue: int = 30,
        *,
        also: frozenset[str] = frozenset(),
        on_message: Callable[[RawMessage], None] | None = None,
    ) -> None:
        self.counts = PairCounts()
        images = recording.image_topics()
        self.expected = min(images.get(topics.thermal, 0), images.get(topics.rgb, 0))
        """Pairs there can be at most."""
        self._recording = recording
        self._topics = topics
        self._also = also
        self._on_message = on_message
        self._pairer: StampPairer[_Image] = StampPairer(round(slop_s * 1e9), queue)
        self._skipped: dict[str, int] = {}
        self._pairs = self._read()

    def __iter__(self) -> Iterator[FramePair]:
        return self

    def __next__(self) -> FramePair:
        return next(self._pairs)

    def skip(self, topic: str, record_ns: int, reason: object) -> None:
        """Counts a message as unusable and says so.

        Args:
            topic: Where it was recorded.
            record_ns: When, nanoseconds since the epoch.
            reason: What is wrong with it.
        """
        self.counts.skipped += 1
        shown = self._skipped[topic] = self._skipped.get(topic, 0) + 1
        if shown <= SHOWN_PER_TOPIC:
            problem = f"skipped a message on {topic} at {_clock(record_ns)}: {reason}"
            self.counts.problems.append(problem)
            _log.warning(problem)
            if shown == SHOWN_PER_TOPIC:
                _log.warning("further damaged messages on %s are only counted", topic)

    def _read(self) -> Iterator[FramePair]:
        thermal, rgb = self._topics.thermal, self._topics.rgb
        messages = self._recording.messages({thermal, rgb, *self._also})
        while True:
            try:
                raw = next(messages, None)
            except BagError as error:
                self.counts.broken = str(error)
                _log.warning(str(error))
                raw = None
            if raw is None:
                break
            if self._on_message is not None:
                self._on_message(raw)
            if raw.msgtype in IMAGE_TYPES and raw.topic in {thermal, rgb}:
                yield from self._pair(raw, 0 if raw.topic == thermal else 1)
        yield from self._settled(self._pairer.finish())

    def _pair(self, raw: RawMessage, stream: int) -> Iterator[FramePair]:
        try:
            message = self._recording.decode(raw)
            pixels = _READERS[raw.msgtype][stream](message)
        except (MessageError, ImageEncodingError) as error:
            self.skip(raw.topic, raw.record_ns, error)
            return
        header = Header.of(message)
        # Drivers that do not stamp leave 0; the record time is the best that is known then.
        stamp_ns = header.stamp_ns or raw.record_ns
        image = _Image(pixels, header, raw.record_ns)
        yield from self._settled(self._pairer.add(stream, stamp_ns, image))

    def _settled(self, pairs: Iterator[tuple[_Image, _Image]]) -> Iterator[FramePair]:
        for thermal, rgb in pairs:
            self.counts.pairs += 1
            self._count_unpaired()
            yield FramePair(thermal.pixels, rgb.pixels, thermal.header, rgb.header, rgb.record_ns)
        self._count_unpaired()

    def _count_unpaired(self) -> None:
        self.counts.unpaired_thermal, self.counts.unpaired_rgb = self._pairer.unpaired


def read_pairs(
    recording: Recording, topics: Topics, slop_s: float = 0.025, queue: int = 30
) -> PairReader:
    """The image pairs of a bag.

    Args:
        recording: The opened bag.
        topics: From `guess_topics`, or named.
        slop_s: Largest difference of stamps within a pair, seconds.
        queue: Images of each camera that may wait for a partner.

    Returns:
        An iterator of `FramePair`; its ``counts`` tell what was left out.
    """
    return PairReader(recording, topics, slop_s, queue)


def _clock(record_ns: int) -> str:
    try:
        moment = datetime.fromtimestamp(record_ns // 10**9, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"{record_ns} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{record_ns % 10**9:09d} UTC"
