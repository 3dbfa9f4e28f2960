"""Lifecycle node: pairs a thermal and an RGB stream, fuses the newest pair, publishes.

The executor's thread only takes messages and pairs them; a worker thread converts, fuses and
publishes one pair at a time, always the newest.
"""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from numpy.typing import NDArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from amg_fuse_ros.imaging.thermal import GainSettings
from amg_fuse_ros.ros import parameters
from amg_fuse_ros.ros.diagnostics import ERROR, OK, WARN, Statistics, assess, make_diagnostics
from amg_fuse_ros.ros.image_messages import (
    CONVERTER,
    ImageMessageError,
    to_message,
    to_rgb,
    to_thermal,
)
from amg_fuse_ros.ros.library_log import forward_library_log
from amg_fuse_ros.ros.subscriptions import subscribe_newest
from amg_fuse_ros.ros.synchronizer import SYNCHRONIZER, PairSynchronizer, make_synchronizer
from amg_fuse_ros.ros.worker import LatestWorker
from amg_fuse_ros.settings import Settings, SettingValue, gain_settings

if TYPE_CHECKING:
    from amg_fuse_ros.fusion import FusedFrame, Fuser

STOP_TIMEOUT_S = 1.0


class Pair(NamedTuple):
    """Two messages that belong together, and when the later one came (monotonic seconds)."""

    thermal: Image
    rgb: Image
    arrived: float


class FusionNode(LifecycleNode):
    """Fuses ``thermal/image_raw`` and ``rgb/image_raw`` to ``fused/image`` and ``fused/mask``.

    Configured, it has loaded the weights and tried the engine; active, it subscribes to the
    cameras and fuses. All settings are ROS parameters, see ``amg_fuse_ros.settings``.
    """

    def __init__(self, **node_options: object) -> None:
        super().__init__("fusion_node", **node_options)
        self._active = False
        self._fuser: Fuser | None = None
        self._worker: LatestWorker[Pair] | None = None
        self._synchronizer: PairSynchronizer | None = None
        self._camera_info: CameraInfo | None = None
        self._fused_size = "-"
        self._problem = ""
        self._statistics = Statistics()
        parameters.declare(self)
        self._settings: dict[str, SettingValue] = dict(parameters.read(self))
        parameters.watch(self, self._apply, lambda: self._fuser is not None)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._diagnostics_timer = self.create_timer(
            float(self._settings["diagnostics_period_s"]),
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),  # also while /clock stands still
        )
        self._refuse_impossible_transitions()

    def start(self) -> None:
        """Configure and activate, if ``autostart`` says so; a failure is logged with its reason."""
        if not self._settings["autostart"]:
            self.get_logger().info("waiting for a lifecycle manager (autostart is false)")
        elif self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and try the engine; fails, with the reason in the log, if they can't."""
        self._settings = dict(parameters.read(self))
        try:
            self._fuser = self._make_fuser()
        except Exception as error:  # whatever it is, the reason must reach people
            expected = isinstance(error, OSError | ValueError | RuntimeError)
            self._problem = str(error) if expected else f"{type(error).__name__}: {error}"
            self.get_logger().error(f"cannot be configured: {self._problem}")
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        self._statistics = Statistics()
        period_s = float(self._settings["diagnostics_period_s"])
        self._diagnostics_timer.timer_period_ns = round(period_s * 1e9)
        output = QoSProfile(depth=1, reliability=_reliability(self._settings, "output"))
        self._fused_publisher = self.create_lifecycle_publisher(Image, "fused/image", output)
        self._mask_publisher = self.create_lifecycle_publisher(Image, "fused/mask", output)
        self._info_publisher = self.create_lifecycle_publisher(
            CameraInfo, "fused/camera_info", output
        )
        self._worker = LatestWorker(self._process, self._report_failure, "fusion")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras."""
        self._synchronizer = make_synchronizer(
            self._take_pair,
            slop_s=float(self._settings["sync.slop_ms"]) / 1000,
            queue=int(self._settings["sync.queue"]),
        )
        reliability = _reliability(self._settings, "input")
        self._camera_subscriptions = [
            subscribe_newest(self, Image, "thermal/image_raw", self._take_thermal, reliability),
            subscribe_newest(self, Image, "rgb/image_raw", self._take_rgb, reliability),
            subscribe_newest(
                self, CameraInfo, "rgb/camera_info", self._take_camera_info, reliability
            ),
        ]
        self._active = True
        self.get_logger().info(
            f"active: {', '.join(s.topic_name for s in self._camera_subscriptions[:2])} -> "
            f"{self._fused_publisher.topic_name}, {self._mask_publisher.topic_name}"
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the cameras; a pair under way is finished, but not published."""
        self._leave_cameras()
        return super().on_deactivate(state)

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back that configuring took."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Leave the cameras and give everything back, from whichever state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """After an unexpected error: back to unconfigured, so that it can be tried again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop working; an inference under way is waited for, but not for long."""
        self._leave_cameras()
        if self._worker is not None:
            self._worker.stop(STOP_TIMEOUT_S)

    def _refuse_impossible_transitions(self) -> None:
        """Answer them with a plain no; rclpy would let them end the process."""
        answer = self._service_change_state.callback

        def change_state(request: ChangeState.Request, response: ChangeState.Response) -> Any:
            try:
                return answer(request, response)
            except RuntimeError as error:  # rclpy's RCLError is private
                self.get_logger().warning(f"transition {request.transition.id} refused: {error}")
                response.success = False
                return response

        self._service_change_state.callback = change_state

    def _make_fuser(self) -> "Fuser":
        self.get_logger().info("loading the network ...")
        began = monotonic()
        forward_library_log(self.get_logger())
        from amg_fuse_ros.fusion import Fuser  # torch takes seconds to import

        s = self._settings
        fuser = Fuser.from_options(
            weights=str(s["network.weights"]),
            size=str(s["network.size"]),
            engine=str(s["engine"]),
            device=str(s["device"]),
            precision=str(s["precision"]),
            scale=float(s["network.scale"]),
            mask_form=str(s["mask.form"]),
            gain=self._gain(),
            registration=str(s["registration"]),
            steady=True,
        )
        fuser.warm_up()
        fuser.reset()
        engine = fuser.engine
        self.get_logger().info(
            f"network ready after {monotonic() - began:.1f} s: engine {engine.name}, "
            f"{engine.precision} on {engine.device}, scale {fuser.scale:g}; "
            f"messages by {CONVERTER}, pairs by {SYNCHRONIZER}"
        )
        return fuser

    def _gain(self) -> GainSettings:
        try:
            return gain_settings(self._settings)
        except ValueError as error:  # a mistake in a file must not keep a vehicle blind
            self.get_logger().error(f"{error}; the defaults of thermal.* are used")
            return GainSettings()

    def _leave_cameras(self) -> None:
        self._active = False
        if self._synchronizer is not None:
            for subscription in self._camera_subscriptions:
                self.destroy_subscription(subscription)
            self._synchronizer = None
        if self._worker is not None:
            self._worker.clear()

    def _release(self) -> None:
        self._leave_cameras()
        if self._worker is not None:
            self._worker.stop(STOP_TIMEOUT_S)
            self._worker = None
            for publisher in (self._fused_publisher, self._mask_publisher, self._info_publisher):
                self.destroy_lifecycle_publisher(publisher)
        self._fuser = None
        self._camera_info = None

    def _apply(self, name: str, value: SettingValue) -> None:
        """Put a live setting into effect; the table has accepted the value."""
        if self._fuser is not None and name == "network.scale":
            self._fuser.scale = float(value)
        elif self._fuser is not None and name == "mask.form":
            self._fuser.mask_form = str(value)
        elif name.startswith("thermal."):
            gain = gain_settings({**self._settings, name: value})
            if self._fuser is not None:
                self._fuser.gain = gain
        elif self._synchronizer is not None and name == "sync.slop_ms":
            self._synchronizer.slop_s = float(value) / 1000
        elif self._synchronizer is not None and name == "sync.queue":
            self._synchronizer.queue = int(value)
        self._settings[name] = value

    def _take_thermal(self, message: Image) -> None:
        self._statistics.count("thermal")
        if self._synchronizer is not None:
            self._synchronizer.add_thermal(message)

    def _take_rgb(self, message: Image) -> None:
        self._statistics.count("rgb")
        if self._synchronizer is not None:
            self._synchronizer.add_rgb(message)

    def _take_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _take_pair(self, thermal: Image, rgb: Image) -> None:
        self._statistics.count("pairs")
        if self._settings["lazy"] and not self._somebody_listens():
            self._statistics.count("unwatched")
        elif self._worker is not None and self._worker.put(Pair(thermal, rgb, monotonic())):
            self._statistics.count("dropped")
            self.get_logger().warning(
                f"{self._statistics.total('dropped')} pairs dropped so far: they came faster than "
                "the engine fuses; a lower network.scale is faster",
                throttle_duration_sec=float(self._settings["log_period_s"]),
            )

    def _somebody_listens(self) -> bool:
        publishers = (self._fused_publisher, self._mask_publisher)
        return any(p.get_subscription_count() > 0 for p in publishers)

    def _process(self, pair: Pair) -> None:
        """In the worker's thread: convert, fuse, publish."""
        fuser = self._fuser
        if fuser is None:
            return
        thermal = self._convert(to_thermal, pair.thermal, "thermal/image_raw")
        rgb = self._convert(to_rgb, pair.rgb, "rgb/image_raw")
        if thermal is None or rgb is None:
            return
        frame = fuser.fuse(thermal, rgb)
        if not self._active:
            return
        self._publish(frame, pair)
        self._statistics.count("fused")
        self._statistics.add_latency(monotonic() - pair.arrived)
        self._fused_size = "{}x{}".format(*frame.fused_at)

    def _convert(
        self, convert: Callable[[Image], NDArray[Any]], message: Image, topic: str
    ) -> NDArray[Any] | None:
        try:
            return convert(message)
        except ImageMessageError as error:
            self._statistics.count("refused")
            self.get_logger().error(
                f"{self.resolve_topic_name(topic)}: {error}; the pair is left out",
                throttle_duration_sec=float(self._settings["log_period_s"]),
            )
            return None

    def _publish(self, frame: "FusedFrame", pair: Pair) -> None:
        header = pair.rgb.header
        self._fused_publisher.publish(
            to_message(frame.image, str(self._settings["fused.encoding"]), header)
        )
        if self._mask_publisher.get_subscription_count() > 0:
            mask = to_message(frame.mask, str(self._settings["mask.encoding"]), header)
            self._mask_publisher.publish(mask)
        info = self._camera_info
        if info is not None:
            info.header = header
            self._info_publisher.publish(info)

    def _report_failure(self, error: Exception) -> None:
        self._statistics.count("failed")
        self.get_logger().error(
            f"a pair could not be fused: {type(error).__name__}: {error}",
            throttle_duration_sec=float(self._settings["log_period_s"]),
        )

    def _publish_diagnostics(self) -> None:
        fuser, synchronizer = self._fuser, self._synchronizer
        if fuser is None:
            level, message = (ERROR, self._problem) if self._problem else (WARN, "not configured")
            self._send_diagnostics(level, message, {"state": "unconfigured"})
            return
        values: dict[str, object] = {
            "state": "active" if self._active else "inactive",
            "engine": fuser.engine.name,
            "device": fuser.engine.device,
            "precision": fuser.engine.precision,
            "network.scale": f"{fuser.scale:g}",
            "fused at": self._fused_size,
            **self._statistics.values(),
        }
        if synchronizer is not None:
            values["thermal without partner"] = synchronizer.unpaired_thermal
            values["rgb without partner"] = synchronizer.unpaired_rgb
            values["time jumps"] = synchronizer.time_jumps
        level, message = assess(self._statistics) if self._active else (OK, "inactive")
        if fuser.scale < 1:
            message += f"; fused at {fuser.scale:g} of the RGB size"
        self._send_diagnostics(level, message, values)

    def _send_diagnostics(self, level: bytes, message: str, values: dict[str, object]) -> None:
        self._diagnostics_publisher.publish(
            make_diagnostics(
                stamp=self.get_clock().now().to_msg(),
                node_name=self.get_fully_qualified_name(),
                level=level,
                message=message,
                values=values,
            )
        )


def _reliability(settings: Settings, side: str) -> ReliabilityPolicy:
    policies = {
        "best_effort": ReliabilityPolicy.BEST_EFFORT,
        "reliable": ReliabilityPolicy.RELIABLE,
    }
    return policies[settings[f"qos.{side}_reliability"]]
