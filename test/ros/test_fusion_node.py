"""The fusion node: pairs in, fused images and masks out, whatever else happens."""

import re

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from node_harness import NodeProcess, Rig, image, rgb_image, thermal_image
from sensor_msgs.msg import CameraInfo

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module", autouse=True)
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def start(tmp_path_factory, random_weights):
    """Starts nodes; they are ended with the module."""
    nodes = []

    def start(*arguments: str, weights: bool = True) -> NodeProcess:
        if weights:
            arguments = (*arguments, "-p", f"network.weights:={random_weights}")
        log = tmp_path_factory.mktemp("node") / "log.txt"
        nodes.append(NodeProcess(log, list(arguments)))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


@pytest.fixture(scope="module")
def rigs():
    made = []

    def make(namespace: str) -> Rig:
        made.append(Rig(namespace))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture(scope="module")
def node(start):
    """One node for the tests that leave it as it was."""
    return start("-r", "__ns:=/shared", "-p", "diagnostics_period_s:=0.2")


@pytest.fixture(scope="module")
def rig(node, rigs):
    rig = rigs("/shared")
    node.wait_for_log("active:")
    rig.wait_for_node()
    return rig


def test_a_pair_comes_back_as_fused_image_and_mask_with_the_header_of_the_rgb_image(rig):
    thermal, rgb = thermal_image(1000), rgb_image(1007, 24, 40)

    fused = rig.send_until_fused(thermal, rgb)
    mask = rig.mask_of(fused)

    assert (fused.width, fused.height, fused.encoding) == (40, 24, "rgb8")
    assert fused.header == mask.header == rgb.header
    assert (mask.width, mask.height, mask.encoding) == (40, 24, "32FC1")
    shares = np.frombuffer(mask.data, np.float32)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.frombuffer(fused.data, np.uint8).size == 40 * 24 * 3


def test_the_calibration_of_the_rgb_camera_is_passed_on_with_each_image(rig):
    info = CameraInfo(width=32, height=24, distortion_model="plumb_bob")
    info.k[0] = 321.0

    def sent_and_returned():
        rig.info.publish(info)
        rig.send_until_fused(thermal_image(2000), rgb_image(2000))
        return bool(rig.infos)

    assert rig.wait(sent_and_returned)
    assert rig.infos[-1].k[0] == 321.0
    assert rig.infos[-1].header == rgb_image(2000).header


THERMAL_PIXELS = {
    "mono8": np.full((24, 32), 90, np.uint8),
    "8UC1": np.full((24, 32), 90, np.uint8),
    "mono16": np.full((24, 32), 30_000, np.uint16),
    "16UC1": np.full((24, 32), 30_000, np.uint16),
}

RGB_PIXELS = {
    "rgb8": np.full((24, 32, 3), 50, np.uint8),
    "bgr8": np.full((24, 32, 3), 50, np.uint8),
    "rgba8": np.full((24, 32, 4), 50, np.uint8),
    "bgra8": np.full((24, 32, 4), 50, np.uint8),
    "yuv422": np.full((24, 32, 2), 50, np.uint8),
    "bayer_rggb8": np.full((24, 32), 50, np.uint8),
    "bayer_grbg8": np.full((24, 32), 50, np.uint8),
    "mono8": np.full((24, 32), 50, np.uint8),
}


@pytest.mark.parametrize("encoding", THERMAL_PIXELS)
def test_thermal_images_are_taken_in_every_usual_encoding(rig, encoding):
    stamp = 3000 + 100 * list(THERMAL_PIXELS).index(encoding)
    thermal = image(THERMAL_PIXELS[encoding], encoding, stamp)
    fused = rig.send_until_fused(thermal, rgb_image(stamp))
    assert (fused.width, fused.height) == (32, 24)


@pytest.mark.parametrize("encoding", RGB_PIXELS)
def test_rgb_images_are_taken_in_every_usual_encoding(rig, encoding):
    stamp = 4000 + 100 * list(RGB_PIXELS).index(encoding)
    rgb = image(RGB_PIXELS[encoding], encoding, stamp)
    fused = rig.send_until_fused(thermal_image(stamp), rgb)
    assert (fused.width, fused.height) == (32, 24)


def test_images_further_apart_than_the_slop_are_not_fused(rig):
    rig.send_until_fused(thermal_image(6000), rgb_image(6000))
    before = len(rig.fused)
    rig.publish(thermal_image(6100), rgb_image(6140))  # the default slop is 25 ms
    rig.send_until_fused(thermal_image(6300), rgb_image(6320))
    stamps = [f.header.stamp.nanosec // 1_000_000 for f in rig.fused[before:]]
    assert 140 not in stamps
    assert stamps[-1] == 320


def test_a_broken_message_is_named_with_its_topic_and_the_next_pair_is_fused(rig, node):
    broken = rgb_image(7000)
    broken.step = 7
    rig.publish(thermal_image(7000), broken)
    node.wait_for_log("such images are left out")
    line = next(line for line in node.log.splitlines() if "left out" in line)
    assert "/shared/rgb/image_raw: " in line
    assert "step" in line
    rig.send_until_fused(thermal_image(7100), rgb_image(7100))


def test_a_jump_back_in_time_does_not_stop_the_pairing(rig):
    rig.send_until_fused(thermal_image(90_000), rgb_image(90_000))
    rig.send_until_fused(thermal_image(8000), rgb_image(8000))


def test_live_parameters_take_effect_on_the_next_pair(rig):
    try:
        assert rig.set_parameter("mask.encoding", "mono8") == (True, "")
        assert rig.set_parameter("fused.encoding", "bgr8") == (True, "")
        assert rig.set_parameter("mask.form", "paper") == (True, "")
        assert rig.set_parameter("network.scale", 0.5) == (True, "")
        fused = rig.send_until_fused(thermal_image(9000), rgb_image(9000))
        assert fused.encoding == "bgr8"
        assert (fused.width, fused.height) == (32, 24)
        assert rig.mask_of(fused).encoding == "mono8"
        assert rig.wait(lambda: rig.diagnostics()["network.scale"] == "0.5")
        assert "0.5 of the RGB size" in rig.diagnostics()["message"]
        assert rig.wait(lambda: rig.diagnostics()["fused at"] == "16x12")
    finally:
        for name, value in (
            ("mask.encoding", "32FC1"),
            ("fused.encoding", "rgb8"),
            ("mask.form", "local"),
            ("network.scale", 1.0),
        ):
            rig.set_parameter(name, value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("network.scale", 7.0, ""),
        ("network.scale", 1, "decimal point|type"),
        ("mask.form", "sharp", "local, paper"),
        ("sync.queue", 0, ""),
        ("engine", "eager", "configured"),
    ],
)
def test_a_bad_value_is_refused_with_its_reason_and_the_node_lives_on(rig, name, value, reason):
    before = rig.get_parameter(name)
    accepted, why = rig.set_parameter(name, value)
    assert not accepted
    assert why
    assert re.search(reason, why)
    assert rig.get_parameter(name) == before


def test_the_thermal_gain_is_live_and_its_ends_must_not_cross(rig):
    assert rig.set_parameter("thermal.polarity", "black_hot") == (True, "")
    try:
        accepted, why = rig.set_parameter("thermal.range_low_c", 80.0)
        assert not accepted
        assert "thermal.range_high_c" in why
        rig.send_until_fused(thermal_image(10_000), rgb_image(10_000))
    finally:
        rig.set_parameter("thermal.polarity", "white_hot")


def test_parameters_describe_themselves(rig):
    scale = rig.describe_parameter("network.scale")
    assert "RGB size" in scale.description
    assert scale.floating_point_range[0].to_value == 1.0
    assert "local, paper" in rig.describe_parameter("mask.form").additional_constraints


def test_diagnostics_tell_engine_rates_and_latency(rig):
    rig.send_until_fused(thermal_image(11_000), rgb_image(11_000))
    assert rig.wait(lambda: rig.diagnostics()["latency p95 [ms]"] != "-")
    report = rig.diagnostics()
    assert report["engine"] == "eager"
    assert report["state"] == "active"
    assert int(report["fused"]) >= 1
    assert float(report["fused rate [Hz]"]) > 0
    assert rig.reports[-1].status[0].name == "/shared/fusion_node: fusion"


def test_the_newest_pair_wins_and_the_others_are_counted(start, rigs):
    rig = rigs("/burst")
    node = start("-r", "__ns:=/burst", "-p", "diagnostics_period_s:=0.2")
    node.wait_for_log("active:")
    rig.wait_for_node()
    rig.send_until_fused(thermal_image(1), rgb_image(1))
    before = len(rig.fused)

    for number in range(12):
        stamp = 1000 + 100 * number
        rig.publish(thermal_image(stamp, 96, 128), rgb_image(stamp, 96, 128))
    last = 1000 + 100 * 11
    assert rig.wait(lambda: rig.fused[-1].header.stamp.nanosec == last % 1000 * 1_000_000)

    assert len(rig.fused) - before < 12
    assert rig.wait(lambda: int(rig.diagnostics()["dropped"]) > 0)
    assert "dropped" in node.log


def test_values_that_cannot_be_taken_at_start_are_named_and_the_defaults_used(start, rigs):
    node = start(
        *("-r", "__ns:=/misled"),
        *("-p", "network.scale:=7.0"),
        *("-p", "mask.form:=sharp"),
        *("-p", "sync.slop_ms:=20"),
        *("-p", "lazy:=maybe"),
        *("-p", "thermal.range_low_c:=80.0"),  # the other end is 50
        *("-p", "thermal.polarity:=black_hot"),
        *("-p", "netwrok.scale:=0.5"),
    )
    node.wait_for_log("active:")
    for text in (
        "network.scale: expected 0.05 to 1.0, found 7.0",
        "mask.form: expected one of local, paper, found 'sharp'",
        "sync.slop_ms: expected a number with a decimal point, found 20",
        "write 20.0",
        "lazy: expected true or false, found 'maybe'",
        "the defaults of thermal.* are used",
        "there is no parameter netwrok.scale, it is ignored; network.scale is meant?",
    ):
        assert text in node.log
    rig = rigs("/misled")
    assert rig.get_parameter("network.scale") == 1.0
    assert rig.get_parameter("thermal.range_low_c") == -10.0
    assert rig.get_parameter("thermal.polarity") == "white_hot"


def test_topics_can_be_remapped_and_the_parameter_file_of_the_package_is_taken(start, rigs):
    rig = rigs("/cameras")
    node = start(
        *("--params-file", "config/fusion.yaml"),
        *("-r", "__ns:=/front"),
        *("-r", "thermal/image_raw:=/cameras/thermal/image_raw"),
        *("-r", "rgb/image_raw:=/cameras/rgb/image_raw"),
        *("-r", "rgb/camera_info:=/cameras/rgb/camera_info"),
        *("-r", "fused/image:=/cameras/fused/image"),
        *("-r", "fused/mask:=/cameras/fused/mask"),
    )
    node.wait_for_log("active: /cameras/thermal/image_raw, /cameras/rgb/image_raw")
    rig.wait_for_node()
    rig.send_until_fused(thermal_image(1000), rgb_image(1000))
    assert "expected" not in node.log


def test_the_lifecycle_can_be_walked_by_a_manager_and_a_bad_file_only_fails_the_transition(
    start, rigs, random_weights
):
    rig = rigs("/managed")
    node = start(
        *("-r", "__ns:=/managed"),
        *("-p", "autostart:=false"),
        *("-p", "network.weights:=nowhere.safetensors"),
        *("-p", "diagnostics_period_s:=0.2"),
        weights=False,
    )
    node.wait_for_log("waiting for a lifecycle manager")
    assert rig.state() == "unconfigured"

    assert not rig.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.state() == "unconfigured"
    assert "nowhere.safetensors: no such weights file" in node.log
    assert rig.wait(lambda: "nowhere.safetensors" in rig.diagnostics()["message"])
    assert rig.diagnostics()["state"] == "unconfigured"

    assert not rig.change_state(Transition.TRANSITION_ACTIVATE)
    assert "refused: it is not possible while the node is unconfigured" in node.log
    assert rig.state() == "unconfigured"

    assert rig.set_parameter("network.weights", str(random_weights)) == (True, "")
    assert rig.change_state(Transition.TRANSITION_CONFIGURE)
    assert rig.state() == "inactive"
    assert rig.change_state(Transition.TRANSITION_ACTIVATE)
    rig.wait_for_node()
    rig.send_until_fused(thermal_image(1000), rgb_image(1000))
    assert rig.wait(lambda: "fault: rgb missing" in rig.diagnostics())

    assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
    assert rig.wait(lambda: rig.rgb.get_subscription_count() == 0)
    assert rig.wait(lambda: rig.diagnostics()["state"] == "inactive")
    assert not [key for key in rig.diagnostics() if key.startswith("fault: ")]
    assert rig.change_state(Transition.TRANSITION_ACTIVATE)
    rig.wait_for_node()
    rig.send_until_fused(thermal_image(2000), rgb_image(2000))

    assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
    assert rig.change_state(Transition.TRANSITION_CLEANUP)
    assert rig.state() == "unconfigured"
    assert rig.wait(lambda: rig.node.count_publishers("fused/image") == 0)
    assert rig.change_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert rig.state() == "finalized"
    assert rig.wait(lambda: rig.diagnostics()["state"] == "finalized")
    assert node.process.poll() is None
    assert "Traceback" not in node.log


def test_nothing_is_fused_while_nobody_subscribes(start, rigs, random_weights):
    node = start("-r", "__ns:=/lonely", "-p", "diagnostics_period_s:=0.2")
    node.wait_for_log("active:")
    rig = rigs("/elsewhere")  # listens to its own topics and to /diagnostics, not to the node's
    publisher = {
        name: rig.node.create_publisher(type(message), f"/lonely/{name}/image_raw", 10)
        for name, message in (("thermal", thermal_image(0)), ("rgb", rgb_image(0)))
    }
    assert rig.wait(lambda: all(p.get_subscription_count() for p in publisher.values()))

    def lonely() -> dict[str, str]:
        for report in reversed(rig.all_reports):
            if report.status[0].name.startswith("/lonely"):
                return {v.key: v.value for v in report.status[0].values}
        return {}

    def unwatched() -> bool:
        publisher["thermal"].publish(thermal_image(1000))
        publisher["rgb"].publish(rgb_image(1000))
        rig.spin()
        return int(lonely().get("not fused, nobody subscribes", 0)) > 0

    assert rig.wait(unwatched)
    assert lonely()["fused"] == "0"
