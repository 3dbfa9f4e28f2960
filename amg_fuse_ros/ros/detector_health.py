"""What is wrong with a running detector node, and what it counted, in words for people."""

from collections.abc import Iterator
from time import monotonic

from amg_fuse_ros.monitoring import (
    Event,
    Fault,
    Severity,
    Statistics,
    StreamMonitor,
    StreamState,
)
from amg_fuse_ros.ros.camera import Camera
from amg_fuse_ros.ros.diagnostics import stage_values
from amg_fuse_ros.ros.health import FAILED_FOR_S, what_is_wrong
from amg_fuse_ros.setting import Settings

WARN, ERROR = Severity.WARN, Severity.ERROR

STAGES = ("wait", "convert", "detect", "publish")
"""An image's way from arrival to publication; together the latency."""

COUNTS = ("images", "detected", "objects", "dropped", "refused", "failed", "hung")
"""What became of the images since the node was configured."""


class DetectorHealth:
    """Looks at what a detector node knows, and names the faults that hold.

    Attributes:
        mended: What was wrong with the settings at start, and what is used instead; else empty.
    """

    def __init__(self, settings: Settings, statistics: Statistics) -> None:
        """Look at a node.

        Args:
            settings: The node's, read anew each time.
            statistics: Of its images.
        """
        self.mended = ""
        self._settings = settings
        self._statistics = statistics
        self._failure = ("", 0.0)

    def note_failure(self, error: BaseException) -> None:
        """An image could not be looked at; from any thread."""
        self._statistics.count("failed")
        self._failure = f"{type(error).__name__}: {error}", monotonic()

    def note_hang(self, seconds: float) -> None:
        """An image was given up after so long; from any thread."""
        self._statistics.count("hung")
        self._failure = f"no result after {seconds:.1f} s, it was given up", monotonic()

    def faults(
        self, camera: Camera | None, handed: StreamMonitor | None = None, *, stalled: bool = False
    ) -> Iterator[Fault]:
        """Those that hold now; called a few times a second.

        Args:
            camera: Where the images come from, if the node subscribes.
            handed: The stream of what a fusion node of this process hands over, if it is wanted.
            stalled: Whether the network hung so often that nothing more is begun.
        """
        if camera is not None:
            yield from self._of_images(camera)
        if handed is not None and handed.state is StreamState.MISSING:
            text = "the fusion node of this process hands no images over, see what it says itself"
            yield Fault("image missing", WARN, f"{text}; nothing is detected")
        failure, at = self._failure
        if failure and monotonic() - at < FAILED_FOR_S:
            yield Fault("failed", ERROR, f"an image could not be looked at: {failure}")
        if stalled:
            text = "the network hung again and again, nothing more is looked at until it ends"
            yield Fault("stalled", ERROR, text)
        if self.mended:
            yield Fault("settings", WARN, self.mended, told=False)
        yield from self._of_speed()

    def _of_images(self, camera: Camera) -> Iterator[Fault]:
        if camera.mismatch:
            yield Fault("image qos", WARN, camera.mismatch)
        state, text = what_is_wrong(camera)
        if text:
            yield Fault(f"image {state.value}", WARN, f"{text}; nothing is detected")
        if camera.monitor.problem:
            text = f"{camera.topic}: {camera.monitor.problem}; such images are left out"
            yield Fault("image unreadable", ERROR, text)

    def _of_speed(self) -> Iterator[Fault]:
        s = self._statistics
        images, dropped = s.recent("images"), s.recent("dropped")
        if images and dropped / images > float(self._settings["diagnostics.warn_dropped"]):
            share = f"{100 * dropped / images:.0f} %"
            yield Fault(
                "dropped",
                WARN,
                f"the network is slower than the images: {share} of them are dropped; a smaller "
                "network or another form of it is faster",
            )
        (p95,) = s.milliseconds("latency", 0.95)
        limit = float(self._settings["diagnostics.warn_latency_ms"])
        if p95 is not None and 0 < limit < p95:
            text = f"latency p95 {p95:.0f} ms is above diagnostics.warn_latency_ms ({limit:g})"
            yield Fault("latency", WARN, text)


def detector_statistics(statistics: Statistics) -> dict[str, object]:
    """Rates, counts and durations by the names that /diagnostics shows."""
    return {
        **{f"{event} rate [Hz]": statistics.rate(event) for event in ("images", "detected")},
        **{event: statistics.total(event) for event in COUNTS},
        **{event.value: statistics.total(event.value) for event in Event},
        **stage_values(statistics, STAGES),
    }
