"""Launch files declare described arguments; where launch_ros is installed they are loaded."""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from amg_fuse_ros import detector_settings
from amg_fuse_ros.settings import BY_NAME

ROOT = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
RVIZ = ROOT / "config" / "fusion.rviz"

each_launch_file = pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)


def declarations(path):
    """Argument names and the keywords they were declared with, from the source alone."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument":
            found[ast.literal_eval(node.args[0])] = {k.arg: k.value for k in node.keywords}
    return found


def loaded(path):
    for package in ("launch", "launch_ros"):
        # A folder of this name on the path is found, too, but is no package.
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            pytest.skip(f"{package} is not installed: {path.name} was compiled, not loaded")
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def test_the_launch_files_are_there():
    assert [path.name for path in LAUNCH_FILES] == [
        "fusion.launch.py",
        "fusion_detector.launch.py",
        "multi_camera.launch.py",
        "replay.launch.py",
    ]


@each_launch_file
def test_every_argument_is_described(path):
    arguments = declarations(path)
    assert arguments
    for name, keywords in arguments.items():
        assert ast.literal_eval(keywords["description"]).endswith("."), name


@each_launch_file
def test_a_switch_names_its_choices(path):
    for name, keywords in declarations(path).items():
        default = getattr(keywords.get("default_value"), "value", None)
        if default in ("true", "false"):
            assert "choices" in keywords, name


@each_launch_file
def test_it_loads_with_the_arguments_it_declares(path):
    description = loaded(path)
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert declarations(path).keys() <= arguments.keys()
    assert all(argument.description for argument in arguments.values())


def test_a_replay_takes_the_arguments_of_the_fusion_it_includes():
    replay = {a.name for a in loaded(ROOT / "launch" / "replay.launch.py").get_launch_arguments()}
    assert declarations(ROOT / "launch" / "fusion.launch.py").keys() <= replay


def test_a_detector_takes_the_arguments_of_the_fusion_it_looks_at():
    path = ROOT / "launch" / "fusion_detector.launch.py"
    taken = {argument.name for argument in loaded(path).get_launch_arguments()}
    assert declarations(ROOT / "launch" / "fusion.launch.py").keys() <= taken


@pytest.mark.parametrize(
    ("file", "name", "settings"),
    [
        ("fusion.launch.py", "OVERRIDES", BY_NAME),
        ("fusion_detector.launch.py", "DETECTOR_OVERRIDES", detector_settings.BY_NAME),
    ],
)
def test_overriding_arguments_are_empty_unless_given_and_name_real_settings(file, name, settings):
    tree = ast.parse((ROOT / "launch" / file).read_text())
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == name
    )
    arguments = {
        **declarations(ROOT / "launch" / "fusion.launch.py"),
        **declarations(ROOT / "launch" / file),
    }
    for argument, entry in zip(table.keys, table.values, strict=True):
        parameter, value_type = ast.literal_eval(entry.elts[0]), entry.elts[1].id
        assert ast.literal_eval(arguments[argument.value]["default_value"]) == ""
        if parameter != "use_sim_time":  # of every node
            assert settings[parameter].type.__name__ == value_type


@pytest.fixture(scope="module")
def rviz():
    return yaml.safe_load(RVIZ.read_text())


def test_rviz_shows_four_images_whatever_the_publishers_reliability(rviz):
    displays = rviz["Visualization Manager"]["Displays"]
    assert {display["Class"] for display in displays} == {"rviz_default_plugins/Image"}
    assert {d["Name"]: d["Topic"]["Value"] for d in displays} == {
        "Thermal": "thermal/image_raw",
        "RGB": "rgb/image_raw",
        "Fused": "fused/image",
        "Mask": "fused/mask",
    }
    assert {d["Topic"]["Reliability Policy"] for d in displays} == {"Best Effort"}


def test_rviz_has_a_place_for_each_of_its_panels(rviz):
    state = bytes.fromhex(rviz["Window Geometry"]["QMainWindow State"]).decode("latin-1")
    names = [display["Name"] for display in rviz["Visualization Manager"]["Displays"]]
    for name in [*names, "Displays", "Tools"]:
        assert name.encode("utf-16-be").decode("latin-1") in state
