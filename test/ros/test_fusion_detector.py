"""Fusion and detector node in one process: the fused image is handed over, not sent."""

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from node_harness import ROOT, NodeProcess, Rig, rgb_image, thermal_image

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("vision_msgs")]

RUN = "from amg_fuse_ros.ros.executables import fusion_detector as run; run()"


@pytest.fixture
def process(tmp_path, random_weights, yolo_onnx):
    """As launch/fusion_detector.launch.py starts it."""
    rclpy.init()
    files = [ROOT / "config" / name for name in ("fusion.yaml", "detector.yaml")]
    given = {
        "network.weights": random_weights,
        "detector_node:model": yolo_onnx,
        "detector_node:warm_up": "64x64",
        "detector_node:confidence": 0.3,
        "detector_node:faults.missing_after_s": 1.5,
        "detector_node:diagnostics_period_s": 0.2,
        "device": "cpu",
    }
    process = NodeProcess(
        tmp_path / "log.txt",
        [
            *(word for file in files for word in ("--params-file", str(file))),
            *(word for name, value in given.items() for word in ("-p", f"{name}:={value}")),
        ],
        ["-c", RUN],
    )
    yield process
    process.close()
    rclpy.try_shutdown()


def told(rig):
    """What the detector said last."""
    every = [report.status[0] for report in rig.all_reports]
    return [status.message for status in every if status.name == "/detector_node: detection"][-1]


def test_detections_come_with_the_fused_images_header_without_a_subscription_or_are_missed(
    process, yolo_onnx
):
    from vision_msgs.msg import Detection2DArray

    from amg_fuse_ros.detection import DetectionSettings, Detector

    detector = Detector.load(yolo_onnx, "cpu")
    detector.change_settings(DetectionSettings(confidence=0.3))
    process.wait_for_log("active:", times=2)
    rig = Rig()
    try:
        found = []
        rig.node.create_subscription(Detection2DArray, "detections", found.append, 10)
        rig.wait_for_node()
        assert rig.wait(lambda: rig.node.count_publishers("detections") == 1)
        fused = rig.send_until_fused(thermal_image(1000, 64, 64), rgb_image(1007, 64, 64))
        assert rig.wait(lambda: bool(found))
        assert found[0].header == fused.header
        pixels = np.frombuffer(fused.data, np.uint8).reshape(fused.height, fused.width, 3)
        expected = detector.detect(pixels)
        assert len(found[0].detections) == len(expected) > 0
        scores = [d.results[0].hypothesis.score for d in found[0].detections]
        np.testing.assert_allclose(scores, expected.scores, atol=1e-4)
        assert rig.node.count_subscribers("fused/image") == 1  # the rig's own
        nothing = "the fusion node of this process hands no images over"
        reports = len(rig.all_reports)
        assert rig.play(
            lambda: len(rig.all_reports) > reports + 5 and nothing not in told(rig),
            thermal_image,
            rgb_image,
        )
        assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
        assert rig.wait(lambda: nothing in told(rig))
    finally:
        rig.close()
    assert "the fused images of this process -> /detections" in process.log
    assert "there is no parameter" not in process.log
