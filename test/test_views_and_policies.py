"""Files for other programs name the node's topics as docs/topics.md does."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
TOPICS = (ROOT / "docs/topics.md").read_text()

EVERY_NODE = {"/clock", "/parameter_events", "/rosout"}
PARAMETER_SERVICES = {
    *("~/describe_parameters", "~/get_parameter_types", "~/get_parameters", "~/list_parameters"),
    *("~/set_parameters", "~/set_parameters_atomically", "~/get_type_description"),
}
LIFECYCLE_SERVICES = {
    *("~/change_state", "~/get_state", "~/get_available_states", "~/get_available_transitions"),
    "~/get_transition_graph",
}


def documented(chapter: str, kind: str = "") -> set[str]:
    """The topics in a chapter's table, those of one type only where it is given."""
    table = TOPICS.split(f"## {chapter}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)`", table, re.MULTILINE)
    return {topic for topic, type_ in rows if type_.endswith(kind)}


def with_compressed(topics: set[str], chapter: str) -> set[str]:
    return topics | {f"{topic}/compressed" for topic in documented(chapter, "msg/Image")}


def panels(layout) -> set[str]:
    if isinstance(layout, str):
        return {layout}
    assert layout["direction"] in {"row", "column"}
    return panels(layout["first"]) | panels(layout["second"])


def test_the_foxglove_layout_shows_every_image_of_the_node_and_its_diagnostics():
    layout = json.loads((CONFIG / "foxglove.json").read_text())
    shown = layout["configById"]
    assert panels(layout["layout"]) == shown.keys()
    images = {
        panel["imageMode"]["imageTopic"]
        for name, panel in shown.items()
        if name.startswith("Image!")
    }
    expected = documented("Subscribed", "msg/Image") | documented("Published", "msg/Image")
    assert images == {f"/{topic}" for topic in expected}
    diagnostics = {panel["topicToRender"] for name, panel in shown.items() if "Diagnostic" in name}
    assert diagnostics == documented("Published", "DiagnosticArray")


@pytest.fixture(scope="module")
def policy():
    """``{node: {"publish": topics, "subscribe": topics, "reply": services}}``"""
    root = ElementTree.parse(CONFIG / "sros2" / "policy.xml").getroot()
    assert root.attrib == {"version": "0.2.0"}
    found = {}
    for enclave in root.iter("enclave"):
        (profile,) = enclave.iter("profile")
        rules = found[profile.attrib["node"]] = {}
        assert enclave.attrib["path"] == f"/amg_fuse_ros/{profile.attrib['node']}"
        for part in profile:
            ((what, allowed),) = part.attrib.items()
            assert allowed == "ALLOW"
            rules[what] = {name.text for name in part}
    return found


def test_the_fusion_node_may_do_what_it_does_and_nothing_else(policy):
    rules = policy["fusion_node"]
    subscribed = with_compressed(documented("Subscribed"), "Subscribed")
    assert rules["subscribe"] == subscribed | (EVERY_NODE - {"/rosout"})
    published = with_compressed(documented("Published"), "Published")
    assert rules["publish"] == published | {"~/transition_event", "/parameter_events", "/rosout"}
    assert rules["reply"] == PARAMETER_SERVICES | LIFECYCLE_SERVICES


def test_the_detector_may_do_what_it_does_and_nothing_else(policy):
    rules = policy["detector_node"]
    subscribed, published = (f"{what} by detector_node" for what in ("Subscribed", "Published"))
    looked_at = with_compressed(documented(subscribed), subscribed)
    assert rules["subscribe"] == looked_at | (EVERY_NODE - {"/rosout"})
    own = {"~/transition_event", "/parameter_events", "/rosout"}
    assert rules["publish"] == documented(published) | own
    assert rules["reply"] == PARAMETER_SERVICES | LIFECYCLE_SERVICES


def test_the_viewer_may_look_and_nothing_else(policy):
    rules = policy["viewer_node"]
    images = documented("Subscribed", "msg/Image") | documented("Published", "msg/Image")
    looked_at = images | {f"{topic}/compressed" for topic in images} | {"/diagnostics"}
    looked_at |= {"detections", "detections/vision_info"}
    assert rules["subscribe"] == looked_at | (EVERY_NODE - {"/rosout"})
    assert rules["publish"] == {"/parameter_events", "/rosout"}
    assert rules["reply"] == PARAMETER_SERVICES
