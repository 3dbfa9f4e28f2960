"""A node's process: starts it, spins it, and ends it quickly and quietly when asked to."""

import os
import signal
import sys
from typing import Any, Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SPIN_S = 0.1
"""A signal is noticed after this many seconds at most."""


class RunnableNode(Protocol):
    """What :func:`run_node` needs of a node, beside being one."""

    def start(self) -> None:
        """Begin; called once, before spinning. May take long."""

    def close(self) -> bool:
        """Stop working; returns whether all threads have ended."""

    def destroy_node(self) -> None:
        """Give the node's ROS entities back."""


class _StopRequest:
    """Signals end the process with status 0: at once while it starts, else when the loop sees it.

    A second signal while the node is closing changes nothing: launch and impatient people send
    one, and it must not turn a clean end into a traceback.
    """

    def __init__(self) -> None:
        self.asked = False
        self.starting = True
        for number in SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        if self.starting:
            _leave_now()


def run_node(make_node: Any, args: list[str] | None = None) -> None:
    """Run one node until SIGINT, SIGTERM or the context's shutdown; never a traceback for those.

    Args:
        make_node: Called without arguments, returns a :class:`RunnableNode`.
        args: Command line with ROS arguments, by default that of the process.
    """
    request = _StopRequest()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = make_node()
    node.start()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    request.starting = False
    try:
        while rclpy.ok() and not request.asked:
            executor.spin_once(timeout_sec=SPIN_S)
    except ExternalShutdownException:
        pass
    ended = node.close()
    executor.shutdown(timeout_sec=0.2)
    node.destroy_node()
    rclpy.try_shutdown()
    if not ended:
        # A thread is inside a long inference. The interpreter would wait for it or crash with it;
        # all that matters has been given back.
        _leave_now()


def _leave_now() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
