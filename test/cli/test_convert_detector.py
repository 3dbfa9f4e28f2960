"""``amg-fuse convert-detector``: another form finds the same, and nothing half-made is left."""

import numpy as np
import pytest
from command_line import files_in

from amg_fuse_ros.detection import DetectionSettings, Detector, convert


def looked_at(image, path):
    detector = Detector.load(path, "cpu")
    detector.change_settings(DetectionSettings(confidence=0.05, iou=1.0))
    return detector.detect(image)


def image():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def yolo_pt(yolo_onnx):
    """The .pt file from which the ONNX file was made."""
    return yolo_onnx.with_suffix(".pt")


def test_the_converted_network_finds_what_the_trained_one_does(yolo_pt, tmp_path, amg_fuse):
    out = tmp_path / "new" / "street.onnx"
    done = amg_fuse("convert-detector", yolo_pt, "--out", out, "--resolution", "64x64")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"{out}: 64x64, 3 classes: person, bicycle, car"
    found, expected = (looked_at(image(), path) for path in (out, yolo_pt))
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.5)
    assert files_in(out.parent) == ["street.onnx"]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("street.tflite", (64, 64), "ends in .onnx, _openvino_model, .engine"),
        ("street.onnx", (64, 50), "multiples of 32"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_loaded(tmp_path, name, size, words):
    with pytest.raises(ValueError, match=words):
        convert(tmp_path / "none.pt", tmp_path / name, size)


def test_a_file_that_is_no_network_leaves_nothing_behind(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"no network")
    with pytest.raises(ValueError, match="cannot convert it to onnx"):
        convert(tmp_path / "broken.pt", tmp_path / "out" / "a.onnx", (64, 64), device="cpu")
    assert files_in(tmp_path / "out") == []


def test_what_exists_is_kept(tmp_path):
    (tmp_path / "a.onnx").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a.onnx exists already"):
        convert(tmp_path / "some.pt", tmp_path / "a.onnx", (64, 64))
