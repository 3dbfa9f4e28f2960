"""docs/topics.md names the topics and encodings that the node really has."""

import re
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from amg_fuse_ros.image_encoding import RGB_ENCODINGS, THERMAL_ENCODINGS
from amg_fuse_ros.ros.fusion_node import FusionNode

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "topics.md").read_text()
OF_EVERY_NODE = {"/rosout", "/parameter_events", "/fusion_node/transition_event", "/clock"}

pytestmark = pytest.mark.ros


@pytest.fixture
def active_node(random_weights, tf2_msgs):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = FusionNode(
        context=context,
        parameter_overrides=[
            Parameter("network.weights", value=str(random_weights)),
            Parameter("transport.output", value="both"),
            Parameter("calibration.intrinsics", value="topics"),
            Parameter("calibration.extrinsics", value="tf"),
        ],
    )
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    yield node
    node.close()
    node.destroy_node()
    context.try_shutdown()


def documented(chapter):
    text = PAGE.split(f"## {chapter}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| .+ \|$", text, re.MULTILINE)
    return {"/" + name.lstrip("/"): kind for name, kind in rows}


def existing(names_and_types):
    return {name: kinds[0] for name, kinds in names_and_types if name not in OF_EVERY_NODE}


def test_the_page_lists_every_topic_with_its_type(active_node):
    name, namespace = active_node.get_name(), active_node.get_namespace()
    subscribed = active_node.get_subscriber_names_and_types_by_node(name, namespace)
    published = active_node.get_publisher_names_and_types_by_node(name, namespace)
    assert documented("Subscribed") == existing(subscribed)
    assert documented("Published") == existing(published)


@pytest.mark.parametrize(
    ("topic", "encodings"),
    [("thermal/image_raw", THERMAL_ENCODINGS), ("rgb/image_raw", RGB_ENCODINGS)],
)
def test_the_page_lists_every_encoding(topic, encodings):
    (paragraph,) = re.findall(
        rf"^Encodings of `{topic}`: (.+?)\n\n", PAGE, re.MULTILINE | re.DOTALL
    )
    assert set(re.findall(r"`([^`]+)`", paragraph)) == set(encodings)
