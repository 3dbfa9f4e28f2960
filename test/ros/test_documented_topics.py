"""docs/topics.md names the topics and encodings that the node really has."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from amg_fuse_ros.image_encoding import RGB_ENCODINGS, THERMAL_ENCODINGS
from amg_fuse_ros.ros.detector_node import DetectorNode
from amg_fuse_ros.ros.fusion_node import FusionNode

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "topics.md").read_text()
OF_EVERY_NODE = {
    *("/rosout", "/parameter_events", "/clock"),
    *("/fusion_node/transition_event", "/detector_node/transition_event"),
}

pytestmark = pytest.mark.ros


@contextmanager
def active(kind, **settings):
    """A node with settings; a double underscore stands for a dot."""
    context = rclpy.Context()
    rclpy.init(context=context)
    overrides = [Parameter(name.replace("__", "."), value=v) for name, v in settings.items()]
    node = kind(context=context, parameter_overrides=overrides)
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


def topics_of(node):
    """What it subscribes to and what it publishes, each with its type."""
    who = node.get_name(), node.get_namespace()
    subscribed = node.get_subscriber_names_and_types_by_node(*who)
    published = node.get_publisher_names_and_types_by_node(*who)
    return existing(subscribed), existing(published)


def test_the_page_lists_every_topic_with_its_type(random_weights, tf2_msgs):
    settings = {
        "network__weights": str(random_weights),
        "transport__output": "both",
        "calibration__intrinsics": "topics",
        "calibration__extrinsics": "tf",
    }
    with active(FusionNode, **settings) as node:
        assert topics_of(node) == (documented("Subscribed"), documented("Published"))


def test_the_page_lists_every_topic_of_the_detector_with_its_type(vision_msgs, yolo_onnx):
    settings = {"model": str(yolo_onnx), "transport__output": "both", "lazy": False}
    with active(DetectorNode, **settings) as node:
        chapters = "Subscribed by detector_node", "Published by detector_node"
        assert topics_of(node) == tuple(documented(chapter) for chapter in chapters)


@pytest.mark.parametrize(
    ("topic", "encodings"),
    [("thermal/image_raw", THERMAL_ENCODINGS), ("rgb/image_raw", RGB_ENCODINGS)],
)
def test_the_page_lists_every_encoding(topic, encodings):
    (paragraph,) = re.findall(
        rf"^Encodings of `{topic}`: (.+?)\n\n", PAGE, re.MULTILINE | re.DOTALL
    )
    assert set(re.findall(r"`([^`]+)`", paragraph)) == set(encodings)
