"""``amg-fuse calibrate``: from recordings to a calibration file."""

import cv2
import numpy as np
import pytest
from command_line import refused

from amg_fuse_ros.calibration_file import load_calibration

TRUE = np.array([[1.01, 0.02, -9], [-0.02, 0.99, 6], [0, 0, 1]])


@pytest.fixture
def street(amg_fuse, tmp_path):
    """A drawn street whose thermal camera has been turned a little."""
    folder = tmp_path / "street"
    assert (
        amg_fuse("make-scene", "--out", folder, "--seconds", "0.3", "--weather", "clear").code == 0
    )
    for path in (folder / "thermal").iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        size = image.shape[1], image.shape[0]
        cv2.imwrite(
            str(path), cv2.warpPerspective(image, TRUE, size, borderMode=cv2.BORDER_REPLICATE)
        )
    return folder


def error_of(path):
    calibration = load_calibration(path)
    scale = np.array(calibration.thermal_size) / np.array(calibration.rgb_size)
    points = np.array([[100.0, 200], [320, 240], [500, 300]])
    expected = cv2.perspectiveTransform((points * scale)[None], TRUE)[0]
    return np.linalg.norm(calibration.to_thermal(points) - expected, axis=1).max()


def test_finds_the_turned_camera_in_folders_and_draws_an_overlay(amg_fuse, street, tmp_path):
    out = tmp_path / "rig" / "calibration.yaml"
    folders = ["--thermal", street / "thermal", "--rgb", street / "rgb"]
    outcome = amg_fuse("calibrate", *folders, "--out", out)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"{out}: error ")
    assert error_of(out) < 4
    overlay = cv2.imread(str(out.with_suffix(".png")))
    assert overlay.shape[1] == 2 * 640


def test_finds_the_same_in_a_bag(amg_fuse, street, tmp_path):
    folders = ["--thermal", street / "thermal", "--rgb", street / "rgb"]
    assert amg_fuse("make-bag", *folders, "--out", tmp_path / "bag").code == 0
    out = tmp_path / "calibration.yaml"
    assert amg_fuse("calibrate", "--bag", tmp_path / "bag", "--out", out).code == 0
    assert error_of(out) < 4


def test_says_what_it_needs(amg_fuse, folders, tmp_path):
    out = ["--out", tmp_path / "c.yaml"]
    assert refused(amg_fuse("calibrate", *out), "expected --bag BAG")
    assert refused(amg_fuse("calibrate", *folders, *out, "--board", "nine"), "9x6")
    assert refused(amg_fuse("calibrate", *folders, *out), "agree")
    assert not (tmp_path / "c.yaml").exists()
