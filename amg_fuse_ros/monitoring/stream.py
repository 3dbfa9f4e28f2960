"""One camera's stream: does it come, does it move on, is it still the same kind of image?"""

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Any

import numpy as np

TIME_JUMP_NS = 500_000_000
"""Stamps that go back by more started over; by less, images came out of order."""

FASTEST_PLAYBACK = 20
"""Stamps may move on so much faster than images arrive, as bags are played; faster is a jump."""

_JUMP_FORWARD_NS = 2_000_000_000
_SAMPLE = 97
"""One byte of so many goes into the digest; a prime, so that no column of pixels is left out."""


class StreamState(Enum):
    """What a stream does at the moment."""

    WAITING = "waiting"
    """Nothing has come yet, and it is too early to miss it."""
    GOOD = "good"
    MISSING = "missing"
    STAMPS_STAND = "stamps stand still"
    CONTENT_STANDS = "content stands still"
    UNREADABLE = "unreadable"
    """Some images were refused; whether all are, the next one tells."""


class Event(Enum):
    """What an image's arrival told about its stream."""

    OUT_OF_ORDER = "out of order"
    JUMP_BACK = "time jumped back"
    JUMP_AHEAD = "time jumped ahead"
    NEW_FORMAT = "format changed"


@dataclass(frozen=True)
class Limits:
    """How long a stream may be strange before it is given up."""

    missing_s: float = 1.0
    """Seconds without an image."""
    frozen_s: float = 2.0
    """Seconds with one and the same image, or stamp; 0 looks at neither. Thermal cameras stand for
    half a second while their shutter is closed."""


class StreamMonitor:
    """Watches one stream; for use from several threads.

    Attributes:
        name: What the camera is called in messages.
        limits: May be replaced at any time.
    """

    def __init__(
        self, name: str, limits: Limits | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        """Begin to wait for the first image.

        Args:
            name: What the camera is called in messages.
            limits: When a stream is given up.
            clock: Seconds that never jump.
        """
        self.name = name
        self.limits = limits or Limits()
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._arrived: float | None = None
        self._stamp_ns = 0
        self._stamp_since = self._content_since = self._began
        self._digest: int | None = None
        self._steady = False
        self._problem, self._refused = "", self._began
        self.format = ""
        self.former_format = ""

    def note(self, stamp_ns: int, image_format: str, digest: int) -> tuple[Event, ...]:
        """An image arrived.

        Args:
            stamp_ns: Its stamp in nanoseconds.
            image_format: Size and encoding as text; a change of it is an event.
            digest: Of its content, see `content_digest`.

        Returns:
            What is remarkable about it, usually nothing.
        """
        now = self._clock()
        events = []
        with self._lock:
            first = self._arrived is None
            returned = first or now - (self._arrived or now) > self.limits.missing_s
            if not first:
                events += self._order(stamp_ns, now - (self._arrived or now))
            if first or returned or stamp_ns != self._stamp_ns:
                self._stamp_since = now
            if returned or digest != self._digest:
                self._content_since = now
            if self.format and image_format != self.format:
                events.append(Event.NEW_FORMAT)
                self.former_format = self.format
            self.format = image_format
            self._arrived, self._stamp_ns, self._digest = now, stamp_ns, digest
            self._steady = not returned
        return tuple(events)

    def could_not_be_read(self, reason: str) -> None:
        """An image was refused, for this reason."""
        with self._lock:
            self._problem, self._refused = reason, self._clock()

    @property
    def problem(self) -> str:
        """Why an image could not be read within the last ``missing_s`` seconds, else empty."""
        with self._lock:
            return self._problem_at(self._clock())

    def _problem_at(self, now: float) -> str:
        return self._problem if now - self._refused <= self.limits.missing_s else ""

    @property
    def state(self) -> StreamState:
        """What the stream does now."""
        now = self._clock()
        with self._lock:
            since = self._began if self._arrived is None else self._arrived
            if now - since > self.limits.missing_s:
                return StreamState.MISSING
            if self._arrived is None:
                return StreamState.WAITING
            frozen_s = self.limits.frozen_s
            if frozen_s and self._arrived - self._stamp_since > frozen_s:
                return StreamState.STAMPS_STAND
            if frozen_s and self._arrived - self._content_since > frozen_s:
                return StreamState.CONTENT_STANDS
            return StreamState.UNREADABLE if self._problem_at(now) else StreamState.GOOD

    @property
    def usable(self) -> bool:
        """Whether its images are worth waiting for; those that cannot be read are, one by one."""
        return self.state in {StreamState.WAITING, StreamState.GOOD, StreamState.UNREADABLE}

    @property
    def steady(self) -> bool:
        """Whether the newest image came in time after another one: no first, no returning one."""
        return self._steady

    @property
    def silent_s(self) -> float:
        """Seconds since the newest image, or since the start if there was none."""
        return self._clock() - (self._began if self._arrived is None else self._arrived)

    @property
    def ever_came(self) -> bool:
        """Whether there was an image at all."""
        return self._arrived is not None

    @property
    def stamp_ns(self) -> int:
        """The newest image's stamp in nanoseconds; 0 without one."""
        return self._stamp_ns

    def _order(self, stamp_ns: int, elapsed_s: float) -> list[Event]:
        step_ns = stamp_ns - self._stamp_ns
        if step_ns < -TIME_JUMP_NS:
            return [Event.JUMP_BACK]
        if step_ns < 0:
            return [Event.OUT_OF_ORDER]
        plausible_ns = _JUMP_FORWARD_NS + FASTEST_PLAYBACK * elapsed_s * 1e9
        return [Event.JUMP_AHEAD] if step_ns > plausible_ns else []


def content_digest(data: Any) -> int:
    """A number that changes with an image's content: of a sample of its bytes, so it is quick.

    Cameras are noisy: two exposures never agree in some thousand bytes. 25 microseconds for
    640x480x3.

    Args:
        data: The message's bytes: anything with the buffer protocol.
    """
    pixels = np.frombuffer(data, np.uint8)
    return zlib.crc32(pixels[::_SAMPLE].tobytes(), len(pixels))
