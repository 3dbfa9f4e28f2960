"""With config/fastdds.xml, camera images reach a best-effort subscriber of another process."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
FRAMES = 100

COMMON = """
import array, sys, time
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

frames = int(sys.argv[1])
rclpy.init()
node = rclpy.create_node(sys.argv[2])
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""

SUBSCRIBER = (
    COMMON
    + """
numbers = set()
matched = lambda info: info.current_count and print("matched", flush=True)
node.create_subscription(
    Image, "/camera", lambda message: numbers.add(int(message.header.frame_id)), qos,
    event_callbacks=SubscriptionEventCallbacks(matched=matched),
)
# The publisher repeats its last image until nobody listens, so the end is never lost.
while frames not in numbers:
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(numbers - {frames}), flush=True)
"""
)

PUBLISHER = (
    COMMON
    + """
publisher = node.create_publisher(Image, "/camera", qos)
message = Image(height=480, width=640, encoding="rgb8", step=1920)
message.data = array.array("B", bytes(480 * 1920))
while not publisher.get_subscription_count():
    time.sleep(0.01)
sys.stdin.readline()
start, number = time.monotonic(), 0
while publisher.get_subscription_count():
    message.header.frame_id = str(min(number, frames))
    publisher.publish(message)
    number += 1
    time.sleep(max(0, start + number / 30 - time.monotonic()))
"""
)


@pytest.mark.ros
def test_images_at_30_hz_arrive_without_loss_from_process_to_process():
    # Jazzy's Fast DDS reads the first name, that of later distributions the second.
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    environment = os.environ | dict.fromkeys(names, str(PROFILE))

    def start(script, name):
        return subprocess.Popen(
            [sys.executable, "-c", script, str(FRAMES), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    subscriber, publisher = start(SUBSCRIBER, "subscriber"), start(PUBLISHER, "publisher")
    try:
        assert subscriber.stdout.readline() == "matched\n"
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
        received, _ = subscriber.communicate(timeout=60)
        publisher.wait(timeout=30)
    finally:
        subscriber.kill()
        publisher.kill()
    assert int(received) >= 0.99 * FRAMES


def test_the_profile_is_the_default_of_every_participant():
    space = {"": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    root = ElementTree.parse(PROFILE).getroot()
    (participant,) = root.iterfind("profiles/participant", space)
    assert participant.get("is_default_profile") == "true"
    used = {e.text for e in participant.iterfind("rtps/userTransports/transport_id", space)}
    described = {
        e.findtext("transport_id", None, space): e.findtext("type", None, space)
        for e in root.iterfind("profiles/transport_descriptors/transport_descriptor", space)
    }
    assert {described[transport] for transport in used} == {"SHM", "UDPv4"}
