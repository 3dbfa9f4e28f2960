"""Plays a recorded bag into ROS topics, for machines without ``ros2 bag play``.

Messages are published as the bytes that were recorded, at the times they were recorded. On request
their stamps move to the present, so that nodes which compare them with the clock can be tried on
yesterday's bag.
"""

import importlib
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException, ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock as ClockMessage

from amg_fuse_ros.bags.recording import BagError, RawMessage, Recording, typestore

LATE_S = 0.05
"""A message published this much after its time is counted as late."""

CLOCK_PERIOD_S = 0.01
LONGEST_WAIT_S = 0.1
"""How long a wait may overlook a signal."""

ACKNOWLEDGE_S = 5.0
"""How long the player waits for reliable subscribers at the end; Fast DDS asks them every 3 s."""

LINGER_S = 0.5
"""How long best-effort subscribers have for the last messages."""


class _Parameter(NamedTuple):
    name: str
    default: Any
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()


PARAMETERS = (
    _Parameter("bag", "", "Bag folder, .mcap or .db3 file to play."),
    _Parameter("topics", [""], "Topics to play; all of the standard types when empty."),
    _Parameter("rate", 1.0, "Speed: 2.0 plays twice as fast.", (0.01, 100.0)),
    _Parameter("loop", False, "Start over at the end."),
    _Parameter(
        "stamp",
        "bag",
        "Header stamps: 'bag' as recorded, 'now' moved to the time of publishing; the offsets "
        "between the topics stay.",
        choices=("bag", "now"),
    ),
    _Parameter("clock", False, "Publish /clock, for nodes with use_sim_time."),
    _Parameter("start_delay", 0.2, "Seconds between finding subscribers and the start.", (0, 600)),
    _Parameter(
        "wait_for_subscribers", 0, "Start when each topic has so many subscribers.", (0, 100)
    ),
    _Parameter("wait_timeout", 15.0, "Seconds to wait for them before starting anyway.", (0, 3600)),
    _Parameter(
        "reliability",
        "reliable",
        "QoS offered to subscribers.",
        choices=("reliable", "best_effort"),
    ),
)


class _Lap(NamedTuple):
    """Maps times of the bag to this machine's clocks, for one run through the bag."""

    bag_ns: int
    """Record time of the first message."""
    monotonic: float
    """`time.monotonic` at that message."""
    wall_ns: int
    """`time.time_ns` at that message."""
    rate: float

    def due(self, record_ns: int) -> float:
        """`time.monotonic` at which a message is to be published."""
        return self.monotonic + (record_ns - self.bag_ns) / 1e9 / self.rate

    def present(self, bag_ns: int) -> int:
        """The wall time at which a moment of the bag is played, nanoseconds."""
        return self.wall_ns + round((bag_ns - self.bag_ns) / self.rate)

    def elapsed(self) -> int:
        """The moment of the bag that is being played, nanoseconds."""
        return self.bag_ns + round((time.monotonic() - self.monotonic) * 1e9 * self.rate)


class BagPlayer(Node):
    """Publishes the messages of a bag.

    Args:
        stopped: Tells whether to end early; asked at least every 0.1 s.
        node_options: As `rclpy.node.Node` takes them.

    Raises:
        ParameterException: For parameters of the wrong type or outside their range.
        ValueError: For a parameter with another value than its choices.
    """

    def __init__(self, stopped: Callable[[], bool], **node_options: Any) -> None:
        super().__init__("bag_player", **node_options)
        self._stopped = stopped
        self._options = {parameter.name: self._declared(parameter) for parameter in PARAMETERS}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._publishers_by_topic: dict[str, Publisher] = {}
        self._types: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._late = 0
        self._stamped: set[str] = set()
        self._latency_ns = 0
        self._lap: _Lap | None = None

    def play(self) -> None:
        """Plays the bag to its end, then logs how many messages of each topic went out.

        Raises:
            BagError: If the bag cannot be read, or holds nothing to play.
        """
        started = time.monotonic()
        path = self._options["bag"]
        if not path:
            raise BagError("no bag was named; set the parameter: -p bag:=PATH")
        with Recording(path) as recording:
            self._advertise(recording)
            self._latency_ns = self._shortest_latency(recording)
            self._wait_for_subscribers()
            self._wait_until(time.monotonic() + self._options["start_delay"])
            if self._options["clock"]:
                self._start_clock()
            try:
                self._play_laps(recording)
            finally:
                self._deliver()
                self._log_summary(time.monotonic() - started)

    def destroy_node(self) -> None:
        """Ends the node and its executor."""
        self._executor.shutdown()
        super().destroy_node()

    def _declared(self, parameter: _Parameter) -> Any:
        descriptor = ParameterDescriptor(description=parameter.description, read_only=True)
        if parameter.limits is not None:
            low, high = parameter.limits
            if isinstance(parameter.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high))
                ]
        if parameter.choices:
            descriptor.additional_constraints = f"One of {', '.join(parameter.choices)}."
        value = self.declare_parameter(parameter.name, parameter.default, descriptor).value
        if parameter.choices and value not in parameter.choices:
            choices = " or ".join(map(repr, parameter.choices))
            raise ValueError(f"parameter {parameter.name!r} should be {choices}, not {value!r}")
        return value

    def _advertise(self, recording: Recording) -> None:
        chosen = {topic for topic in self._options["topics"] if topic}
        unknown = chosen - recording.topics().keys()
        if unknown:
            raise BagError(
                f"{recording.path} has no topic {', '.join(sorted(unknown))}; "
                f"it has {', '.join(recording.topics()) or 'none'}"
            )
        reliability = ReliabilityPolicy[self._options["reliability"].upper()]
        self._types = recording.types()
        for topic, msgtype in self._types.items():
            if chosen and topic not in chosen:
                continue
            try:
                self._publishers_by_topic[topic] = self.create_publisher(
                    _message_class(msgtype), topic, QoSProfile(depth=10, reliability=reliability)
                )
            except (ImportError, InvalidTopicNameException, ValueError) as error:
                self.get_logger().warning(f"{topic} is not played: {error}")
                continue
            self._counts[topic] = 0
            if _starts_with_header(msgtype):
                self._stamped.add(topic)
        if not self._counts:
            raise BagError(f"{recording.path} has no topic that can be played")

    def _shortest_latency(self, recording: Recording) -> int:
        """From stamp to recording in the freshest topic, judged by the first messages.

        Taken off when stamps move to the present, it makes the freshest topic current and lets the
        others lag behind it as they did; a camera with a clock of its own comes to the present.
        """
        latencies = []
        for topic in self._stamped:
            message = next(recording.messages([topic]), None)
            if message is not None and (stamp_ns := _stamp_ns(message.data)):
                latencies.append(message.record_ns - stamp_ns)
        return min(latencies, default=0)

    def _wait_for_subscribers(self) -> None:
        wanted = self._options["wait_for_subscribers"]
        deadline = time.monotonic() + self._options["wait_timeout"]
        while missing := [
            f"{topic} ({publisher.get_subscription_count()})"
            for topic, publisher in self._publishers_by_topic.items()
            if publisher.get_subscription_count() < wanted
        ]:
            if self._stopped():
                return
            if time.monotonic() > deadline:
                self.get_logger().warning(
                    f"Starting without {wanted} subscribers on {', '.join(missing)}."
                )
                return
            self._executor.spin_once(timeout_sec=0.02)

    def _start_clock(self) -> None:
        publisher = self.create_publisher(ClockMessage, "/clock", 10)

        def tick() -> None:
            if self._lap is not None:
                moment = self._lap.elapsed()
                if self._options["stamp"] == "now":
                    moment = self._lap.present(moment)
                message = ClockMessage()
                message.clock.sec, message.clock.nanosec = divmod(max(0, moment), 10**9)
                publisher.publish(message)

        # Of the steady clock: with use_sim_time the node's own clock would wait for this one.
        self.create_timer(CLOCK_PERIOD_S, tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _play_laps(self, recording: Recording) -> None:
        rate = self._options["rate"]
        start, wall_ns = time.monotonic(), time.time_ns()
        # One frame of the fastest topic between the end and the beginning.
        frames = max(recording.topics()[topic] for topic in self._counts)
        lap_ns = recording.duration_ns + recording.duration_ns // max(1, frames - 1)
        lap_ns = max(lap_ns, 10_000_000)
        again = ", again and again" if self._options["loop"] else ""
        seconds = recording.duration_ns / 1e9 / rate
        topics = ", ".join(self._counts)
        self.get_logger().info(f"Playing {seconds:.1f} s of {topics}{again}")
        for number in range(sys.maxsize if self._options["loop"] else 1):
            offset_ns = round(number * lap_ns / rate)
            lap = _Lap(recording.start_ns, start + offset_ns / 1e9, wall_ns + offset_ns, rate)
            for message in recording.messages(self._counts.keys()):
                if not self._wait_until(lap.due(message.record_ns)):
                    return
                self._lap = lap
                self._publish(message, lap)

    def _publish(self, message: RawMessage, lap: _Lap) -> None:
        if message.msgtype != self._types[message.topic]:
            return  # a topic recorded with two types has a publisher of one
        data = message.data
        if self._options["stamp"] == "now" and message.topic in self._stamped:
            # A driver that does not stamp leaves 0: the record time stands in.
            stamp_ns = _stamp_ns(data) or message.record_ns - self._latency_ns
            data = _restamped(data, lap.present(stamp_ns + self._latency_ns))
        self._late += time.monotonic() - lap.due(message.record_ns) > LATE_S
        self._publishers_by_topic[message.topic].publish(data)
        self._counts[message.topic] += 1

    def _wait_until(self, moment: float) -> bool:
        """Serves the node until a time of `time.monotonic`; False if the player is to end."""
        while not self._stopped():
            left = moment - time.monotonic()
            if left <= 0:
                return True
            # The executor wakes up a little late, a sleep does not.
            if left > 0.003:
                self._executor.spin_once(timeout_sec=min(left - 0.002, LONGEST_WAIT_S))
            else:
                time.sleep(left)
        return False

    def _deliver(self) -> None:
        if self._options["reliability"] == "best_effort":
            self._wait_until(time.monotonic() + LINGER_S)
            return
        deadline = time.monotonic() + ACKNOWLEDGE_S
        for publisher in self._publishers_by_topic.values():
            acknowledged = False
            while not acknowledged and not self._stopped() and time.monotonic() < deadline:
                acknowledged = publisher.wait_for_all_acked(Duration(seconds=LONGEST_WAIT_S))
            if not acknowledged and not self._stopped():
                self.get_logger().warning(
                    f"A subscriber of {publisher.topic} has not taken the last messages."
                )

    def _log_summary(self, seconds: float) -> None:
        counts = ", ".join(f"{topic} {count}" for topic, count in self._counts.items())
        total = sum(self._counts.values())
        self.get_logger().info(
            f"Played {total} messages in {seconds:.1f} s, {self._late} late: {counts}"
        )


def main(args: list[str] | None = None) -> int:
    """The console script ``bag_player``.

    Args:
        args: Command line; of the process when not given.

    Returns:
        The exit code: 0 at the end of the bag or after Ctrl-C, 1 if the bag could not be played.
    """
    with _signals() as stopped:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        player = None
        try:
            player = BagPlayer(stopped)
            player.play()
        except (BagError, ParameterException, ValueError) as error:
            rclpy.logging.get_logger("bag_player").fatal(str(error))
            return 1
        finally:
            if player is not None:
                player.destroy_node()
            rclpy.try_shutdown()
    return 0


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into a question, however many of them come.

    At the end both stay ignored: launch sends a second one, and it must not meet a process that
    is shutting down.
    """
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _message_class(msgtype: str) -> type:
    """The class of a message type; only of the standard types, since a bag names them."""
    if msgtype not in typestore().fielddefs:
        raise ValueError(f"{msgtype} is not a standard ROS 2 message")
    package, _, name = msgtype.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    return found


def _starts_with_header(msgtype: str) -> bool:
    fields = typestore().fielddefs[msgtype][1]
    return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"


def _byte_order(data: bytes) -> str:
    """Of CDR, by its encapsulation header."""
    return "<" if data[1:2] == b"\x01" else ">"


def _stamp_ns(data: bytes) -> int:
    """The stamp of a serialised message that starts with a header, nanoseconds; 0 if cut short."""
    if len(data) < 12:
        return 0
    sec, nanosec = struct.unpack_from(_byte_order(data) + "iI", data, 4)
    return sec * 10**9 + nanosec


def _restamped(data: bytes, stamp_ns: int) -> bytes:
    """The serialised message with another stamp: seconds and nanoseconds behind 4 bytes of CDR."""
    if len(data) < 12:
        return data
    stamp = struct.pack(_byte_order(data) + "iI", *divmod(stamp_ns, 10**9))
    return b"".join((data[:4], stamp, memoryview(data)[12:]))


if __name__ == "__main__":
    sys.exit(main())
