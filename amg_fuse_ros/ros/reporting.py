"""How a node tells of itself: faults in its log, its state in ``/diagnostics``."""

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode

from amg_fuse_ros.monitoring import FaultBook, Severity
from amg_fuse_ros.ros.diagnostics import LEVELS, make_diagnostics
from amg_fuse_ros.ros.lifecycle import state_of


class Reporter:
    """Writes a node's log and publishes its diagnostics."""

    def __init__(self, node: LifecycleNode, part: str) -> None:
        """Create the publisher.

        Args:
            node: Of whom is told.
            part: What it does: ``fusion``, ``detection``.
        """
        self._node, self._part = node, part
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def tell(self, severity: Severity, text: str) -> None:
        """Write a line into the log."""
        # A line for each: rclpy ties a severity to the line that first logged with it.
        if severity is Severity.ERROR:
            self._node.get_logger().error(text)
        elif severity is Severity.WARN:
            self._node.get_logger().warning(text)
        else:
            self._node.get_logger().info(text)

    def publish_unconfigured(self, problem: str) -> None:
        """Publish that there is nothing to tell yet.

        Args:
            problem: Why the node could not be configured; else empty.
        """
        state = state_of(self._node)
        severity = Severity.ERROR if problem else Severity.WARN
        self.publish(severity, problem or state, {"state": state})

    def publish(self, severity: Severity, message: str, values: Mapping[str, object]) -> None:
        """Publish a status.

        Args:
            severity: Of the worst fault.
            message: One line for people.
            values: Key to value, shown as text.
        """
        self._publisher.publish(
            make_diagnostics(
                stamp=self._node.get_clock().now().to_msg(),
                node_name=self._node.get_fully_qualified_name(),
                level=LEVELS[severity],
                message=message,
                values=values,
                part=self._part,
            )
        )


def worst_of(faults: FaultBook) -> tuple[Severity, str] | None:
    """The worst fault that holds, and how many there are beside it; ``None`` without any."""
    if faults.worst is None:
        return None
    others = len(faults.current) - 1
    return faults.worst.severity, faults.worst.text + (f" (and {others} more)" if others else "")


def fault_values(faults: FaultBook) -> dict[str, object]:
    """All faults that hold, by the names that /diagnostics shows."""
    return {f"fault: {fault.key}": fault.text for fault in faults.current.values()}
