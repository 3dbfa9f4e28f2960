"""Real nodes read the shipped parameter file, and files made from it."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.node import Node

from amg_fuse_ros.ros import parameters
from amg_fuse_ros.settings import TABLE, defaults

PARAMETER_FILE = Path(__file__).resolve().parents[2] / "config" / "fusion.yaml"

pytestmark = pytest.mark.ros


@contextmanager
def node_with(parameter_file, namespace=None):
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", "--params-file", str(parameter_file)], context=context)
    node = Node("fusion_node", namespace=namespace, context=context)
    try:
        parameters.declare(node)
        yield node
    finally:
        node.destroy_node()
        context.try_shutdown()


def another_value(setting):
    if setting.choices:
        return next(choice for choice in setting.choices if choice != setting.default)
    if setting.minimum is not None:
        return setting.type(setting.minimum)
    if setting.form is not None:
        return "1280x720"
    return not setting.default if setting.type is bool else "another text"


def test_the_shipped_file_gives_the_defaults():
    with node_with(PARAMETER_FILE) as node:
        assert parameters.read(node) == defaults()


@pytest.mark.parametrize("namespace", ["", "/front"])
def test_each_value_of_a_file_reaches_the_node(tmp_path, namespace):
    changed = {setting.name: another_value(setting) for setting in TABLE}
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": changed}}))
    with node_with(file, namespace) as node:
        assert parameters.read(node) == changed


def test_a_value_that_cannot_be_taken_leaves_the_default_and_the_rest(tmp_path):
    text = PARAMETER_FILE.read_text()
    file = tmp_path / "typing_errors.yaml"
    file.write_text(
        text.replace("scale: 1.0", "scale: 7.0")
        .replace('"local"', '"lokal"')
        .replace("queue: 10", "queue: 20")
    )
    with node_with(file) as node:
        assert parameters.read(node) == {**defaults(), "sync.queue": 20}
