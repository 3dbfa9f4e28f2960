"""Fuses a recorded bag into a new one, every pair, without a ROS graph."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from amg_fuse_ros.bags.pairs import FramePair, PairCounts, PairReader
from amg_fuse_ros.bags.recording import (
    CAMERA_INFO,
    IMAGE_TYPES,
    BagError,
    MessageError,
    RawMessage,
    Recording,
)
from amg_fuse_ros.bags.topics import Topics, camera_of, guess_topics
from amg_fuse_ros.bags.writing import BagWriter, header_message
from amg_fuse_ros.image_encoding import Array

FUSED_TOPIC = "/fused/image"
MASK_TOPIC = "/fused/mask"
INFO_TOPIC = "/fused/camera_info"


class Fused(Protocol):
    """What a fusion returns."""

    @property
    def image(self) -> Array:
        """HxWx3 uint8 RGB, at the visible image's size."""

    @property
    def mask(self) -> Array:
        """HxW float32 in 0..1: the share of the visible camera."""


class Pending(Protocol):
    """A fusion under way."""

    def result(self) -> Fused:
        """Wait for it.

        Raises:
            ValueError: This pair cannot be fused.
        """


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay did."""

    topics: Topics
    counts: PairCounts
    fused: int
    seconds: float

    @property
    def pairs(self) -> int:
        """Pairs found."""
        return self.counts.pairs


def replay(
    bag: Path | str,
    out: Path | str,
    fuse: Callable[[Array, Array], Fused],
    *,
    topics: Topics | None = None,
    slop_s: float = 0.025,
    queue: int = 30,
    copy_sources: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_fused: Callable[[FramePair, Fused], None] | None = None,
) -> ReplaySummary:
    """Fuses every pair of a bag into a new bag, one after another; see `replay_ahead`."""
    return replay_ahead(
        bag,
        out,
        lambda thermal, rgb: _Now(fuse, thermal, rgb),
        ahead=0,
        topics=topics,
        slop_s=slop_s,
        queue=queue,
        copy_sources=copy_sources,
        progress=progress,
        on_fused=on_fused,
    )


def replay_ahead(
    bag: Path | str,
    out: Path | str,
    begin: Callable[[Array, Array], Pending],
    *,
    ahead: int,
    topics: Topics | None = None,
    slop_s: float = 0.025,
    queue: int = 30,
    copy_sources: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_fused: Callable[[FramePair, Fused], None] | None = None,
) -> ReplaySummary:
    """Fuses every pair of a bag into a new bag.

    Images may be raw or compressed. The output (mcap) has ``/fused/image`` (rgb8),
    ``/fused/mask`` (32FC1) and, where the visible camera has one, ``/fused/camera_info``, all with
    the header and record time of the visible image. It appears under its name when it is complete;
    an exception, Ctrl-C or a full disk leaves nothing.

    Args:
        bag: A rosbag2 folder or file, sqlite3 or mcap.
        out: The bag folder to create.
        begin: Called with the thermal (HxW) and the visible (HxWx3 RGB) image, begins to fuse
            them, here or elsewhere. A ``ValueError`` of the result skips that pair.
        ahead: How many fusions may be under way while the oldest is waited for.
        topics: The pair's topics; guessed when not given.
        slop_s: Largest difference of stamps within a pair, seconds.
        queue: Images of each camera that may wait for a partner.
        copy_sources: Copy the image and CameraInfo messages of the pair along.
        progress: Called with the pairs done and the number there can be at most.
        on_fused: Called with each pair and what it was fused to, in order.

    Returns:
        The counts.

    Raises:
        BagError: If a bag cannot be read or written, topics are not clear, or nothing was fused.
    """
    started = time.monotonic()
    with Recording(bag) as recording:
        chosen = _topics(recording, topics)
        infos = _CameraInfo(recording, chosen.rgb_info)
        copied = _sources(recording, chosen) if copy_sources else frozenset()
        with BagWriter(out) as writer:

            def on_message(raw: RawMessage) -> None:
                if raw.topic in copied and raw.msgtype in {*IMAGE_TYPES, CAMERA_INFO}:
                    writer.write_raw(raw)
                try:
                    infos.see(raw)
                except MessageError as error:
                    reader.skip(raw.topic, raw.record_ns, error)

            also = copied | ({chosen.rgb_info} if chosen.rgb_info else set())
            reader = PairReader(recording, chosen, slop_s, queue, also=also, on_message=on_message)
            fused = 0
            begun = _in_order(reader, begin, infos, ahead)
            for done, (pair, info, pending) in enumerate(begun, 1):
                try:
                    frame = pending.result()
                except ValueError as error:
                    reader.skip(chosen.rgb, pair.record_ns, f"this pair cannot be fused: {error}")
                else:
                    header, record_ns = pair.rgb_header, pair.record_ns
                    writer.write_image(FUSED_TOPIC, frame.image, "rgb8", header, record_ns)
                    writer.write_image(MASK_TOPIC, frame.mask, "32FC1", header, record_ns)
                    if info is not None:
                        stamped = replace(info, header=header_message(header))
                        writer.write_message(INFO_TOPIC, stamped, record_ns)
                    if on_fused is not None:
                        on_fused(pair, frame)
                    fused += 1
                if progress is not None:
                    progress(done, reader.expected)
            if not fused:
                raise BagError(_why_nothing(recording, chosen, reader.counts, slop_s))
    return ReplaySummary(chosen, reader.counts, fused, time.monotonic() - started)


class _Now:
    """A fusion that is done when it is waited for, in this thread."""

    def __init__(self, fuse: Callable[[Array, Array], Fused], thermal: Array, rgb: Array) -> None:
        self._call = partial(fuse, thermal, rgb)

    def result(self) -> Fused:
        return self._call()


def _in_order(
    pairs: Iterable[FramePair],
    begin: Callable[[Array, Array], Pending],
    infos: "_CameraInfo",
    ahead: int,
) -> Iterator[tuple[FramePair, Any, Pending]]:
    """Each pair with the CameraInfo of its time and its fusion, begun before the last ones end."""
    waiting: deque[tuple[FramePair, Any, Pending]] = deque()
    for pair in pairs:
        waiting.append((pair, infos.latest, begin(pair.thermal, pair.rgb)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


class _CameraInfo:
    """The visible camera's latest CameraInfo; the bag's first before any was read.

    Recorders write it before or after its image, as it happens, so the first image need not have
    seen one.
    """

    def __init__(self, recording: Recording, topic: str | None) -> None:
        self.latest: Any = None
        self._recording = recording
        self._topic = topic
        if topic is not None:
            with suppress(BagError, MessageError):
                for raw in recording.messages([topic], [CAMERA_INFO]):
                    self.see(raw)
                    break

    def see(self, raw: RawMessage) -> None:
        if raw.topic == self._topic and raw.msgtype == CAMERA_INFO:
            self.latest = self._recording.decode(raw)


def _topics(recording: Recording, topics: Topics | None) -> Topics:
    if topics is None:
        return guess_topics(recording)
    found = guess_topics(recording, thermal=topics.thermal, rgb=topics.rgb)
    return found._replace(rgb_info=topics.rgb_info or found.rgb_info)


def _sources(recording: Recording, topics: Topics) -> frozenset[str]:
    """The pair's image and CameraInfo topics, if they can stand beside the output's."""
    infos = recording.topics(CAMERA_INFO)
    thermal_info = camera_of(topics.thermal) + "/camera_info"
    images = {topics.thermal, topics.rgb}
    sources = frozenset(
        images | {info for info in (thermal_info, topics.rgb_info) if info in infos}
    )
    clash = sources & {FUSED_TOPIC, MASK_TOPIC, INFO_TOPIC}
    if clash:
        raise BagError(f"{', '.join(clash)} cannot be copied: the result has a topic of that name")
    return sources


def _why_nothing(recording: Recording, topics: Topics, counts: PairCounts, slop_s: float) -> str:
    if counts.broken and not counts.pairs:
        return counts.broken
    if counts.problems:
        return f"{recording.path}: nothing was fused. {counts.problems[0]}"
    images = recording.image_topics()
    return (
        f"{recording.path}: no thermal and visible image lie within {slop_s * 1e3:g} ms "
        f"({topics.thermal}: {images[topics.thermal]}, {topics.rgb}: {images[topics.rgb]} images). "
        "Raise the slop, or check that both cameras stamp with the same clock."
    )
