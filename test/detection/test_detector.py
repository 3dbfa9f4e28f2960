"""A detector over a real ultralytics network: what it finds, what it refuses, what may change."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amg_fuse_ros.detection import DetectionSettings, Detector

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = DetectionSettings(confidence=0.3, iou=1.0)


def street(height: int = 96, width: int = 128) -> np.ndarray:
    image = np.random.default_rng(3).integers(0, 90, (height, width, 3), np.uint8)
    image[height // 4 : height // 2, width // 4 : width // 2] = (250, 30, 30)
    return image


@pytest.fixture(scope="module")
def loaded(yolo_onnx):
    return Detector.load(yolo_onnx, device="cpu")


@pytest.fixture
def detector(loaded):
    loaded.forget_tracks()
    loaded.change_settings(EVERYTHING)
    return loaded


def test_detections_are_in_the_pixels_of_the_image_and_carry_the_networks_names(detector):
    found = detector.detect(street())
    assert len(found) > 5
    assert detector.names == found.names == {0: "person", 1: "bicycle", 2: "car"}
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)
    # The network sees 64 x 64 and draws one stride to each side: twice that in this image.
    inner = found.boxes[(found.boxes > 0).all(1) & (found.boxes[:, 2] < 128)]
    inner = inner[inner[:, 3] < 96]
    sides = set(np.rint(inner[:, 2:] - inner[:, :2]).ravel().tolist())
    assert sides <= {32.0, 64.0, 128.0}
    assert 32.0 in sides
    assert (found.boxes[:, 2:] <= (128, 96)).all()
    assert (found.boxes >= 0).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.masks is None
    assert found.track_ids is None


def test_red_and_blue_are_not_confused(detector, yolo_onnx):
    from ultralytics import YOLO

    red = np.zeros((64, 64, 3), np.uint8)
    red[16:48, 16:48, 0] = 255
    bgr = red[..., ::-1].copy()
    reference = YOLO(yolo_onnx, "detect").predict(bgr, conf=0.3, iou=1, max_det=100, verbose=False)
    np.testing.assert_allclose(detector.detect(red).scores, reference[0].boxes.conf.numpy())
    assert detector.detect(red).scores.tolist() != detector.detect(red[..., ::-1]).scores.tolist()


def test_settings_act_from_the_next_image_on(detector):
    everything = detector.detect(street())
    detector.change_settings(replace(EVERYTHING, confidence=0.6))
    sure = detector.detect(street())
    assert 0 < len(sure) < len(everything)
    assert sure.scores.min() >= 0.6
    detector.change_settings(replace(EVERYTHING, max_detections=3))
    np.testing.assert_array_equal(detector.detect(street()).scores, everything.scores[:3])
    detector.change_settings(replace(EVERYTHING, iou=0.05))
    assert len(detector.detect(street())) < len(everything)
    detector.change_settings(replace(EVERYTHING, classes=("car",)))
    cars = detector.detect(street())
    assert {cars.label(i) for i in range(len(cars))} == {"car"}


def test_an_unknown_class_is_named_with_those_there_are_and_changes_nothing(detector):
    with pytest.raises(ValueError, match=r"does not know tram; it knows person, bicycle, car"):
        detector.change_settings(replace(EVERYTHING, classes=("car", "tram")))
    assert detector.settings == EVERYTHING


def test_nothing_found_is_an_empty_result_of_the_same_shape(detector):
    detector.change_settings(DetectionSettings(confidence=1.0))
    found = detector.detect(street())
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_tracks_keep_their_ids_while_objects_stay(detector):
    detector.change_settings(replace(EVERYTHING, iou=0.1, max_detections=8, tracking=True))
    first = detector.detect(street())
    later = [detector.detect(street()) for _ in range(3)]
    assert first.track_ids is not None
    assert len(set(first.track_ids.tolist())) == len(first) > 2
    for found in later:
        assert dict(zip(found.track_ids.tolist(), found.boxes.tolist(), strict=True)) == dict(
            zip(first.track_ids.tolist(), first.boxes.tolist(), strict=True)
        )


def test_other_thresholds_keep_tracks_and_forgetting_begins_anew(detector):
    settings = replace(EVERYTHING, iou=0.1, max_detections=8, tracking=True)
    detector.change_settings(settings)
    first = detector.detect(street())
    detector.change_settings(replace(settings, confidence=0.35))
    assert set(detector.detect(street()).track_ids) <= set(first.track_ids)
    shifted = np.roll(street(), 60, axis=1)
    detector.forget_tracks()
    assert detector.detect(shifted).track_ids.min() == 1


def test_uncertain_objects_are_tracked_where_the_confidence_allows_them(detector):
    detector.change_settings(DetectionSettings(confidence=0.02, iou=0.1, tracking=True))
    first = detector.detect(street())
    assert (first.scores < 0.2).any()
    for _ in range(2):
        assert set(detector.detect(street()).track_ids) == set(first.track_ids)


def test_an_object_that_appears_later_is_reported_when_it_is_seen_again(detector):
    settings = replace(EVERYTHING, iou=0.1, max_detections=8, tracking=True)
    detector.change_settings(replace(settings, confidence=1.0))
    assert len(detector.detect(street())) == 0
    detector.change_settings(settings)
    assert len(detector.detect(street())) == 0
    assert len(detector.detect(street())) > 2


def test_an_image_without_objects_does_not_end_tracking(detector):
    detector.change_settings(replace(EVERYTHING, iou=0.1, max_detections=8, tracking=True))
    first = detector.detect(street())
    detector.change_settings(replace(detector.settings, confidence=1.0))
    detector.detect(street())
    detector.change_settings(replace(detector.settings, confidence=0.3))
    assert set(detector.detect(street()).track_ids) & set(first.track_ids)


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (np.zeros((0, 64, 3), np.uint8), "at least one pixel"),
        (np.zeros((48, 64), np.uint8), "three equal channels"),
        (np.zeros((48, 64, 4), np.uint8), "H W 3"),
        (np.zeros((48, 64, 3), np.float32), "uint8, found float32"),
    ],
)
def test_what_is_no_rgb_image_is_refused_in_words(detector, image, complaint):
    with pytest.raises(ValueError, match=complaint):
        detector.detect(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
def test_the_smallest_images_are_looked_at(detector, size):
    found = detector.detect(np.full((*size, 3), 200, np.uint8))
    assert (found.boxes <= (size[1], size[0], size[1], size[0])).all()


def test_a_view_of_a_larger_image_is_looked_at(detector):
    large = street(192, 256)
    view = large[::2, ::-2]
    np.testing.assert_array_equal(
        detector.detect(view).boxes, detector.detect(np.ascontiguousarray(view)).boxes
    )


def test_warming_up_leaves_no_tracks(detector):
    detector.change_settings(replace(EVERYTHING, iou=0.1, max_detections=8, tracking=True))
    detector.warm_up((96, 128))
    assert detector.detect(street()).track_ids.min() == 1


def test_a_network_that_segments_gives_masks_of_the_images_size(yolo_seg_onnx):
    detector = Detector.load(yolo_seg_onnx, device="cpu", half=True)
    assert detector.segments
    detector.change_settings(replace(EVERYTHING, iou=0.3, max_detections=6))
    found = detector.detect(street())
    assert found.masks.shape == (len(found), 96, 128)
    assert found.masks.dtype == bool
    detector.change_settings(replace(detector.settings, tracking=True))
    tracked = detector.detect(street())
    assert len(tracked.masks) == len(tracked.track_ids) == len(tracked) > 0
    detector.change_settings(DetectionSettings(confidence=1.0))
    assert detector.detect(street()).masks.shape == (0, 96, 128)


def test_a_network_for_another_task_is_refused_by_its_name(yolo_cls_onnx):
    with pytest.raises(ValueError, match="the task classify; expected one for detect or segment"):
        Detector.load(yolo_cls_onnx)


def test_a_missing_file_is_not_searched_for_in_the_network(tmp_path):
    with pytest.raises(FileNotFoundError, match="Nothing is downloaded"):
        Detector.load(tmp_path / "yolo11n.pt")


@pytest.mark.parametrize("name", ["broken.onnx", "broken.engine", "broken.pt", "picture.png"])
def test_a_file_that_is_no_network_ends_in_words(tmp_path, name):
    pytest.importorskip("ultralytics")
    path = tmp_path / name
    path.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"cannot load it as a network \(\w+: .+export it again"):
        Detector.load(path)


def test_a_description_without_weights_is_no_network(tmp_path):
    (tmp_path / "yolo11n.yaml").write_text("nc: 3\n")
    with pytest.raises(ValueError, match="no trained YOLO network"):
        Detector.load(tmp_path / "yolo11n.yaml")


def test_a_pickle_is_warned_of_once_and_other_files_are_not(tmp_path, caplog, yolo_onnx):
    path = tmp_path / "net.pt"
    path.write_bytes(b"not a network")
    with caplog.at_level(logging.WARNING, "amg_fuse_ros"):
        with pytest.raises(ValueError, match="cannot load"):
            Detector.load(path)
        Detector.load(yolo_onnx)
    assert [record.message.split(" is a ")[0] for record in caplog.records] == [str(path)]


def test_a_device_that_is_not_there_is_named(yolo_onnx):
    with pytest.raises(ValueError, match="expected auto, cpu or cuda:N"):
        Detector.load(yolo_onnx, device="gpu")
    with pytest.raises(ValueError, match="PyTorch finds"):
        Detector.load(yolo_onnx, device="cuda:99")


def test_the_rest_of_the_process_keeps_its_threads_and_the_way_numpy_prints(yolo_onnx):
    code = (
        "import sys, cv2, torch, numpy as np\n"
        "cv2.setNumThreads(2); torch.set_num_threads(3); before = np.get_printoptions()\n"
        "from amg_fuse_ros.detection import Detector\n"
        f"detector = Detector.load({str(yolo_onnx)!r}, device='cpu')\n"
        "assert 'ultralytics' in sys.modules\n"
        "detector.warm_up((48, 64))\n"
        "assert (cv2.getNumThreads(), torch.get_num_threads()) == (2, 3)\n"
        "assert np.get_printoptions() == before\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr


def test_without_ultralytics_the_room_imports_and_loading_says_what_to_install(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    code = (
        "import sys\n"
        "import amg_fuse_ros.detection as detection\n"
        "assert 'ultralytics' not in sys.modules\n"
        "sys.modules['ultralytics'] = None\n"
        f"detection.Detector.load({str(path)!r})\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "pip install 'amg_fuse_ros[detect]'" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": -0.1}, {"iou": float("nan")}, {"max_detections": 0}, {"classes": "car"}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectionSettings(**wrong)
