"""The shipped detector: small, told what it is, and able to find people in a fused street."""

import cv2
import numpy as np
import pytest

from amg_fuse_ros.detection import Detector
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.weights import FOLDER
from amg_fuse_ros.weights.detector import shipped_detector
from training.metrics.folder import read_image


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes: x0, y0, x1, y1."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = float(np.prod(np.clip(high - low, 0, None)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return both / (sum(areas) - both)


def test_it_is_small_and_tells_nothing_of_the_machine_that_made_it():
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx (pip install .[onnx])")
    path = shipped_detector()
    assert path.stat().st_size < 8e6
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert "/" not in told["description"]
    assert "AGPL-3.0" in told["license"]
    assert "AGPL-3.0" in (FOLDER / "detector.md").read_text()


@pytest.mark.shared
def test_it_finds_people_in_a_fused_night(shared_dir):
    pytest.importorskip("ultralytics", reason="needs the extra detect (pip install .[detect])")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx (pip install .[onnx])")
    detector = Detector.load(shipped_detector())
    assert list(detector.names.values()) == ["person", "bicycle", "car"]
    folder = shared_dir / "data" / "test" / "m3fd"
    fuser = Fuser.from_options(size="nano")
    found = labelled = 0
    for thermal in sorted((folder / "ir").iterdir())[:8]:
        visible = next((folder / "vi").glob(f"{thermal.stem}.*"))
        rgb = read_image(visible)
        detections = detector.detect(fuser.fuse(cv2.imread(str(thermal), 0), rgb).image)
        height, width = rgb.shape[:2]
        for line in (folder / "labels" / f"{thermal.stem}.txt").read_text().splitlines():
            number, cx, cy, w, h = map(float, line.split())
            if int(number) != 0:
                continue
            labelled += 1
            box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            box *= [width, height, width, height]
            people = detections.boxes[detections.class_ids == 0]
            found += any(overlap(box, person) > 0.5 for person in people)
    assert labelled > 20
    assert found >= labelled / 8
