"""What a running node knows about its cameras and itself. No ROS in here."""

from amg_fuse_ros.monitoring.clocks import ClockOffset
from amg_fuse_ros.monitoring.faults import Fault, FaultBook, Severity
from amg_fuse_ros.monitoring.statistics import WINDOW_S, Statistics
from amg_fuse_ros.monitoring.stream import Event, Limits, StreamMonitor, StreamState, content_digest

__all__ = [
    "WINDOW_S",
    "ClockOffset",
    "Event",
    "Fault",
    "FaultBook",
    "Limits",
    "Severity",
    "Statistics",
    "StreamMonitor",
    "StreamState",
    "content_digest",
]
