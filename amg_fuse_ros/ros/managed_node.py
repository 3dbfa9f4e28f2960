"""What a lifecycle node that works on images does, whatever it makes of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from amg_fuse_ros.ros import parameters
from amg_fuse_ros.ros.lifecycle import refuse_impossible_transitions
from amg_fuse_ros.ros.reporting import Reporter
from amg_fuse_ros.setting import Setting, Settings, SettingValue

WATCH_PERIOD_S = 0.2

EXPECTED = (OSError, ValueError, RuntimeError, ImportError)
"""Errors whose text says to people what to do; of others the kind is told, too."""


class ManagedNode(LifecycleNode, ABC):
    """Settings as parameters, a network loaded while configuring, diagnostics all the time.

    Configuring that fails leaves the node unconfigured with the reason in the log and in
    diagnostics; every way out gives back what it took.
    """

    def __init__(
        self,
        name: str,
        table: Sequence[Setting],
        reports: str,
        beside: Sequence[Setting] = (),
        **node_options: Any,
    ) -> None:
        """Declare the parameters; `_begin` is to follow.

        Args:
            name: Of the node.
            table: Its settings.
            reports: What its diagnostics are called.
            beside: Settings of another node in this process, which may have been given to both.
            node_options: As those of ``rclpy.node.Node``.
        """
        super().__init__(name, **node_options)
        self._table = table
        self._active = False
        self._problem = ""
        self._reporter = Reporter(self, reports)
        parameters.declare(self, table, beside)
        self._settings: dict[str, SettingValue] = dict(parameters.read(self, table))

    @property
    def problem(self) -> str:
        """Why it could not be configured the last time; empty if it could, or was not told to."""
        return self._problem

    def start(self) -> None:
        """Configure and activate, if ``autostart`` says so; a failure is logged with its reason."""
        if not self._settings["autostart"]:
            self.get_logger().info("waiting for a lifecycle manager (autostart is false)")
        elif self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and try it; fails, with the reason in the log, if it can't be run."""
        self._settings.update(parameters.read(self, self._table))
        self._forget()
        try:
            self._prepare()
        except Exception as error:  # whatever it is, the reason must reach people
            kind = "" if isinstance(error, EXPECTED) else f"{type(error).__name__}: "
            self._problem = f"{kind}{error}"
            self.get_logger().error(f"cannot be configured: {self._problem}")
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        period_s = float(self._settings["diagnostics_period_s"])
        self._diagnostics_timer.timer_period_ns = round(period_s * 1e9)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the images; what is under way is finished, but not published."""
        self._leave()
        return super().on_deactivate(state)

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back that configuring took."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Leave the images and give everything back, from whichever state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """After an unexpected error: back to unconfigured, so that it can be tried again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _begin(self) -> None:
        """Heed changes of parameters, watch and report from now on: the end of a constructor."""
        self._forget()
        parameters.watch(self, self._apply, self._is_configured, self._table)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also while /clock stands still
        self._diagnostics_timer = self.create_timer(
            float(self._settings["diagnostics_period_s"]), self._publish_diagnostics, clock=steady
        )
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=steady)
        refuse_impossible_transitions(self)

    @abstractmethod
    def _is_configured(self) -> bool:
        """Whether the network is loaded."""

    @abstractmethod
    def _forget(self) -> None:
        """Start the books anew."""

    @abstractmethod
    def _prepare(self) -> None:
        """Take what configuring takes; whatever is raised is the reason why it failed."""

    @abstractmethod
    def _leave(self) -> None:
        """Stop taking images."""

    @abstractmethod
    def _release(self) -> None:
        """Leave the images, and give back what `_prepare` took, all of it or a part."""

    @abstractmethod
    def _apply(self, changes: Settings) -> None:
        """Put live settings into effect; the table has accepted each. ValueError refuses them."""

    @abstractmethod
    def _watch(self) -> None:
        """Look for faults, every `WATCH_PERIOD_S`."""

    @abstractmethod
    def _publish_diagnostics(self) -> None:
        """Publish how it goes, every ``diagnostics_period_s``."""
