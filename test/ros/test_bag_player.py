"""The player puts recorded bytes into topics, in order and complete, and always ends cleanly."""

import itertools
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rcl_interfaces.srv import DescribeParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from amg_fuse_ros.bags import CameraModel, Header
from amg_fuse_ros.bags.recording import typestore
from amg_fuse_ros.bags.writing import camera_info_message, image_message

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
LAG_NS = 8_000_000
THERMAL, RGB, INFO = "/thermal/image_raw", "/rgb/image_raw", "/rgb/camera_info"
TYPES = {THERMAL: Image, RGB: Image, INFO: CameraInfo}
PATIENCE_S = 30

pytestmark = pytest.mark.ros


def record(path, count, storage=StoragePlugin.MCAP):
    """A bag of thermal, visible and CameraInfo messages; thermal is stamped before visible."""
    model = CameraModel([500, 0, 8, 0, 500, 6, 0, 0, 1])
    with Writer(path, version=8, storage_plugin=storage) as writer:
        connections = {
            topic: writer.add_connection(
                topic, f"sensor_msgs/msg/{kind.__name__}", typestore=typestore()
            )
            for topic, kind in TYPES.items()
        }
        for number in range(count):
            stamp_ns = START_NS + number * FRAME_NS
            header = Header(stamp_ns + LAG_NS, "front")
            messages = {
                THERMAL: image_message(
                    np.full((6, 8), number, np.uint16), "mono16", Header(stamp_ns, "lwir")
                ),
                RGB: image_message(np.full((12, 16, 3), number, np.uint8), "rgb8", header),
                INFO: camera_info_message(model, 16, 12, header),
            }
            for offset, (topic, message) in enumerate(messages.items()):
                data = typestore().serialize_cdr(message, message.__msgtype__)
                writer.write(connections[topic], stamp_ns + 20_000_000 + offset, data)
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return record(tmp_path_factory.mktemp("bags") / "bag", 12)


@pytest.fixture(scope="module")
def node():
    rclpy.init()
    node = rclpy.create_node("listener")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def start():
    """Starts players that are gone when the test ends."""
    players = []

    def start(**parameters):
        options = [x for name, value in parameters.items() for x in ("-p", f"{name}:={value}")]
        player = subprocess.Popen(
            [sys.executable, "-m", "amg_fuse_ros.ros.bag_player", "--ros-args", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
        )
        players.append(player)
        return player

    yield start
    for player in players:
        # Not killed: a participant that does not say goodbye stays in the graph for 20 s.
        player.terminate()
        try:
            player.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            player.kill()
            raise


class Listener:
    """Collects the serialised messages of the bag's topics."""

    def __init__(self, node, reliability=ReliabilityPolicy.RELIABLE, topics=tuple(TYPES)):
        self.node = node
        self.received = defaultdict(list)
        self.order = []
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(node)
        qos = QoSProfile(depth=100, reliability=reliability)
        self.subscriptions = [
            node.create_subscription(TYPES[topic], topic, self._taker(topic), qos, raw=True)
            for topic in topics
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for subscription in self.subscriptions:
            self.node.destroy_subscription(subscription)
        self.executor.shutdown()

    def _taker(self, topic):
        def take(data):
            self.received[topic].append(data)
            self.order.append(topic)

        return take

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"received {self.counts()}"
            self.executor.spin_once(timeout_sec=0.05)

    def counts(self):
        return {topic: len(messages) for topic, messages in self.received.items()}

    def messages(self, topic):
        return [deserialize_message(data, TYPES[topic]) for data in self.received[topic]]


def output_of(player):
    output, _ = player.communicate(timeout=PATIENCE_S)
    return output


def stamp_ns(message):
    return Header.of(message).stamp_ns


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_every_message_arrives_byte_by_byte_and_in_order(tmp_path, node, start, storage):
    bag = record(tmp_path / "bag", 12, storage)
    with Listener(node) as listener:
        player = start(bag=bag, wait_for_subscribers=1)
        listener.until(lambda: len(listener.order) == 36)
        output = output_of(player)
    assert player.returncode == 0
    assert "Played 36 messages" in output
    assert f"{INFO} 12, {RGB} 12, {THERMAL} 12" in output
    assert listener.order == [THERMAL, RGB, INFO] * 12
    thermal = listener.messages(THERMAL)
    assert [stamp_ns(message) for message in thermal] == [
        START_NS + number * FRAME_NS for number in range(12)
    ]
    assert [message.data[0] for message in thermal] == list(range(12))
    assert {message.header.frame_id for message in listener.messages(RGB)} == {"front"}
    assert [message.k[0] for message in listener.messages(INFO)] == [500.0] * 12


def test_best_effort_subscribers_are_served_too(bag, node, start):
    with Listener(node, ReliabilityPolicy.BEST_EFFORT) as listener:
        player = start(bag=bag, wait_for_subscribers=1, reliability="best_effort")
        listener.until(lambda: player.poll() is not None or len(listener.order) == 36)
    assert output_of(player).count("Played 36 messages") == 1
    assert player.returncode == 0
    assert listener.counts()[RGB] >= 10


def test_stamps_move_to_the_present_and_keep_their_offsets(bag, node, start):
    before = time.time_ns()
    with Listener(node) as listener:
        start(bag=bag, wait_for_subscribers=1, stamp="now")
        listener.until(lambda: len(listener.order) == 36)
    after = time.time_ns()
    thermal = [stamp_ns(message) for message in listener.messages(THERMAL)]
    rgb = [stamp_ns(message) for message in listener.messages(RGB)]
    info = [stamp_ns(message) for message in listener.messages(INFO)]
    assert before < rgb[0] < rgb[-1] < after
    assert {b - a for a, b in zip(thermal, rgb, strict=True)} == {LAG_NS}
    assert {b - a for a, b in itertools.pairwise(rgb)} == {FRAME_NS}
    assert info == rgb
    assert [message.data[0] for message in listener.messages(THERMAL)] == list(range(12))
    assert {message.header.frame_id for message in listener.messages(THERMAL)} == {"lwir"}


def test_the_clock_follows_the_bag(bag, node, start):
    ticks = []
    subscription = node.create_subscription(Clock, "/clock", ticks.append, 10)
    with Listener(node) as listener:
        start(bag=bag, wait_for_subscribers=1, clock=True)
        listener.until(lambda: len(listener.order) == 36 and len(ticks) > 5)
    node.destroy_subscription(subscription)
    times = [tick.clock.sec * 10**9 + tick.clock.nanosec for tick in ticks]
    assert times == sorted(times)
    assert times[0] >= START_NS


def test_only_the_named_topics_are_played(bag, start):
    player = start(bag=bag, topics=f"[{THERMAL}]")
    output = output_of(player)
    assert player.returncode == 0
    assert "Played 12 messages" in output
    assert RGB not in output


def test_a_looping_bag_goes_on_until_it_is_told_to_end(bag, node, start):
    with Listener(node) as listener:
        player = start(bag=bag, wait_for_subscribers=1, loop=True, rate=4.0, stamp="now")
        listener.until(lambda: len(listener.received[THERMAL]) >= 30)
        player.send_signal(signal.SIGTERM)
        output = output_of(player)
    assert player.returncode == 0
    assert "Traceback" not in output
    numbers = [message.data[0] for message in listener.messages(THERMAL)]
    assert numbers[:30] == [*range(12), *range(12), *range(6)]
    stamps = [stamp_ns(message) for message in listener.messages(RGB)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 3], ids=str
)
def test_a_signal_ends_the_player_without_a_traceback(bag, node, start, signals):
    with Listener(node) as listener:
        player = start(bag=bag, wait_for_subscribers=1, loop=True)
        listener.until(lambda: len(listener.order) > 3)
        for number in signals:
            player.send_signal(number)
        output = output_of(player)
    assert player.returncode == 0
    assert "Traceback" not in output
    assert "Playing " in output
    assert ", again and again" in output
    assert "Played " in output


def test_waiting_for_subscribers_ends_at_a_signal_and_after_its_timeout(bag, start):
    waiting = start(bag=bag, wait_for_subscribers=5, wait_timeout=600.0, clock=True)
    impatient = start(bag=bag, wait_for_subscribers=5, wait_timeout=0.5, rate=10.0)
    output = output_of(impatient)
    assert "Starting without 5 subscribers" in output
    assert "Played 36 messages" in output
    assert impatient.returncode == 0
    waiting.send_signal(signal.SIGINT)
    assert "Traceback" not in output_of(waiting)
    assert waiting.returncode == 0


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "no bag was named; set the parameter: -p bag:=PATH"),
        ({"bag": "/nowhere/bag"}, "there is no bag at /nowhere/bag"),
        ({"bag": "BAG", "topics": "[/depth]"}, "has no topic /depth; it has /rgb/camera_info"),
        ({"bag": "BAG", "stamp": "tomorrow"}, "'stamp' should be 'bag' or 'now', not 'tomorrow'"),
        ({"bag": "BAG", "rate": "-1.0"}, "rate"),
        ({"bag": "BAG", "rate": "fast"}, "rate"),
        ({"bag": "BAG", "wait_for_subscribers": "-3"}, "wait_for_subscribers"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(bag, start, parameters, complaint):
    player = start(**{name: str(bag) if v == "BAG" else v for name, v in parameters.items()})
    output = output_of(player)
    assert player.returncode == 1
    assert complaint in output
    assert "Traceback" not in output


def test_a_type_that_is_not_standard_is_left_out_and_the_rest_played(tmp_path, start):
    mixed = tmp_path / "mixed"
    with Writer(mixed, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        known = writer.add_connection(THERMAL, "sensor_msgs/msg/Image", typestore=typestore())
        evil = writer.add_connection("/evil", "os/msg/path", msgdef="uint8 x", rihs01="RIHS01_0")
        message = image_message(np.zeros((4, 4), np.uint8), "mono8", Header(START_NS, ""))
        data = typestore().serialize_cdr(message, message.__msgtype__)
        writer.write(known, START_NS, data)
        writer.write(evil, START_NS, data)
    output = output_of(start(bag=mixed))
    assert "/evil is not played: os/msg/path is not a standard ROS 2 message" in output
    assert "Played 1 messages" in output


def test_a_damaged_bag_is_played_up_to_the_damage_and_told(tmp_path, start):
    bag = record(tmp_path / "bag", 4, StoragePlugin.SQLITE3)
    with sqlite3.connect(bag / "bag.db3") as database:
        database.execute("UPDATE messages SET data = 'text' WHERE id = 8")
    player = start(bag=bag)
    output = output_of(player)
    assert player.returncode == 1
    assert "Played 7 messages" in output
    assert "reading broke off after 7 messages" in output


def test_the_parameters_describe_themselves(bag, node, start):
    client = node.create_client(DescribeParameters, "/bag_player/describe_parameters")
    with Listener(node) as listener:
        player = start(bag=bag, wait_for_subscribers=9, wait_timeout=600.0)
        listener.until(client.service_is_ready)
        names = ["bag", "rate", "stamp", "wait_for_subscribers"]
        futures, ask_at = [], 0.0

        def answered():
            # Asked again: the player may answer before it has found this client's reader.
            nonlocal ask_at
            if time.monotonic() >= ask_at:
                futures.append(client.call_async(DescribeParameters.Request(names=names)))
                ask_at = time.monotonic() + 3
            return any(future.done() for future in futures)

        listener.until(answered)
        player.send_signal(signal.SIGINT)
        output_of(player)
    node.destroy_client(client)
    answer = next(future for future in futures if future.done())
    by_name = {found.name: found for found in answer.result().descriptors}
    assert all(found.description and found.read_only for found in by_name.values())
    assert by_name["rate"].floating_point_range[0].to_value == 100.0
    assert by_name["wait_for_subscribers"].integer_range[0].from_value == 0
    assert by_name["stamp"].additional_constraints == "One of bag, now."
