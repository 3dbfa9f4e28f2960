"""From camera messages to a published frame: what the node's worker thread does."""

from collections.abc import Callable, Mapping
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from amg_fuse_ros.fusion import FusedFrame, Fuser
from amg_fuse_ros.latency_budget import LatencyBudget
from amg_fuse_ros.monitoring import Statistics
from amg_fuse_ros.passthrough import rgb_alone, thermal_alone
from amg_fuse_ros.ros.camera import Camera, ImageLike, Job
from amg_fuse_ros.ros.image_messages import ImageMessageError
from amg_fuse_ros.ros.outputs import Outputs
from amg_fuse_ros.ros.time_jumps import stamp_ns_of
from amg_fuse_ros.setting import Settings
from amg_fuse_ros.settings import gain_settings

CREDIBLE_AGE_S = (-0.5, 60.0)
"""Ages outside say that the stamps are of another clock (a bag without /clock), not that it took
so long."""


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
        camera_info: Callable[[], CameraInfo | None],
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
            camera_info: The newest one of the RGB camera.
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
        self._camera_info = camera_info
        self._now_ns = now_ns
        self._on_failure = on_failure
        self._last: tuple[FusedFrame, Header] | None = None
        self._rgb_size: tuple[int, int] | None = None
        self._rgb_frame_id = ""

    def follow(self, former: "FrameMaker") -> None:
        """Take over what another one, which hangs, knows of the frames so far."""
        self._last = former._last
        self._rgb_size, self._rgb_frame_id = former._rgb_size, former._rgb_frame_id

    def __call__(self, job: Job) -> Callable[[], None] | None:
        """Make the frame of a job.

        Returns:
            What publishes it; ``None`` if there is nothing to publish.
        """
        began = monotonic()
        thermal = self._read("thermal", job.thermal)
        rgb = self._read("rgb", job.rgb)
        converted = monotonic()
        made = self._make(thermal, rgb, job)
        if made is None:
            return None
        frame, header, kind = made

        # A thermal image of its own size is not seen through the RGB camera.
        info = None if self._rgb_size is None else self._camera_info()

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
    ) -> tuple[FusedFrame, Header, str] | None:
        if rgb is not None and job.rgb is not None:
            self._rgb_size = (rgb.shape[1], rgb.shape[0])
            self._rgb_frame_id = job.rgb.header.frame_id
            if thermal is not None:
                frame = self._fuse(thermal, rgb)
                if frame is not None:
                    self._last = frame, job.rgb.header
                    return frame, job.rgb.header, "fused"
        policy = self._settings["on_missing"]
        if policy == "hold" and self._last is not None:
            return *self._last, "held"
        if policy != "passthrough":
            return None
        if rgb is not None and job.rgb is not None:
            return rgb_alone(rgb), job.rgb.header, "passed through"
        if thermal is not None and job.thermal is not None:
            header = Header(stamp=job.thermal.header.stamp, frame_id=job.thermal.header.frame_id)
            if self._rgb_size is not None:  # it lies where the RGB image would
                header.frame_id = self._rgb_frame_id
            self._heed_settings()
            return thermal_alone(self.fuser, thermal, self._rgb_size), header, "passed through"
        return None

    def _fuse(self, thermal: NDArray[np.generic], rgb: NDArray[np.generic]) -> FusedFrame | None:
        try:
            self._heed_settings()
            frame = self.fuser.fuse(thermal, rgb)
        except Exception as error:  # whatever it is, a driver is better off with one camera's image
            if self.retired:
                raise
            self._statistics.count("failed")
            self._on_failure(error)
            return None
        self.fused_at = "{}x{}".format(*frame.fused_at)
        return frame

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
        age_s = (self._now_ns() - max(stamps)) / 1e9
        if CREDIBLE_AGE_S[0] < age_s < CREDIBLE_AGE_S[1]:
            self._statistics.add("age", age_s)
        if len(stamps) == 2:
            offset_ns = float(self._settings["sync.thermal_offset_ms"]) * 1e6
            self._statistics.add("skew", abs(stamps[0] + offset_ns - stamps[1]) / 1e9)
