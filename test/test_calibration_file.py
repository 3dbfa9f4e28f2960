"""Calibration files hold what a calibration is, and say what is wrong with them."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from amg_fuse_ros.calibration_file import (
    load_calibration,
    load_calibration_parts,
    save_calibration,
)
from amg_fuse_ros.imaging.camera_model import CameraModel
from amg_fuse_ros.imaging.registration import CalibrationError, Homography, Pose, TwoCameras
from amg_fuse_ros.settings import BY_NAME

HOMOGRAPHY = Homography((64, 48), (64, 48), np.array([[1.0, 0, 5], [0, 1, 3], [0, 0, 1]]))
CAMERAS = TwoCameras(
    CameraModel(
        (64, 48),
        np.array([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]]),
        np.array([-0.2, 0.05, 0.001, 0.0, 0.0]),
    ),
    CameraModel(
        (40, 32),
        np.array([[20.0, 0, 20], [0, 20, 16], [0, 0, 1]]),
        np.array([0.01, 0.0, 0.001, 0.0]),
        "equidistant",
    ),
    Pose(np.eye(3), np.array([0.1, 0, 0])),
    distance_m=12.0,
)


@pytest.mark.parametrize("calibration", [HOMOGRAPHY, CAMERAS])
def test_files_hold_all_that_a_calibration_is(tmp_path, calibration):
    path = tmp_path / "calibration.yaml"
    save_calibration(calibration, path)
    loaded = load_calibration(path)
    assert type(loaded) is type(calibration)
    points = np.array([[0.0, 0], [10, 20], [63, 47]])
    np.testing.assert_allclose(loaded.to_thermal(points), calibration.to_thermal(points))
    assert loaded.rgb_size == calibration.rgb_size
    assert loaded.to_dict() == calibration.to_dict()


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_calibration(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "tps"}, "model"),
        ({"rgb_size": [0, 48]}, "rgb_size"),
        ({"rgb_size": [64, 10**9]}, "rgb_size"),
        ({"thermal_size": "big"}, "thermal_size"),
        ({"matrix": [[1, 0], [0, 1]]}, "matrix"),
        ({"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, "x"]]}, "matrix"),
        ({"matrix": [[0, 0, 0], [0, 0, 0], [0, 0, 1]]}, "matrix"),
        ({"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, float("nan")]]}, "matrix"),
    ],
)
def test_files_that_make_no_sense_are_refused_with_file_and_entry(tmp_path, change, named):
    path = tmp_path / "calibration.yaml"
    path.write_text(yaml.safe_dump({**HOMOGRAPHY.to_dict(), **change}))
    with pytest.raises(CalibrationError, match=rf"calibration\.yaml: {named}"):
        load_calibration(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"thermal_model": "fov"}, "thermal_model: expected one of"),
        ({"thermal_distortion": [0.1]}, "thermal_distortion: expected 4 coefficients"),
        ({"rgb_distortion": [0.1] * 7}, "rgb_distortion: expected 0 or 8 or 12"),
        ({"rgb_matrix": [[0, 0, 32], [0, 40, 24], [0, 0, 1]]}, "rgb_matrix: expected focal"),
        ({"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "rotation: expected a rotation"),
        ({"translation_m": [1, 2]}, "translation_m"),
        ({"distance_m": 0}, "distance_m: expected above 0"),
        ({"distance_m": "far"}, "distance_m: expected a number"),
    ],
)
def test_cameras_that_make_no_sense_are_refused_with_file_and_entry(tmp_path, change, named):
    path = tmp_path / "calibration.yaml"
    values = {**CAMERAS.to_dict(), **change}
    if "rgb_distortion" in change:
        del values["rgb_model"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(CalibrationError, match=rf"calibration\.yaml: {named}"):
        load_calibration(path)


@pytest.mark.parametrize("left_out", ["rgb", "thermal", "pose"])
def test_a_part_may_be_left_out_by_who_has_it_from_elsewhere(tmp_path, left_out):
    path = tmp_path / "calibration.yaml"
    names = ("rotation", "translation_m") if left_out == "pose" else (f"{left_out}_",)
    values = {k: v for k, v in CAMERAS.to_dict().items() if not k.startswith(names)}
    path.write_text(yaml.safe_dump(values))
    parts = load_calibration_parts(path)
    there = {name for name in ("rgb", "thermal", "pose") if getattr(parts, name) is not None}
    assert there == {"rgb", "thermal", "pose"} - {left_out}
    assert parts.distance_m == 12.0
    missing = "rotation" if left_out == "pose" else f"{left_out}_matrix"
    with pytest.raises(CalibrationError, match=rf"calibration\.yaml: {missing}"):
        load_calibration(path)


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "a: b: c", "!!python/object:os.system {}"])
def test_files_that_are_no_calibration_are_refused(tmp_path, text):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"calibration\.yaml"):
        load_calibration(path)


def test_the_documented_example_can_be_read(tmp_path):
    document = Path(__file__).parents[1] / "docs/calibration.md"
    example, settings = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)
    path = tmp_path / "rig.yaml"
    path.write_text(example)
    assert load_calibration(path).to_thermal(np.array([[320.0, 240.0]])).shape == (1, 2)
    for name, value in yaml.safe_load(settings)["calibration"].items():
        assert BY_NAME[f"calibration.{name}"].problem_with(value) is None


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{ALIASES}model: *a11\n", "stands for more than"),
        (f"model: {'[' * 100_000}", "nest"),
        (f"rgb_size: [{'9' * 10_000}, 3]", "expected YAML"),
        (f"model: {'x' * (5 << 20)}", "expected a few lines"),
        ("model: &m [*m]", "no anchor before it"),
    ],
)
def test_a_small_file_that_stands_for_gigabytes_is_refused(tmp_path, text, complaint):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=complaint):
        load_calibration(path)
