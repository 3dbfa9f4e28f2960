"""The package is one that colcon and rosdep understand, and all it imports is declared."""

import ast
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

import amg_fuse_ros

ROOT = Path(__file__).resolve().parents[1]

DEPENDENCIES = {
    "cv2": "python3-opencv",
    "llvmlite": "python3-numba",
    "lz4": "python3-rosbags-pip",
    "numba": "python3-numba",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "rosbags": "python3-rosbags-pip",
    "torch": "python3-pytorch-pip",
    "typer": "python3-typer",
    "yaml": "python3-yaml",
}
"""Imported name to rosdep key, where they differ; llvmlite comes with numba, lz4 with rosbags."""

WITHOUT_ROSDEP_KEY = {"safetensors"}
OPTIONAL = {
    *("openvino", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "torch_tensorrt"),
    *("ray", "rerun"),
}
"""Imported where they are asked for only; what asks for them says what to install."""


@pytest.fixture(scope="module")
def package():
    warnings = []
    package = parse_package(str(ROOT), warnings=warnings)
    assert warnings == []
    return package


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_the_manifest_is_valid_and_of_a_python_package(package):
    package.validate()
    assert package.package_format == 3
    assert package.name == "amg_fuse_ros"
    assert package.get_build_type() == "ament_python"
    assert package.licenses == ["Apache-2.0"]


def test_the_licence_is_there_in_full():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_manifest_and_module_have_one_version(package):
    assert package.version == amg_fuse_ros.__version__


def test_everything_imported_is_declared(package):
    files = [*(ROOT / "amg_fuse_ros").rglob("*.py"), *(ROOT / "launch").glob("*.launch.py")]
    imported = {name for path in files for name in imports_of(path)}
    foreign = imported - set(sys.stdlib_module_names) - {package.name} - WITHOUT_ROSDEP_KEY
    foreign -= OPTIONAL
    declared = {dependency.name for dependency in package.exec_depends}
    assert {DEPENDENCIES.get(name, name) for name in foreign} <= declared


def test_what_has_no_rosdep_key_is_named_in_the_manifest_with_its_remedy():
    text = (ROOT / "package.xml").read_text()
    assert "pip install safetensors rosbags-image" in text


def test_what_launch_files_start_from_other_packages_is_declared(package):
    declared = {dependency.name for dependency in package.exec_depends}
    assert {"rviz2", "rviz_default_plugins", "ros2bag", "ros2launch"} <= declared
