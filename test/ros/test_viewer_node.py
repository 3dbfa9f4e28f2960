"""The viewer node records what is published, until it is told to stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_harness import PATIENCE_S, PROFILE, wait_until
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rrd_files import columns, jpeg, pixels, scalars
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from amg_fuse_ros.ros.compressed_messages import to_compressed_message
from amg_fuse_ros.ros.image_messages import to_message
from amg_fuse_ros.ros.viewer_node import latencies_of

pytest.importorskip("rerun.chunk", reason="needs rerun-sdk: pip install 'amg_fuse_ros[view]'")
pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
COUNTS = np.arange(29000, 29048, dtype=np.uint16).reshape(6, 8)
WALL = np.full((12, 16, 3), [200, 90, 20], np.uint8)
MASK = np.full((12, 16), 0.25, np.float32)
TIMES = {"latency p95 [ms]": "81.50", "engine p50/p95 [ms]": "70.00/75.00", "skew p50 [ms]": "-"}


def start(*parameters):
    options = [word for parameter in parameters for word in ("-p", parameter)]
    return subprocess.Popen(
        [sys.executable, "-m", "amg_fuse_ros.ros.viewer_node", "--ros-args", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)},
    )


@pytest.fixture
def cameras(vision_msgs):
    """Publishers by topic, on a node of the test process."""
    from vision_msgs.msg import Detection2DArray

    rclpy.init()
    node = rclpy.create_node("cameras")
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    kinds = {
        "thermal/image_raw": Image,
        "rgb/image_raw": Image,
        "rgb/image_raw/compressed": CompressedImage,
        "thermal/image_raw/compressed": CompressedImage,
        "fused/image": Image,
        "fused/mask": Image,
        "/diagnostics": DiagnosticArray,
        "detections": Detection2DArray,
    }
    yield {topic: node.create_publisher(kind, topic, qos) for topic, kind in kinds.items()}
    node.destroy_node()
    rclpy.try_shutdown()


def header(stamp_ns):
    made = Header(frame_id="camera")
    made.stamp.sec, made.stamp.nanosec = divmod(stamp_ns, 10**9)
    return made


def a_car(header):
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    car = ObjectHypothesisWithPose()
    car.hypothesis.class_id, car.hypothesis.score = "car", 0.5
    found = Detection2D(id="7", results=[car])
    found.bbox.center.position.x = found.bbox.center.position.y = 6.0
    found.bbox.size_x, found.bbox.size_y = 4.0, 2.0
    return Detection2DArray(header=header, detections=[found])


def mono16(stamp_ns):
    message = Image(header=header(stamp_ns), height=6, width=8, encoding="mono16", step=16)
    message.data.frombytes(COUNTS.tobytes())
    return message


def recorded(process, file, cameras, messages, entities):
    """Publishes until all entities are in the file, ends the node, and returns what it wrote."""
    used = [cameras[topic] for topic in messages]
    assert wait_until(lambda: all(publisher.get_subscription_count() for publisher in used))

    def publish_and_look():
        for topic, message in messages.items():
            cameras[topic].publish(message)
        (partial,) = file.parent.glob(f".{file.name}.partial-*/{file.name}")
        return entities <= columns(partial).keys()

    assert wait_until(publish_and_look)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return columns(file), output


def test_what_is_published_is_recorded_with_its_stamps(tmp_path, cameras):
    file = tmp_path / "drive.rrd"
    stamp_ns = 1_700_000_000_123_456_789
    status = DiagnosticStatus(name="/fusion_node: fusion")
    status.values = [KeyValue(key=key, value=value) for key, value in TIMES.items()]
    messages = {
        "thermal/image_raw": mono16(stamp_ns),
        "rgb/image_raw": to_message(WALL, "rgb8", header(stamp_ns)),
        "fused/image": to_message(WALL[..., ::-1].copy(), "rgb8", header(stamp_ns)),
        "fused/mask": to_message(MASK, "32FC1", header(stamp_ns)),
        "/diagnostics": DiagnosticArray(status=[status]),
        "detections": a_car(header(stamp_ns)),
    }
    process = start("viewer:=none", f"file:={file}")
    entities = {"/thermal", "/rgb", "/fused", "/mask", "/latency_ms/latency\\ p95"}
    entities.add("/fused/detections")
    found, _ = recorded(process, file, cameras, messages, entities)
    assert set(found["/thermal"]["stamp"]) == set(found["/fused"]["stamp"]) == {stamp_ns}
    counts = pixels(found["/thermal"]["Image:buffer"][0], np.uint16, (6, 8))
    np.testing.assert_array_equal(counts, COUNTS)
    for entity, colours in (("/rgb", WALL), ("/fused", WALL[..., ::-1])):
        image = jpeg(found[entity]["EncodedImage:blob"][0])
        np.testing.assert_allclose(image.astype(int), colours, atol=4)
    mask = jpeg(found["/mask"]["EncodedImage:blob"][0])
    np.testing.assert_allclose(mask / 255, MASK, atol=0.01)
    assert found["/fused/detections"]["Boxes2D:labels"][0].as_py() == ["car #7 50%"]
    assert found["/fused/detections"]["stamp"][0] == stamp_ns
    curves = {entity: c for entity, c in found.items() if entity.startswith("/latency_ms/")}
    assert len(curves) == 3
    assert {scalars(c["Scalars:scalars"])[0] for c in curves.values()} == {81.5, 70.0, 75.0}


def test_compressed_cameras_are_shown_and_a_damaged_image_is_told_once(tmp_path, cameras):
    file = tmp_path / "drive.rrd"
    damaged = to_compressed_message(WALL, "png", header(7))
    damaged.data = damaged.data[:40]
    messages = {
        "rgb/image_raw/compressed": damaged,
        "thermal/image_raw/compressed": to_compressed_message(COUNTS, "png", header(5)),
    }
    process = start("viewer:=none", "transport:=compressed", f"file:={file}")
    found, output = recorded(process, file, cameras, messages, {"/thermal"})
    assert "/rgb" not in found
    counts = pixels(found["/thermal"]["Image:buffer"][0], np.uint16, (6, 8))
    np.testing.assert_array_equal(counts, COUNTS)
    assert output.count("/rgb/image_raw/compressed: ") == 1
    assert "cut off" in output


def test_a_file_that_exists_ends_the_node_with_the_reason(tmp_path):
    (tmp_path / "a.rrd").write_text("mine")
    process = start("viewer:=none", f"file:={tmp_path / 'a.rrd'}")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "a.rrd exists already" in output
    assert "Traceback" not in output


def test_durations_are_found_among_the_values():
    status = DiagnosticStatus()
    status.values = [KeyValue(key=key, value=value) for key, value in TIMES.items()]
    status.values.append(KeyValue(key="fused rate [Hz]", value="9.9"))
    expected = {"latency p95": 0.0815, "engine p50": 0.07, "engine p95": 0.075}
    assert latencies_of(status) == pytest.approx(expected)
