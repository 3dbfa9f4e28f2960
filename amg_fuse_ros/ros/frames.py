"""From camera messages to a published frame: what the node's worker thread does."""

from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from amg_fuse_ros.fusion import FusedFrame, Fuser
from amg_fuse_ros.imaging.registration import CalibrationError
from amg_fuse_ros.latency_budget import LatencyBudget
from amg_fuse_ros.monitoring import Statistics
from amg_fuse_ros.passthrough import rgb_alone, thermal_alone
from amg_fuse_ros.ros.camera import Camera, ImageLike, Job
from amg_fuse_ros.ros.image_messages import ImageMessageError
from amg_fuse_ros.ros.outputs import Outputs
from amg_fuse_ros.ros.rig import Rig
from amg_fuse_ros.ros.time_jumps import age_s_of, stamp_ns_of
from amg_fuse_ros.setting import Settings
from amg_fuse_ros.settings import gain_settings


class _Made(NamedTuple):
    frame: FusedFrame
    header: Header
    kind: str
    """``fused``, ``held`` or ``passed through``."""
    as_rgb_sees: bool = True
    """Whether its pixels are those of the RGB camera."""


class FrameMaker:
    """Makes and publishes one frame after the other; belongs to the worker's thread.

    Attributes:
        fuser: What fuses.
        fused_at: The size of the last fused frame, as text.
        retired: Another has taken over, because this one hangs; what it still meets is no news.
    """

    def __init__(
        self,
        fuser: Fuser,
        cameras: Mapping[str, Camera],
        outputs: Outputs,
        statistics: Statistics,
        settings: Settings,
        budget: LatencyBudget,
        rig: Rig,
        now_ns: Callable[[], int],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Prepare.

        Args:
            fuser: What fuses.
            cameras: By name; they read the messages. Empty while the node is inactive.
            outputs: Where to publish.
            statistics: Counts frames, keeps the durations of stages.
            settings: The node's, read anew for each frame.
            budget: Chooses the scale, if there is a budget.
            rig: Knows where the thermal image lies, and the RGB camera's CameraInfo.
            now_ns: The node's clock.
            on_failure: Told why a pair could not be fused; the frame is then made as if the thermal
                camera were missing.
        """
        self.fuser = fuser
        self.fused_at = "-"
        self.retired = False
        self._cameras = cameras
        self._outputs = outputs
        self._statistics = statistics
        self._settings = settings
        self._budget = budget
        self._rig = rig
        self._now_ns = now_ns
        self._on_failure = on_failure
        self._last: tuple[FusedFrame, Header] | None = None
        self._rgb_size: tuple[int, int] | None = None
        self._rgb_frame_id = ""
        self._lock = Lock()
        self._busy = self._closed = False

    def close(self) -> None:
        """Let the fuser go: at once, or at the end of the frame that is being made."""
        with self._lock:
            self._closed = True
            busy = self._busy
        if not busy:
            self.fuser.close()

    def follow(self, former: "FrameMaker") -> None:
        """Take over what another one, which hangs, knows of the frames so far."""
        self._last = former._last
        self._rgb_size, self._rgb_frame_id = former._rgb_size, former._rgb_frame_id

    def __call__(self, job: Job) -> Callable[[], None] | None:
        """Make the frame of a job.

        Returns:
            What publishes it; ``None`` if there is nothing to publish.
        """
        with self._lock:
            if self._closed:
                return None
            self._busy = True
        try:
            return self._frame_of(job)
        finally:
            if self._was_closed():
                self.fuser.close()

    def _was_closed(self) -> bool:
        """Whether that happened while the frame was made, which it is no more."""
        with self._lock:
            self._busy = False
            return self._closed

    def _frame_of(self, job: Job) -> Callable[[], None] | None:
        began = monotonic()
        thermal = self._read("thermal", job.thermal)
        rgb = self._read("rgb", job.rgb)
        converted = monotonic()
        made = self._make(thermal, rgb, job)
        if made is None:
            return None
        frame, header, kind, as_rgb_sees = made
        info = self._rig.rgb_info if as_rgb_sees else None

        def publish() -> None:
            ready = monotonic()
            image = self._blend(frame.image, rgb) if kind == "fused" else frame.image
            self._outputs.publish(image, frame.mask, header, info, self._settings)
            done = monotonic()
            add = self._statistics.add
            self._statistics.count(kind)
            if kind == "fused":
                add("wait", began - job.arrived)
                add("convert", converted - began)
                for stage in ("prepare", "engine", "finish"):
                    add(stage, frame.timings[stage])
                add("publish", done - ready)
                add("latency", done - job.arrived)
                self._add_age(job)
                self._budget.add(done - job.arrived, frame.scale)

        return publish

    def _read(self, name: str, message: ImageLike | None) -> NDArray[np.generic] | None:
        camera = self._cameras.get(name)
        if message is None or camera is None:
            return None
        try:
            return camera.read(message)
        except ImageMessageError:  # the camera's monitor tells it
            self._statistics.count("refused")
            return None

    def _make(
        self, thermal: NDArray[np.generic] | None, rgb: NDArray[np.generic] | None, job: Job
    ) -> _Made | None:
        if rgb is not None and job.rgb is not None:
            self._rgb_size = (rgb.shape[1], rgb.shape[0])
            self._rgb_frame_id = job.rgb.header.frame_id
            if thermal is not None and job.thermal is not None:
                frame = self._fuse(thermal, rgb, job.thermal.header.frame_id)
                if frame is not None:
                    self._last = frame, job.rgb.header
                    return _Made(frame, job.rgb.header, "fused")
        policy = self._settings["on_missing"]
        if policy == "hold" and self._last is not None:
            return _Made(*self._last, "held")
        if policy != "passthrough":
            return None
        if rgb is not None and job.rgb is not None:
            return _Made(rgb_alone(rgb), job.rgb.header, "passed through")
        if thermal is not None and job.thermal is not None:
            return self._thermal_alone(thermal, job.thermal.header)
        return None

    def _fuse(
        self, thermal: NDArray[np.generic], rgb: NDArray[np.generic], thermal_frame_id: str
    ) -> FusedFrame | None:
        try:
            self._heed_settings()
            self.fuser.calibration = self._rig.calibration(thermal_frame_id, self._rgb_frame_id)
            frame = self.fuser.fuse(thermal, rgb)
        except CalibrationError:  # the node tells it; two views laid on each other are no image
            return None
        except Exception as error:  # whatever it is, a driver is better off with one camera's image
            if self.retired:
                raise
            self._statistics.count("failed")
            self._on_failure(error)
            return None
        self.fused_at = "{}x{}".format(*frame.fused_at)
        return frame

    def _thermal_alone(self, thermal: NDArray[np.generic], header: Header) -> _Made:
        """The thermal image where the RGB image would be, if that is known; else as it is."""
        known_size, known_frame = self._rig.rgb_view()
        size, frame_id = self._rgb_size, self._rgb_frame_id or known_frame
        self._heed_settings()
        try:
            self.fuser.calibration = self._rig.calibration(header.frame_id, frame_id)
        except CalibrationError:
            self.fuser.calibration = size = None
        else:
            if size is None and self.fuser.calibration is not None:
                size = known_size or self.fuser.calibration.rgb_size
        if size is not None:
            header = Header(stamp=header.stamp, frame_id=frame_id or header.frame_id)
        frame = thermal_alone(self.fuser, thermal, size)
        return _Made(frame, header, "passed through", as_rgb_sees=size is not None)

    def _heed_settings(self) -> None:
        """Live settings are put into effect here, between two frames and in their thread."""
        settings, fuser, budget = self._settings, self.fuser, self._budget
        if budget.budget_ms != settings["latency_budget_ms"]:
            budget.budget_ms = float(settings["latency_budget_ms"])
        if budget.largest != settings["network.scale"]:
            budget.largest = float(settings["network.scale"])
        fuser.scale = budget.scale
        fuser.mask_form = str(settings["mask.form"])
        gain = gain_settings(settings)
        if gain != fuser.gain:
            fuser.gain = gain

    def _blend(
        self, fused: NDArray[np.uint8], rgb: NDArray[np.generic] | None
    ) -> NDArray[np.uint8]:
        strength = float(self._settings["fused.strength"])
        if strength == 1 or rgb is None or rgb.shape != fused.shape:
            return fused
        return np.asarray(cv2.addWeighted(fused, strength, rgb, 1 - strength, 0), np.uint8)

    def _add_age(self, job: Job) -> None:
        stamps = [stamp_ns_of(m) for m in (job.thermal, job.rgb) if m is not None]
        age_s = age_s_of(max(stamps), self._now_ns())
        if age_s is not None:
            self._statistics.add("age", age_s)
        if len(stamps) == 2:
            offset_ns = float(self._settings["sync.thermal_offset_ms"]) * 1e6
            self._statistics.add("skew", abs(stamps[0] + offset_ns - stamps[1]) / 1e9)
