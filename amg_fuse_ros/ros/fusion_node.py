"""Lifecycle node: pairs a thermal and an RGB stream, fuses the newest pair, publishes.

The executor's thread only takes messages and pairs them; a worker thread converts, fuses and
publishes one pair at a time, always the newest.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from amg_fuse_ros import detector_settings
from amg_fuse_ros.latency_budget import LatencyBudget
from amg_fuse_ros.monitoring import (
    ClockOffset,
    Event,
    FaultBook,
    Limits,
    Severity,
    Statistics,
    StreamMonitor,
)
from amg_fuse_ros.ros.camera import Camera, ImageLike, Job
from amg_fuse_ros.ros.diagnostics import (
    fuser_values,
    pairing_values,
    statistics_values,
)
from amg_fuse_ros.ros.fusing import Fusing
from amg_fuse_ros.ros.health import Health
from amg_fuse_ros.ros.loading import load_fuser
from amg_fuse_ros.ros.managed_node import ManagedNode
from amg_fuse_ros.ros.outputs import FrameListener, Outputs
from amg_fuse_ros.ros.pairing import Pairing, apply_to_pairing, make_pairing
from amg_fuse_ros.ros.reporting import fault_values, worst_of
from amg_fuse_ros.ros.rig import Rig, RigError
from amg_fuse_ros.ros.subscriptions import reliability_of
from amg_fuse_ros.ros.time_jumps import stamp_ns_of
from amg_fuse_ros.settings import TABLE, Settings, defaults, gain_settings

if TYPE_CHECKING:  # torch takes seconds to import
    from amg_fuse_ros.fusion import Fuser


class FusionNode(ManagedNode):
    """Fuses ``thermal/image_raw`` and ``rgb/image_raw`` to ``fused/image`` and ``fused/mask``.

    Configured, it has loaded the weights and tried the engine; active, it subscribes to the
    cameras and fuses. All settings are ROS parameters, see ``amg_fuse_ros.settings``.
    """

    def __init__(
        self,
        load: Callable[[Settings, RcutilsLogger], "Fuser"] = load_fuser,
        listener: FrameListener | None = None,
        **node_options: Any,
    ) -> None:
        """Declare the parameters; `start` or a lifecycle manager does the rest.

        Args:
            load: Loads the network when the node is configured.
            listener: Gets the fused images, too, without a copy and without DDS.
            node_options: As those of ``rclpy.node.Node``.
        """
        beside = detector_settings.TABLE if listener is not None else ()
        super().__init__("fusion_node", TABLE, "fusion", beside, **node_options)
        self._load, self._listener = load, listener
        self._fusing: Fusing | None = None
        self._rig: Rig | None = None
        self._outputs: Outputs | None = None
        self._cameras: dict[str, Camera] = {}
        self._pairing: Pairing | None = None
        self._begin()
        self._mend_gain()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras."""
        settings = self._settings
        self._pairing = make_pairing(settings, self._take_pair)
        self._health.begin()
        reliability = reliability_of(settings, "input")
        for name in ("thermal", "rgb"):
            self._cameras[name] = Camera(
                self,
                name,
                str(settings[f"transport.{name}"]),
                reliability,
                StreamMonitor(name, self._limits()),
                partial(self._take, name),
                partial(self._take_event, name),
            )
        assert self._rig is not None
        self._rig.open(self, reliability)
        self._active = True
        topics = ", ".join(camera.topic for camera in self._cameras.values())
        assert self._outputs is not None
        self.get_logger().info(f"active: {topics} -> {', '.join(self._outputs.topics)}")
        return super().on_activate(state)

    @property
    def statistics(self) -> Statistics:
        """Counts and latencies since the node was configured."""
        return self._statistics

    def close(self) -> None:
        """Stop working; an inference under way is waited for, but not for long."""
        self._leave()
        if self._fusing is not None:
            self._fusing.stop()

    def _is_configured(self) -> bool:
        return self._fusing is not None

    def _prepare(self) -> None:
        rig = self._rig = Rig(self._settings)
        fuser = self._load(self._settings, self.get_logger())
        outputs = self._outputs = Outputs(
            self,
            str(self._settings["transport.output"]),
            reliability_of(self._settings, "output"),
            self._listener,
        )
        from amg_fuse_ros.ros.frames import FrameMaker

        def make_maker(fuser: "Fuser") -> FrameMaker:
            return FrameMaker(
                fuser,
                self._cameras,
                outputs,
                self._statistics,
                self._settings,
                self._budget,
                rig,
                lambda: self.get_clock().now().nanoseconds,
                self._health.note_failure,
            )

        self._fusing = Fusing(
            fuser, make_maker, self._settings, self._health, lambda: self._pairing
        )

    def _mend_gain(self) -> None:
        """Take the defaults where a file's ``thermal.*`` contradict each other, and show them."""
        try:
            gain_settings(self._settings)
        except ValueError as error:  # a mistake in a file must not keep a vehicle blind
            self.get_logger().error(f"{error}; the defaults of thermal.* are used")
            mended = {k: v for k, v in defaults().items() if k.startswith("thermal.")}
            self.set_parameters_atomically([Parameter(k, value=v) for k, v in mended.items()])

    def _forget(self) -> None:
        """Start the books anew."""
        self._told: dict[tuple[str, Event], float] = {}
        self._statistics = Statistics()
        self._clocks = ClockOffset()
        self._budget = LatencyBudget(0.0)
        self._health = Health(self._settings, self._statistics, self._clocks, self._budget)
        self._faults = FaultBook(self._reporter.tell, float(self._settings["log_period_s"]))

    def _limits(self) -> Limits:
        s = self._settings
        return Limits(float(s["faults.missing_after_s"]), float(s["faults.frozen_after_s"]))

    def _leave(self) -> None:
        self._active = False
        self._pairing = None
        self._faults.forget()
        for camera in self._cameras.values():
            camera.close()
        self._cameras.clear()
        if self._rig is not None:
            self._rig.close()
        if self._fusing is not None:
            self._fusing.clear()

    def _release(self) -> None:
        self._leave()
        if self._fusing is not None:
            self._fusing.close()
            self._fusing = None
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        self._rig = None

    def _apply(self, changes: Settings) -> None:
        """Put live settings into effect; the table has accepted each of them."""
        if any(name.startswith("thermal.") for name in changes):
            gain_settings({**self._settings, **changes})  # refuses what does not fit together
        self._settings.update(changes)  # the frame maker heeds its own before the next frame
        self._faults.quiet_s = float(self._settings["log_period_s"])
        if self._fusing is not None:
            self._fusing.heed_settings()
        for camera in self._cameras.values():
            camera.monitor.limits = self._limits()
        if self._pairing is not None:
            apply_to_pairing(self._pairing, self._settings)

    def _take(self, name: str, message: ImageLike) -> None:
        self._statistics.count(name)
        self._clocks.note(name, stamp_ns_of(message))
        monitor = self._cameras[name].monitor
        if self._pairing is None or not monitor.usable:
            return
        add = self._pairing.add_thermal if name == "thermal" else self._pairing.add_rgb
        add(message)
        other = self._cameras["rgb" if name == "thermal" else "thermal"].monitor
        # A stream that only just comes back gives the other one the time to do so, too.
        if not other.usable and monitor.steady and self._settings["on_missing"] != "stop":
            self._put(**{name: message})

    def _take_event(self, name: str, event: Event) -> None:
        monitor = self._cameras[name].monitor
        self._statistics.count(event.value)
        if event in {Event.JUMP_BACK, Event.JUMP_AHEAD}:
            self._clocks.forget()
        last, now = self._told.get((name, event)), monotonic()
        if last is not None and now - last < float(self._settings["log_period_s"]):
            return
        self._told[name, event] = now
        text = f"{self._cameras[name].topic}: {event.value}"
        if event is Event.NEW_FORMAT:
            text += f" from {monitor.former_format} to {monitor.format}"
        publishers = self._cameras[name].publishers()
        if publishers > 1:
            text += f" ({publishers} publish on it: is one too many?)"
        self.get_logger().warning(text)

    def _take_pair(self, thermal: ImageLike, rgb: ImageLike) -> None:
        self._statistics.count("pairs")
        self._put(thermal=thermal, rgb=rgb)

    def _put(self, *, thermal: ImageLike | None = None, rgb: ImageLike | None = None) -> None:
        if self._fusing is None or self._outputs is None:
            return
        if self._settings["lazy"] and not self._outputs.wanted():
            self._statistics.count("unwatched")
            return
        self._statistics.count("jobs")
        if self._fusing.put(Job(thermal, rgb, monotonic())):
            self._health.note_dropped()

    def _watch(self) -> None:
        if self._active and self._fusing is not None and self._rig is not None:
            self._faults.update(
                self._health.faults(
                    self._cameras,
                    self._pairing,
                    self._fusing.maker.fuser.fallback_reason,
                    self._calibration_problem(),
                    self._rig.told_sizes(),
                    stalled=self._fusing.stalled,
                )
            )

    def _calibration_problem(self) -> RigError | None:
        frames = [self._cameras[name].frame_id for name in ("thermal", "rgb")]
        if self._rig is None or None in frames:
            return None
        return self._rig.problem(*map(str, frames))

    def _publish_diagnostics(self) -> None:
        fusing, pairing = self._fusing, self._pairing
        if fusing is None:
            self._reporter.publish_unconfigured(self._problem)
            return
        maker = fusing.maker
        values = {
            "state": "active" if self._active else "inactive",
            "fused at": maker.fused_at,
            "calibration": self._rig.words if self._rig else "-",
            "latency budget": self._budget.words or "-",
            "thermal clock behind, estimated [ms]": self._clocks.milliseconds,
            **fuser_values(maker.fuser),
            **statistics_values(self._statistics),
            **(pairing_values(pairing) if pairing is not None else {}),
            **fault_values(self._faults),
        }
        level, message = Severity.OK, "fusing" if self._active else "inactive"
        if self._active and (worst := worst_of(self._faults)) is not None:
            level, message = worst
        elif self._active and self._statistics.recent("unwatched"):
            message = "nobody subscribes"
        if maker.fuser.scale < 1:
            message += f"; fused at {maker.fuser.scale:g} of the RGB size"
        self._reporter.publish(level, message, values)
