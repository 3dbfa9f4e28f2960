"""A process of one node or several: starts, spins, and ends them quickly and quietly when asked.

rclpy is imported when it is needed, so that signals are heeded before that takes its time.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SPIN_S = 0.1
"""A signal is noticed after this many seconds at most, while nothing is under way."""

GRACE_S = 1.5
"""What is under way when a signal comes, such as loading a network on request, has this long."""


class RunnableNode(Protocol):
    """What :func:`run_node` needs of a node, beside being one."""

    def start(self) -> None:
        """Begin; called once, before spinning. May take long."""

    def close(self) -> None:
        """Stop working; what is under way may be left behind, the process ends after this."""

    def destroy_node(self) -> None:
        """Give the node's ROS entities back."""

    def get_logger(self) -> Any:
        """Where to report."""


class StopRequest:
    """Remembers that SIGINT or SIGTERM came, and sees to it that the process ends in time.

    While the node starts the process leaves at once. A second signal changes nothing: launch and
    impatient people send one, and it must not turn a clean end into a traceback.
    """

    def __init__(self) -> None:
        """Take the signals from now on; call it in the main thread."""
        self.asked = False
        self.starting = True
        for number in SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        if self.starting:
            _leave_now()
        if not self.asked:
            self.asked = True
            deadline = threading.Timer(GRACE_S, _leave_now)
            deadline.daemon = True
            deadline.start()


def run_node(
    find_node: Callable[[], Callable[[], Any]],
    args: list[str] | None = None,
) -> None:
    """Run one node until SIGINT, SIGTERM or the context's shutdown, then end the process.

    Args:
        find_node: Imports and returns what makes a :class:`RunnableNode` when called without
            arguments.
        args: Command line with ROS arguments, by default that of the process.
    """
    run_nodes(lambda: [find_node()], args)


def run_nodes(
    find_nodes: Callable[[], Sequence[Callable[[], Any]]],
    args: list[str] | None = None,
) -> None:
    """Run nodes in one process and one executor; see :func:`run_node`.

    Args:
        find_nodes: Imports and returns what makes each :class:`RunnableNode`.
        args: Command line with ROS arguments, by default that of the process.
    """
    request = StopRequest()
    makers = find_nodes()
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        nodes = [make() for make in makers]
    except RuntimeError as error:  # arguments that ROS cannot read, a parameter file among them
        sys.stderr.write(f"cannot start: {error}\n")
        _leave_now(status=1)
    executor = SingleThreadedExecutor()
    for node in nodes:
        node.start()
        executor.add_node(node)
    request.starting = False
    while rclpy.ok() and not request.asked:
        try:
            executor.spin_once(timeout_sec=SPIN_S)
        except ExternalShutdownException:
            break
        except Exception as error:  # one failed callback must not end a vehicle's node
            nodes[0].get_logger().error(f"a callback failed: {type(error).__name__}: {error}")
    for node in nodes:
        node.close()
    executor.shutdown(timeout_sec=0.2)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()
    # Not through the interpreter's own end: there a second SIGINT would meet no handler (status
    # -2 under launch), and a thread inside a long inference would hold it up or crash with it.
    _leave_now()


def _leave_now(status: int = 0) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
