"""Imports point one way, and every module can be read in one sitting."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "amg_fuse_ros"
LONGEST_MODULE = 400

OPEN_TO_BAGS = {
    *(None, "bags", "image_encoding", "compressed_encoding", "image_file_header", "plain_yaml"),
}

ROS = {
    *("rclpy", "message_filters", "cv_bridge", "ament_index_python", "launch", "launch_ros"),
    *("rosidl_runtime_py", "rosbag2_py", "tf2_ros"),
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, also inside functions and for types only.

    ``from a.b import c`` gives ``a.b.c``, whether ``c`` is a module or something in ``a.b``.
    """
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*start, *([node.module] if node.module else [])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def top(name: str) -> str:
    return name.partition(".")[0]


def room(name: str) -> str | None:
    """The part of the package that a full name lies in: ``imaging``, ``fusion``, ``ros``..."""
    parts = name.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None


def room_of(path: Path) -> str | None:
    return room(".".join(path.relative_to(ROOT).with_suffix("").parts))


def is_ros(name: str) -> bool:
    return top(name) in ROS or top(name).endswith(("_msgs", "_srvs", "_interfaces"))


def found(folder: str, unwanted: Callable[[str], bool], but_in: str = "") -> list[str]:
    """``module imports name`` for each unwanted import in a folder, but for one room of it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if unwanted(name) and not (but_in and room_of(path) == but_in)
    ]


@pytest.mark.parametrize("folder", [PACKAGE, "training"])
def test_only_the_ros_room_imports_ros(folder):
    assert not found(folder, is_ros, but_in="ros")
    assert found(f"{PACKAGE}/ros", lambda name: top(name) == "rclpy")


def test_nothing_else_in_the_package_imports_the_ros_room():
    assert not found(PACKAGE, lambda name: room(name) == "ros", but_in="ros")


def test_the_package_never_imports_training_tools_or_tests():
    assert not found(PACKAGE, lambda name: top(name) in {"training", "tools", "test"})
    assert found("training", lambda name: top(name) == PACKAGE)


def test_imaging_uses_numpy_opencv_and_itself_only():
    allowed = sys.stdlib_module_names | {"numpy", "cv2"}
    assert not found(
        f"{PACKAGE}/imaging", lambda name: top(name) not in allowed and room(name) != "imaging"
    )


def test_the_network_knows_nothing_of_the_house_around_it():
    outside = {"cv2", "rosbags", "rich", "typer"}
    assert not found(
        f"{PACKAGE}/network",
        lambda name: is_ros(name) or top(name) in outside or room(name) not in {None, "network"},
    )


def test_engines_know_the_network_and_nothing_else_of_the_house():
    assert not found(
        f"{PACKAGE}/engine", lambda name: room(name) not in {None, "engine", "network"}
    )


def test_bags_know_images_and_nothing_of_what_is_done_with_them():
    assert not found(
        f"{PACKAGE}/bags",
        lambda name: room(name) not in OPEN_TO_BAGS,
    )


def test_no_two_parts_of_the_package_import_each_other():
    graph: dict[str, set[str]] = {}
    for path in modules(PACKAGE):
        here = room_of(path)
        there = {room(name) for name in imports(path)} - {None, here, "__version__"}
        graph.setdefault(here or "", set()).update(t for t in there if t)
    assert {"cli", "fusion", "imaging", "engine", "network", "ros"} <= graph.keys()
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("imports in a circle: " + " <- ".join(error.args[1]))
    assert order.index("network") < order.index("engine") < order.index("fusion")


@pytest.mark.parametrize("folder", [PACKAGE, "training", "tools", "launch"])
def test_every_module_can_be_read_in_one_sitting(folder):
    lengths = {path: len(path.read_text().splitlines()) for path in modules(folder)}
    assert lengths
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_MODULE}


@pytest.mark.parametrize(
    ("folder", "module"),
    [(PACKAGE, "detection/yolo.py"), ("training", "detection/yolo_training.py")],
)
def test_one_module_of_each_half_touches_ultralytics(folder, module):
    importing = re.compile(r"(import_module|_import_quietly)\(\s*\"ultralytics|import ultralytics")
    touching = [path for path in modules(folder) if importing.search(path.read_text())]
    assert touching == [ROOT / folder / module]


def test_names_of_test_files_are_unique_so_that_pytest_can_import_them_all():
    names = [path.name for path in modules("test") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_the_node_needs_no_rosbags_where_cv_bridge_converts():
    code = (
        "import sys; sys.modules['rosbags'] = None; sys.modules['rosbags.image'] = None\n"
        "import amg_fuse_ros.image_encoding, amg_fuse_ros.fusion, amg_fuse_ros.settings"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
