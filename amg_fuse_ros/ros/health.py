"""What is wrong with a running node, in words for the person who has to mend it."""

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Protocol

from amg_fuse_ros.engine.progress import is_building
from amg_fuse_ros.imaging.camera_model import Size
from amg_fuse_ros.latency_budget import LatencyBudget
from amg_fuse_ros.monitoring import ClockOffset, Fault, Severity, Statistics, StreamState
from amg_fuse_ros.ros.camera import Camera
from amg_fuse_ros.ros.rig import RigError
from amg_fuse_ros.setting import Settings

WARN, ERROR = Severity.WARN, Severity.ERROR

MOST_OFFSET_MS = 60_000
"""What ``sync.thermal_offset_ms`` takes; clocks further apart want mending, not a parameter."""

NOTHING = "nothing is published"

BUILT_OVER = "dropped while an engine was built"

FAILED_FOR_S = 5.0
"""A failure is shown so long after the last one."""


def what_is_wrong(camera: Camera) -> tuple[StreamState, str]:
    """The state of a camera's stream, and in words why it is of no use now; empty if it is."""
    name, monitor = camera.name, camera.monitor
    state, text = monitor.state, ""
    if state is StreamState.MISSING:
        text = f"no {name} images on {camera.topic} "
        if monitor.ever_came:
            limit = f"{monitor.limits.missing_s:g} s; raise it for a slow camera"
            text += f"for {monitor.silent_s:.1f} s, longer than faults.missing_after_s ({limit})"
        else:
            text += "so far"
        text += f"; {camera.why_silent()}"
    elif state is StreamState.STAMPS_STAND:
        text = (
            f"the stamps on {camera.topic} stand still at {monitor.stamp_ns / 1e9:.3f} s: does "
            "the driver set them?"
        )
    elif state is StreamState.CONTENT_STANDS:
        text = f"all images on {camera.topic} are the same: the camera or its driver hangs"
    return state, text


def _of_size(camera: Camera | None, told: Size) -> Iterator[Fault]:
    """A driver that scales its images and not its CameraInfo misleads whoever computes with it."""
    if camera is None or camera.size is None or camera.size == told:
        return
    yield Fault(
        f"{camera.name} camera_info",
        WARN,
        f"the images on {camera.topic} are {_by(camera.size)}, by the camera's CameraInfo "
        f"{_by(told)}: they are taken for the same view at another size; let the driver send the "
        "CameraInfo of the images that it sends (width, height, k, roi, binning)",
    )


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


class Pairing(Protocol):
    """What pairs the two streams."""

    @property
    def pairs(self) -> int:
        """Pairs so far."""


class Health:
    """Looks at everything that a node knows, and names the faults that hold."""

    def __init__(
        self,
        settings: Settings,
        statistics: Statistics,
        clocks: ClockOffset,
        budget: LatencyBudget,
    ) -> None:
        """Look at a node.

        Args:
            settings: The node's, read anew each time.
            statistics: Of its frames.
            clocks: Of its cameras.
            budget: Of its latency.
        """
        self._settings = settings
        self._statistics = statistics
        self._clocks = clocks
        self._budget = budget
        self._failure = ("", 0.0)
        self._pairs = (-1, 0.0)
        self._uncalibrated: float | None = None

    def begin(self) -> None:
        """The node became active: what was not seen yet is not missing yet."""
        self._pairs = (-1, monotonic())
        self._uncalibrated = None

    def note_failure(self, error: BaseException) -> None:
        """A pair could not be fused; from any thread."""
        self._failure = f"{type(error).__name__}: {error}", monotonic()

    def note_dropped(self) -> None:
        """A pair was replaced by a newer one; while an engine is built that says nothing of it."""
        self._statistics.count("dropped")
        if is_building():
            self._statistics.count(BUILT_OVER)

    def note_hang(self, seconds: float) -> None:
        """A pair was given up after so long; from any thread."""
        self._statistics.count("hung")
        self._failure = f"no result after {seconds:.1f} s, it was given up", monotonic()

    def faults(
        self,
        cameras: Mapping[str, Camera],
        pairing: Pairing | None,
        engine_problem: str = "",
        calibration_problem: RigError | None = None,
        told_sizes: Mapping[str, Size] | None = None,
        *,
        stalled: bool = False,
    ) -> Iterator[Fault]:
        """Those that hold now; called a few times a second.

        Args:
            cameras: By name; none while the node is inactive.
            pairing: What pairs their streams.
            engine_problem: Why the engine is not the one that was asked for; else empty.
            calibration_problem: Why it is not known where the thermal image lies; else ``None``.
            told_sizes: What the cameras' CameraInfo say of their images' width and height.
            stalled: Whether the engine hung so often that nothing more is begun.
        """
        for camera, other in (("thermal", "rgb"), ("rgb", "thermal")):
            if camera in cameras:
                yield from self._of_camera(cameras[camera], cameras[other])
        yield from self._of_calibration(cameras, calibration_problem)
        for name, size in (told_sizes or {}).items():
            yield from _of_size(cameras.get(name), size)
        if pairing is not None:
            yield from self._of_pairing(cameras, pairing)
        failure, at = self._failure
        if failure and monotonic() - at < FAILED_FOR_S:
            yield Fault("failed", ERROR, f"a pair could not be fused: {failure}")
        if engine_problem:
            yield Fault("engine", WARN, engine_problem)
        if stalled:
            text = "the engine hung again and again, nothing more is fused until one pair ends"
            yield Fault("stalled", ERROR, text)
        yield from self._of_speed()

    def _of_camera(self, camera: Camera, other: Camera) -> Iterator[Fault]:
        name, monitor = camera.name, camera.monitor
        if camera.mismatch:
            yield Fault(f"{name} qos", WARN, camera.mismatch)
        state, text = what_is_wrong(camera)
        if text:
            consequence = self._consequence(other)
            severity = ERROR if consequence == NOTHING else WARN
            yield Fault(f"{name} {state.value}", severity, f"{text}; {consequence}")
        if monitor.problem:
            key = f"{name} {StreamState.UNREADABLE.value}"
            yield Fault(key, ERROR, f"{camera.topic}: {monitor.problem}; such images are left out")

    def _of_calibration(
        self, cameras: Mapping[str, Camera], problem: RigError | None
    ) -> Iterator[Fault]:
        """What is wrong for so long that it is not just on its way."""
        now = monotonic()
        if problem is None:
            self._uncalibrated = None
            return
        if self._uncalibrated is None:
            self._uncalibrated = now
        if now - self._uncalibrated >= float(self._settings["faults.missing_after_s"]):
            consequence = self._consequence(cameras["rgb"])
            severity = ERROR if consequence == NOTHING else WARN
            text = f"it is not known where the thermal image lies: {problem}; {consequence}"
            yield Fault(f"calibration {problem.lacks}", severity, text)

    def _consequence(self, other: Camera) -> str:
        if not other.monitor.usable:
            return NOTHING
        policy = self._settings["on_missing"]
        if policy == "passthrough":
            return f"{other.name} images are published as they are"
        if policy == "hold" and self._statistics.total("fused"):
            return "the last fused image is published again and again"
        return NOTHING

    def _of_pairing(self, cameras: Mapping[str, Camera], pairing: Pairing) -> Iterator[Fault]:
        pairs, since = self._pairs
        now = monotonic()
        both_come = all(
            c.monitor.ever_came and c.monitor.state is StreamState.GOOD for c in cameras.values()
        )
        if pairing.pairs != pairs or not both_come:
            self._pairs = pairing.pairs, now
            return
        if now - since <= float(self._settings["faults.missing_after_s"]):
            return
        holds = self._settings["sync.policy"] == "hold_thermal"
        limit = "sync.hold_limit_ms" if holds else "sync.slop_ms"
        text = f"images of both cameras come, but no two stamps are within {limit}: {NOTHING}"
        offset = self._clocks.milliseconds
        if offset is not None and abs(offset) <= MOST_OFFSET_MS:
            text += (
                f"; the thermal stamps seem to be {abs(offset):.0f} ms "
                f"{'behind' if offset > 0 else 'ahead'}: if so, set sync.thermal_offset_ms to "
                f"{offset:.1f}"
            )
        yield Fault("no pairs", ERROR, text)

    def _of_speed(self) -> Iterator[Fault]:
        s, settings = self._statistics, self._settings
        built_over = s.recent(BUILT_OVER)
        if built_over and is_building():
            text = (
                "an engine is being built for images of this size, nothing is fused meanwhile; "
                "network.warm_up does that at start, amg-fuse build-engine ahead of time"
            )
            yield Fault("building", WARN, text)
        jobs, dropped = s.recent("jobs") - built_over, s.recent("dropped") - built_over
        # A single one says nothing: the pair that waited when a build ended, for instance.
        if dropped > 1 and dropped / jobs > float(settings["diagnostics.warn_dropped"]):
            share = f"{100 * dropped / jobs:.0f} %"
            yield Fault(
                "dropped",
                WARN,
                f"the engine is slower than the cameras: {share} of the pairs are dropped; a lower "
                "network.scale, a latency_budget_ms or another engine is faster",
            )
        (p95,) = s.milliseconds("latency", 0.95)
        for key, severity in (("error", ERROR), ("warn", WARN)):
            limit = float(settings[f"diagnostics.{key}_latency_ms"])
            if p95 is not None and 0 < limit < p95:
                yield Fault(
                    "latency",
                    severity,
                    f"latency p95 {p95:.0f} ms is above diagnostics.{key}_latency_ms ({limit:g})",
                )
                break
        rate, least = s.rate("fused"), float(settings["diagnostics.warn_rate_hz"])
        if rate < least and s.recent("pairs") and not s.recent("unwatched"):
            yield Fault(
                "rate",
                WARN,
                f"{rate:.1f} fused images a second are below diagnostics.warn_rate_hz ({least:g})",
            )
        if self._budget.exceeded:
            yield Fault("budget", WARN, self._budget.words)
