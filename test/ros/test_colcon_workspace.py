"""colcon builds the package into a workspace where ROS finds what it looks for."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "amg_fuse_ros"
SOURCES = (
    "package.xml",
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "resource",
    "launch",
    "config",
    NAME,
)
PATIENCE_S = 60

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def colcon():
    path = Path(sys.executable).with_name("colcon")
    if not path.is_file():
        pytest.skip("colcon is not installed beside this Python (colcon-common-extensions)")
    return path


@pytest.fixture(scope="module")
def workspace(colcon, tmp_path_factory):
    """A built workspace with a copy of the package."""
    workspace = tmp_path_factory.mktemp("workspace")
    package = workspace / "src" / NAME
    package.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, package / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, package)
    built = subprocess.run(
        [colcon, "build", "--executor", "sequential"],
        cwd=workspace,
        env={**os.environ, "COLCON_HOME": str(workspace / "home")},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return workspace


def in_workspace(workspace, *command):
    """Starts a command as after ``source install/setup.sh``."""
    return subprocess.Popen(
        ["sh", "-c", '. install/setup.sh && exec "$@"', "sh", *command],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def executable(workspace, name):
    return str(workspace / "install" / NAME / "lib" / NAME / name)


def test_colcon_knows_it_as_a_python_package_of_ros(colcon, workspace):
    listed = subprocess.run(
        [colcon, "list"], cwd=workspace, capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == [NAME, f"src/{NAME}", "(ros.ament_python)"]


def test_everything_is_where_ros_looks_for_it(workspace):
    prefix = workspace / "install" / NAME
    launch_files = {path.name for path in (ROOT / "launch").glob("*.launch.py")}
    config_files = {path.name for path in (ROOT / "config").iterdir()}
    assert (prefix / "share/ament_index/resource_index/packages" / NAME).is_file()
    assert (prefix / "share" / NAME / "package.xml").is_file()
    assert {p.name for p in (prefix / "share" / NAME / "launch").iterdir()} == launch_files
    assert {p.name for p in (prefix / "share" / NAME / "config").iterdir()} == config_files
    for name in ("fusion_node", "bag_player", "amg-fuse"):
        assert os.access(executable(workspace, name), os.X_OK), name


def test_weights_and_their_cards_are_installed(workspace):
    (installed,) = (workspace / "install" / NAME).glob(f"lib/python*/site-packages/{NAME}/weights")
    shipped = {
        path.name
        for pattern in ("*.safetensors", "*.md")
        for path in (ROOT / NAME / "weights").glob(pattern)
    }
    assert shipped <= {path.name for path in installed.iterdir()}


def test_the_installed_code_is_what_runs(workspace):
    python = in_workspace(workspace, sys.executable, "-c", f"import {NAME}; print({NAME}.__file__)")
    output, _ = python.communicate(timeout=PATIENCE_S)
    assert str(workspace / "install") in output


def test_the_installed_node_starts_and_ends(workspace):
    options = ["--ros-args", "-p", "autostart:=false"]
    node = in_workspace(workspace, executable(workspace, "fusion_node"), *options)
    output = ""
    try:
        for line in node.stdout:
            output += line
            if "waiting for a lifecycle manager" in line:
                node.send_signal(signal.SIGINT)
    finally:
        node.kill()
    assert "[fusion_node]: waiting for a lifecycle manager" in output
    assert node.wait(PATIENCE_S) == 0, output


@pytest.mark.parametrize(
    ("name", "arguments", "status", "answer"),
    [("bag_player", [], 1, "no bag was named"), ("amg-fuse", ["--help"], 0, "replay")],
)
def test_the_other_executables_start(workspace, name, arguments, status, answer):
    process = in_workspace(workspace, executable(workspace, name), *arguments)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, output
    assert answer in output
