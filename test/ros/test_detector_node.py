"""The detector node: images in, detections out, whatever else happens."""

import itertools
import shutil

import numpy as np
import pytest
import rclpy
from detector_rig import DetectorRig, street
from node_harness import ROOT, image
from sensor_msgs.msg import CompressedImage, Image

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("vision_msgs")]


@pytest.fixture(scope="module", autouse=True)
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def detector(yolo_onnx):
    """What the node is compared with."""
    from amg_fuse_ros.detection import Detector

    return Detector.load(yolo_onnx, "cpu")


@pytest.fixture(scope="module")
def rig(yolo_onnx):
    """One node for the tests that leave it as it was."""
    with DetectorRig(model=str(yolo_onnx)) as rig:
        yield rig


def test_an_image_comes_back_as_detections_with_its_header(rig, detector):
    from amg_fuse_ros.detection import DetectionSettings

    detector.change_settings(DetectionSettings(confidence=0.3))
    expected = detector.detect(street())
    message = rig.next_image(street())
    found = rig.detect(message)
    assert found.header == message.header
    assert len(found.detections) == len(expected) > 3
    for index, detection in enumerate(found.detections):
        x0, y0, x1, y1 = expected.boxes[index].tolist()
        center = detection.bbox.center.position
        assert (center.x, center.y) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.01)
        assert (detection.bbox.size_x, detection.bbox.size_y) == pytest.approx((x1 - x0, y1 - y0))
        (result,) = detection.results
        assert result.hypothesis.class_id == str(expected.class_ids[index])
        assert result.hypothesis.score == pytest.approx(expected.scores[index], abs=1e-4)
        assert detection.id == ""


def test_what_the_classes_are_is_told_to_those_who_come_late_too(rig, yolo_onnx):
    from vision_msgs.msg import LabelInfo, VisionInfo

    from amg_fuse_ros.ros.detection_messages import class_names

    info = rig.lasting(VisionInfo, "detections/vision_info")
    assert info.method == yolo_onnx.stem
    assert class_names(info) == {"0": "person", "1": "bicycle", "2": "car"}
    labels = rig.lasting(LabelInfo, "detections/label_info")
    assert {str(c.class_id): c.class_name for c in labels.class_map} == class_names(info)
    assert labels.threshold == pytest.approx(0.3)


def test_thresholds_and_forms_change_while_it_runs(rig):
    everything = rig.detect(rig.next_image(street())).detections
    assert rig.set(confidence=0.6, class_id="name") == (True, "")
    sure = rig.detect(rig.next_image(street())).detections
    assert 0 < len(sure) < len(everything)
    hypotheses = [result.hypothesis for detection in sure for result in detection.results]
    assert {h.class_id for h in hypotheses} <= {"person", "bicycle", "car"}
    assert min(h.score for h in hypotheses) >= 0.6
    assert rig.set(classes="car", confidence=0.3)[0]
    cars = rig.detect(rig.next_image(street())).detections
    assert {d.results[0].hypothesis.class_id for d in cars} == {"car"}
    assert rig.set(classes="", class_id="number", max_detections=2)[0]
    assert len(rig.detect(rig.next_image(street())).detections) == 2
    assert rig.set(max_detections=100)[0]


def test_a_class_that_the_network_does_not_know_is_refused_with_those_it_does(rig):
    taken, reason = rig.set(classes="car, tram")
    assert not taken
    assert "does not know tram; it knows person, bicycle, car" in reason
    assert not rig.set(confidence=1.5)[0]
    taken, reason = rig.set(model="other.onnx")
    assert not taken
    assert "clean it up" in reason
    taken, reason = rig.set(warm_up="64 by 64")
    assert not taken
    assert "warm_up: expected a resolution as 640x480" in reason
    assert len(rig.detect(rig.next_image(street())).detections) > 3


def test_tracks_keep_their_ids_until_time_jumps_back(rig):
    assert rig.set(tracking=True, iou=0.1)[0]
    try:
        first, second = (
            {d.id for d in rig.detect(rig.next_image(street())).detections} for _ in range(2)
        )
        assert "" not in first
        assert first & second
        rig.detect(rig.next_image(street(shift=60)))
        rig.detect(rig.next_image(street(shift=60)))
        back = image(street(shift=60), "rgb8", 500)
        assert "1" in {d.id for d in rig.detect(back).detections}
        assert int(rig.diagnostics()["time jumped back"]) >= 1
    finally:
        assert rig.set(tracking=False, iou=0.7)[0]


def test_the_image_with_boxes_is_made_for_those_who_subscribe(yolo_onnx, detector):
    from amg_fuse_ros.detection import DetectionSettings, draw
    from amg_fuse_ros.ros.image_messages import to_rgb

    raw, compressed = [], []
    with DetectorRig(listening=False, model=str(yolo_onnx), transport__output="both") as rig:
        for kind, topic, inbox in (
            (Image, "detections/image", raw),
            (CompressedImage, "detections/image/compressed", compressed),
        ):
            rig.outside.create_subscription(kind, topic, inbox.append, 10)
        assert rig.wait(rig.subscribed)
        message = rig.next_image(street())

        def both_came():
            rig.send(message)
            return bool(raw and compressed)

        assert rig.wait(both_came)
        assert raw[0].header == compressed[0].header == message.header
        detector.change_settings(DetectionSettings(confidence=0.3))
        expected = draw(street(), detector.detect(street()))
        np.testing.assert_array_equal(to_rgb(raw[0]), expected)
        assert "jpeg" in compressed[0].format


def test_a_damaged_or_empty_image_is_left_out_counted_and_told(rig):
    damaged = rig.next_image(street())
    damaged.data = damaged.data[:100]
    empty = Image(encoding="rgb8", header=rig.next_image(street()).header)
    for bad in (damaged, empty):
        before = int(rig.diagnostics()["refused"])

        def told(bad=bad, before=before):
            rig.send(bad)
            found = rig.diagnostics()
            return int(found["refused"]) > before and "are left out" in found["message"]

        assert rig.wait(told)
        assert rig.detect(rig.next_image(street())).detections


def test_images_of_any_size_and_encoding_are_looked_at(rig):
    for pixels, encoding in (
        (street(40, 200), "bgr8"),
        (street(300, 100), "rgb8"),
        (street()[..., 0].copy(), "mono8"),
    ):
        found = rig.detect(rig.next_image(pixels, encoding)).detections
        assert found
        for detection in found:
            right = detection.bbox.center.position.x + detection.bbox.size_x / 2
            assert right <= pixels.shape[1] + 0.01


def test_it_subscribes_only_while_somebody_waits_for_detections(yolo_onnx):
    with DetectorRig(listening=False, model=str(yolo_onnx)) as rig:
        assert rig.diagnostics()["message"] == "nobody subscribes"
        assert not rig.subscribed()
        rig.listen()
        assert rig.detect(rig.next_image(street())).detections
        rig.leave()
        assert rig.wait(lambda: not rig.subscribed())
        rig.found.clear()
        rig.listen()
        assert rig.detect(rig.next_image(street())).detections


def test_the_newest_image_wins_and_what_it_replaces_is_counted(yolo_onnx):
    from threading import Event

    from amg_fuse_ros.ros.detector_loading import load_detector

    begun, go_on = Event(), Event()

    def load(settings, logger):
        detector = load_detector(settings, logger)
        detect = detector.detect

        def slowly(pixels):
            begun.set()
            go_on.wait(60)
            return detect(pixels)

        detector.detect = slowly
        return detector

    with DetectorRig(model=str(yolo_onnx), load=load) as rig:
        first = rig.next_image(street())
        turns = itertools.count()

        def under_way():
            if next(turns) % 50 == 0:  # again if it got lost, but not so often that it comes late
                rig.send(first)
            return begun.is_set()

        assert rig.wait(under_way)
        newer = [rig.next_image(street()) for _ in range(4)]
        taken = int(rig.diagnostics()["images"])
        for message in newer:
            rig.send(message)

        def all_taken():
            done = int(rig.diagnostics()["images"]) >= taken + 4
            if not done:
                rig.send(newer[-1])
            return done

        assert rig.wait(all_taken)
        go_on.set()
        assert rig.wait(lambda: bool(rig.found) and rig.found[-1].header == newer[-1].header)
        assert {m.header.stamp.nanosec for m in rig.found} <= {
            m.header.stamp.nanosec for m in (first, newer[-1])
        }
        assert int(rig.diagnostics()["dropped"]) >= 3


def test_a_network_that_hangs_is_given_up_and_loaded_anew(yolo_onnx):
    from threading import Event

    from amg_fuse_ros.ros.detector_loading import load_detector

    free, loads = Event(), []

    def load(settings, logger):
        detector = load_detector(settings, logger)
        loads.append(detector)
        if len(loads) == 1:
            detector.detect = lambda _: free.wait(120)
        return detector

    with DetectorRig(model=str(yolo_onnx), load=load, hang_timeout_s=0.5) as rig:
        assert rig.detect(rig.next_image(street())).detections
        assert len(loads) > 1
        assert int(rig.diagnostics()["hung"]) >= 1
        free.set()


def test_without_a_network_it_waits_and_says_what_is_missing(yolo_onnx, tmp_path):
    from rclpy.lifecycle import TransitionCallbackReturn

    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with DetectorRig(model=str(broken)) as rig:
        found = rig.diagnostics()
        assert found["level"] == "2"
        assert "broken.onnx: ultralytics cannot load it" in found["message"]
        assert rig.set(model=str(tmp_path / "none.onnx"))[0]
        assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "none.onnx: no such file" in rig.diagnostics()["message"]
        assert rig.set(model=str(yolo_onnx))[0]
        assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        assert rig.detect(rig.next_image(street())).detections


def test_without_a_named_network_it_takes_the_shipped_one_if_there_is_one(
    yolo_onnx, tmp_path, monkeypatch
):
    from rclpy.lifecycle import TransitionCallbackReturn

    from amg_fuse_ros.weights import detector

    monkeypatch.setattr(detector, "FOLDER", tmp_path)
    with DetectorRig() as rig:
        assert "no detector is shipped" in rig.diagnostics()["message"]
        shutil.copy(yolo_onnx, tmp_path / "detector.onnx")
        assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert rig.diagnostics()["model"] == "detector.onnx"


def test_the_parameter_file_and_remapping_reach_it(yolo_onnx, tmp_path):
    shipped = (ROOT / "config" / "detector.yaml").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(shipped.replace("max_detections: 100", "max_detections: 2"))
    arguments = ["--ros-args", "--params-file", str(file), "-r", "fused/image:=camera/image_raw"]
    with DetectorRig(model=str(yolo_onnx), topic="camera/image_raw", cli_args=arguments) as rig:
        assert len(rig.detect(rig.next_image(street())).detections) == 2


def test_without_vision_msgs_it_says_what_to_install(yolo_onnx, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "vision_msgs.msg", None)
    with DetectorRig(listening=False, model=str(yolo_onnx)) as rig:
        message = rig.diagnostics()["message"]
        assert "vision_msgs, which cannot be imported" in message
        assert "install" in message


def test_mistakes_in_the_parameter_file_do_not_keep_it_from_looking(yolo_onnx):
    with DetectorRig(model=str(yolo_onnx), classes="tram", confidence=7.0) as rig:
        assert rig.detect(rig.next_image(street())).detections
        found = rig.report_of("settings")
        assert found["level"] == "1"
        assert "does not know tram" in found["fault: settings"]
        assert "classes is taken as ''" in found["fault: settings"]
        assert rig.set(classes="car")[0]
        assert rig.wait(lambda: "fault: settings" not in rig.diagnostics())


def test_of_the_classes_in_the_parameter_file_those_that_it_knows_are_reported(yolo_onnx):
    with DetectorRig(model=str(yolo_onnx), classes="tram, car", class_id="name") as rig:
        found = rig.detect(rig.next_image(street())).detections
        assert {d.results[0].hypothesis.class_id for d in found} == {"car"}
        assert "classes is taken as 'car'" in rig.report_of("settings")["fault: settings"]
        assert rig.node.get_parameter("classes").value == "car"


def test_the_lifecycle_takes_and_gives_back(yolo_onnx):
    from rclpy.lifecycle import TransitionCallbackReturn

    with DetectorRig(model=str(yolo_onnx), autostart=False) as rig:
        assert rig.diagnostics()["message"] == "unconfigured"
        node = rig.node
        for _ in range(2):
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
            assert rig.detect(rig.next_image(street())).detections
            assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
            assert rig.wait(lambda: not rig.subscribed())
            assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
            rig.found.clear()
