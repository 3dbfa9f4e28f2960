"""Lifecycle node: finds objects in the newest image with a YOLO network, publishes them.

The executor's thread only takes images; a worker thread converts one at a time, always the newest,
looks at it and publishes.
"""

import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rclpy.exceptions import InvalidHandle
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from amg_fuse_ros import settings as fusion_settings
from amg_fuse_ros.detector_settings import TABLE, detection_settings
from amg_fuse_ros.monitoring import Event, FaultBook, Limits, Severity, Statistics, StreamMonitor
from amg_fuse_ros.ros.camera import Camera, ImageLike
from amg_fuse_ros.ros.detection_messages import load_vision_messages
from amg_fuse_ros.ros.detector_health import DetectorHealth, detector_statistics
from amg_fuse_ros.ros.detector_loading import load_detector, model_path
from amg_fuse_ros.ros.library_log import forward_library_log
from amg_fuse_ros.ros.managed_node import ManagedNode
from amg_fuse_ros.ros.reporting import fault_values, worst_of
from amg_fuse_ros.ros.subscriptions import reliability_of
from amg_fuse_ros.ros.worker import LatestWorker
from amg_fuse_ros.setting import Settings, SettingValue

if TYPE_CHECKING:  # torch takes seconds to import
    from amg_fuse_ros.detection import Detector
    from amg_fuse_ros.ros.detection_frames import DetectionJob, DetectionMaker
    from amg_fuse_ros.ros.detector_outputs import DetectionOutputs

STOP_TIMEOUT_S = 1.0
TRACKS_END = {Event.JUMP_BACK, Event.JUMP_AHEAD, Event.NEW_FORMAT}
"""After these, what is seen has nothing to do with what was seen before."""


class DetectorNode(ManagedNode):
    """Finds objects in ``fused/image``, or in what that is remapped to.

    Configured, it has loaded the network and run it once; active, it subscribes to the images while
    somebody subscribes to what it finds. All settings are ROS parameters, see
    ``amg_fuse_ros.detector_settings``. For a fusion node in its process it is a `FrameListener`.
    """

    def __init__(
        self,
        load: Callable[[Settings, RcutilsLogger], "Detector"] = load_detector,
        composed: bool = False,
        **node_options: Any,
    ) -> None:
        """Declare the parameters; `start` or a lifecycle manager does the rest.

        Args:
            load: Loads the network when the node is configured.
            composed: Look at what `take_frame` brings, and do not subscribe to images.
            node_options: As those of ``rclpy.node.Node``.
        """
        beside = fusion_settings.TABLE if composed else ()
        super().__init__("detector_node", TABLE, "detection", beside, **node_options)
        self._load, self._composed = load, composed
        self._maker: DetectionMaker | None = None
        self._worker: LatestWorker[DetectionJob] | None = None
        self._outputs: DetectionOutputs | None = None
        self._camera: Camera | None = None
        self._listening = False
        self._begin()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look at images from now on, and tell what the classes are."""
        assert self._outputs is not None
        done = super().on_activate(state)
        self._active = True
        self._tell_classes()
        self.get_logger().info(f"active: {self._source()} -> {self._outputs.topic}")
        self._heed_demand()
        return done

    def close(self) -> None:
        """Stop working; an image under way is waited for, but not for long."""
        self._leave()
        if self._worker is not None:
            self._worker.stop(STOP_TIMEOUT_S)

    def wants_frames(self) -> bool:
        """Whether anybody waits for detections; from any thread."""
        outputs = self._outputs
        if not self._active or outputs is None:
            return False
        try:
            return not self._settings["lazy"] or outputs.wanted()
        except InvalidHandle:  # the node was cleaned up meanwhile
            return False

    def take_frame(self, image: NDArray[np.uint8], header: Header) -> None:
        """Look at an image that another node of this process has made; from any thread.

        Args:
            image: H W 3, RGB; not changed.
            header: Of what is published.
        """
        stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
        form = "{1}x{0}".format(*image.shape)
        for event in self._monitor.note(stamp_ns, form, digest=0):
            self._take_event(event)
        self._put(lambda: image, header)

    def _is_configured(self) -> bool:
        return self._maker is not None

    def _prepare(self) -> None:
        vision = load_vision_messages()
        forward_library_log(self.get_logger())
        detector = self._load(self._settings, self.get_logger())
        self._mend_settings(detector)
        from amg_fuse_ros.ros.detection_frames import DetectionMaker
        from amg_fuse_ros.ros.detector_outputs import DetectionOutputs

        transport = str(self._settings["transport.output"])
        reliability = reliability_of(self._settings, "output")
        outputs = self._outputs = DetectionOutputs(self, vision, transport, reliability)

        def make_maker(detector: "Detector") -> DetectionMaker:
            return DetectionMaker(
                detector,
                outputs,
                self._statistics,
                self._settings,
                lambda: self.get_clock().now().nanoseconds,
            )

        self._maker = make_maker(detector)
        loading = threading.Event()

        def after_hang() -> "Callable[[DetectionJob], Callable[[], None] | None]":
            former = self._maker
            loading.set()
            try:
                maker = make_maker(self._load(self._settings, self.get_logger()))
            finally:
                loading.clear()
            if self._maker is not former:
                raise RuntimeError("the node was cleaned up while the network was loaded anew")
            self._maker = maker
            return self._look

        self._worker = LatestWorker(
            self._look,
            self._health.note_failure,
            "detection",
            hang_timeout_s=float(self._settings["hang_timeout_s"]),
            on_hang=self._health.note_hang,
            renew=after_hang,
            excused=loading.is_set,
        )

    def _mend_settings(self, detector: "Detector") -> None:
        """Leave out what the network does not offer: a typing error must not blind a vehicle."""
        for _ in ("classes", "tracking"):  # at most both
            instead: tuple[str, SettingValue]
            try:
                detector.check_settings(detection_settings(self._settings))
                return
            except ValueError as error:
                wanted = detection_settings(self._settings).classes
                known = ", ".join(name for name in wanted if name in detector.names.values())
                reason, instead = str(error), ("classes", known)
            except ModuleNotFoundError as error:
                reason, instead = str(error), ("tracking", False)
            # What people ask the node for is what it does, not what the file says.
            self.set_parameters_atomically([Parameter(instead[0], value=instead[1])])
            self._health.mended = f"{reason}; {instead[0]} is taken as {instead[1]!r}"
            self.get_logger().error(self._health.mended)

    def _forget(self) -> None:
        """Start the books anew."""
        self._told: dict[Event, float] = {}
        self._statistics = Statistics()
        self._health = DetectorHealth(self._settings, self._statistics)
        self._faults = FaultBook(self._reporter.tell, float(self._settings["log_period_s"]))
        self._monitor = StreamMonitor("image", self._limits())

    def _limits(self) -> Limits:
        return Limits(float(self._settings["faults.missing_after_s"]), frozen_s=0.0)

    def _source(self) -> str:
        if self._composed:
            return "the fused images of this process"
        return str(self.resolve_topic_name("fused/image"))

    def _heed_demand(self) -> None:
        """Listen to the images if and only if somebody waits for detections."""
        wanted = self.wants_frames()
        if wanted == self._listening:
            return
        if not wanted:
            self._leave_images()
            return
        self._listening = True
        self._monitor = StreamMonitor("image", self._limits())
        if not self._composed:
            self._camera = Camera(
                self,
                "image",
                str(self._settings["transport.image"]),
                reliability_of(self._settings, "input"),
                self._monitor,
                self._take,
                self._take_event,
                topic="fused/image",
            )

    def _leave_images(self) -> None:
        self._listening = False
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        if self._worker is not None:
            self._worker.clear()
        if self._maker is not None:
            self._maker.forget_tracks()

    def _leave(self) -> None:
        self._active = False
        self._leave_images()
        self._faults.forget()

    def _release(self) -> None:
        self._leave()
        if self._worker is not None:
            self._worker.stop(STOP_TIMEOUT_S)
            self._worker = None
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        self._maker = None

    def _apply(self, changes: Settings) -> None:
        """Put live settings into effect; the table has accepted each of them."""
        settings = {**self._settings, **changes}
        if self._maker is not None:
            try:
                self._maker.detector.check_settings(detection_settings(settings))
            except ModuleNotFoundError as error:
                raise ValueError(str(error)) from error
            self._health.mended = ""
        self._settings.update(changes)  # the maker heeds its own before the next image
        self._faults.quiet_s = float(settings["log_period_s"])
        self._monitor.limits = self._limits()
        if self._worker is not None:
            self._worker.hang_timeout_s = float(settings["hang_timeout_s"])
        if "confidence" in changes and self._active:
            self._tell_classes()

    def _tell_classes(self) -> None:
        if self._outputs is not None and self._maker is not None:
            names = self._maker.detector.names
            confidence = float(self._settings["confidence"])
            self._outputs.publish_classes(model_path(self._settings).stem, names, confidence)

    def _take(self, message: ImageLike) -> None:
        if self._camera is not None:
            self._put(partial(self._camera.read, message), message.header)

    def _put(self, read: Callable[[], NDArray[np.uint8]], header: Header) -> None:
        from amg_fuse_ros.ros.detection_frames import DetectionJob

        worker = self._worker
        if worker is None or not self._active:
            return
        self._statistics.count("images")
        if worker.put(DetectionJob(read, header, monotonic())):
            self._statistics.count("dropped")

    def _look(self, job: "DetectionJob") -> Callable[[], None] | None:
        maker = self._maker
        publish = maker(job) if maker is not None else None
        return publish if self._active and maker is self._maker else None

    def _take_event(self, event: Event) -> None:
        self._statistics.count(event.value)
        if event in TRACKS_END and self._maker is not None:
            self._maker.forget_tracks()
        last, now = self._told.get(event), monotonic()
        if last is None or now - last >= float(self._settings["log_period_s"]):
            self._told[event] = now
            self.get_logger().warning(f"{self._source()}: {event.value}")

    def _watch(self) -> None:
        if self._active:
            self._heed_demand()
            stalled = self._worker is not None and self._worker.stalled
            handed = self._monitor if self._composed and self._listening else None
            self._faults.update(self._health.faults(self._camera, handed, stalled=stalled))

    def _publish_diagnostics(self) -> None:
        maker = self._maker
        if maker is None:
            self._reporter.publish_unconfigured(self._problem)
            return
        values = {
            "state": "active" if self._active else "inactive",
            "model": model_path(self._settings).name,
            "device": maker.detector.device,
            "classes": len(maker.detector.names),
            "images from": self._source(),
            **detector_statistics(self._statistics),
            **fault_values(self._faults),
        }
        level, message = Severity.OK, "detecting" if self._active else "inactive"
        if self._active and (worst := worst_of(self._faults)) is not None:
            level, message = worst
        elif self._active and not self.wants_frames():
            message = "nobody subscribes"
        self._reporter.publish(level, message, values)
