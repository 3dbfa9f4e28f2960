"""Compressed images, slow thermal cameras, and settings that change while the node runs."""

import cv2
import numpy as np
import pytest
import rclpy
from node_harness import NodeProcess, Rig, compressed, image, rgb_image, thermal_image
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module", autouse=True)
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def start(tmp_path_factory, random_weights):
    """Starts a node and its rig in a namespace of their own; both end with the module."""
    open_ones = []

    def start(namespace: str, *arguments: str) -> tuple[NodeProcess, Rig]:
        log = tmp_path_factory.mktemp("node") / "log.txt"
        node = NodeProcess(
            log,
            [
                *("-r", f"__ns:={namespace}"),
                *("-p", f"network.weights:={random_weights}"),
                *("-p", "diagnostics_period_s:=0.2"),
                *arguments,
            ],
        )
        open_ones.append(node)
        rig = Rig(namespace)
        open_ones.append(rig)
        node.wait_for_log("active:")
        return node, rig

    yield start
    for one in open_ones:
        one.close()


@pytest.fixture(scope="module")
def live(start):
    """One node for the tests that change its settings and change them back."""
    _, rig = start("/live")
    rig.wait_for_node()
    return rig


def counts_image(stamp_ms):
    pixels = np.random.default_rng(stamp_ms).integers(29_000, 31_000, (24, 32), np.uint16)
    return image(pixels, "mono16", stamp_ms, "lwir")


def test_compressed_images_come_in_and_go_out_beside_the_raw_ones(start):
    node, rig = start(
        "/packed",
        *("-p", "transport.thermal:=compressed"),
        *("-p", "transport.rgb:=compressed"),
        *("-p", "transport.output:=both"),
    )
    thermal = rig.node.create_publisher(CompressedImage, "thermal/image_raw/compressed", 5)
    rgb = rig.node.create_publisher(CompressedImage, "rgb/image_raw/compressed", 5)
    fused, masks = [], []
    rig.node.create_subscription(CompressedImage, "fused/image/compressed", fused.append, 5)
    rig.node.create_subscription(CompressedImage, "fused/mask/compressed", masks.append, 5)
    assert "/packed/thermal/image_raw/compressed" in node.log
    assert "-> /packed/fused/image, /packed/fused/mask, /packed/fused/image/compressed" in node.log

    def send(stamp):
        thermal.publish(compressed(counts_image(stamp)))
        rgb.publish(compressed(rgb_image(stamp), "jpg" if stamp % 100 else "png"))

    stamp = 1000

    def arrived():
        nonlocal stamp
        stamp += 50
        send(stamp)
        rig.spin()
        return fused and masks and rig.fused and rig.masks

    assert rig.wait(arrived), node.log
    picture = cv2.imdecode(np.frombuffer(fused[-1].data, np.uint8), cv2.IMREAD_UNCHANGED)
    share = cv2.imdecode(np.frombuffer(masks[-1].data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (24, 32, 3)
    assert share.shape == (24, 32)
    assert fused[-1].format == "rgb8; jpeg compressed bgr8"
    assert fused[-1].header.frame_id == "front"


def test_damaged_compressed_images_are_refused_with_the_reason(start):
    node, rig = start("/torn", *("-p", "transport.rgb:=compressed"), *("-p", "log_period_s:=0.1"))
    rgb = rig.node.create_publisher(CompressedImage, "rgb/image_raw/compressed", 5)

    def send(stamp):
        message = compressed(rgb_image(stamp))
        message.data = message.data[: len(message.data) // 2]
        rgb.publish(message)
        return thermal_image(stamp)

    def refused():
        return (
            bool(rig.reports) and "/torn/rgb/image_raw/compressed: " in rig.diagnostics()["message"]
        )

    assert rig.play(refused, send, None)
    assert "left out" in rig.diagnostics()["message"]
    assert node.process.poll() is None


def test_a_slow_thermal_camera_serves_every_rgb_image(start):
    _, rig = start("/slow", *("-p", "sync.policy:=hold_thermal"), *("-p", "network.scale:=0.5"))
    rig.wait_for_node()
    sent = []

    def slow(stamp):
        if stamp % 200 == 0 or not sent:
            sent.append(stamp)
            rig.thermal.publish(thermal_image(stamp))
        return rgb_image(stamp)

    def pairs():
        return int(rig.diagnostics()["pairs"]) if rig.reports else 0

    assert rig.play(lambda: pairs() > 0 and rig.fused, None, slow)
    before, sent_before = pairs(), len(sent)
    assert rig.play(lambda: pairs() > before + 20, None, slow)
    assert len(sent) - sent_before < 0.5 * (pairs() - before)
    assert rig.play(lambda: int(rig.diagnostics()["rgb without partner"]) > 5, None, rgb_image)
    assert rig.set_parameter("sync.hold_limit_ms", 5000.0) == (True, "")


def test_the_published_image_can_be_blended_with_the_rgb_image_while_the_node_runs(live):
    rig = live
    rgb = rgb_image(5000)
    fused = np.frombuffer(rig.send_until_fused(thermal_image(5000), rgb).data, np.uint8)
    assert rig.set_parameter("fused.strength", 0.0) == (True, "")
    del rig.fused[:]
    untouched = rig.send_until_fused(thermal_image(5000), rgb)
    assert bytes(untouched.data) == bytes(rgb.data)
    assert rig.set_parameter("fused.strength", 0.5) == (True, "")
    del rig.fused[:]
    half = np.frombuffer(rig.send_until_fused(thermal_image(5000), rgb).data, np.uint8)
    wanted = (fused.astype(float) + np.frombuffer(rgb.data, np.uint8)) / 2
    assert np.abs(half - wanted).max() <= 1
    assert rig.set_parameter("fused.strength", 1.0) == (True, "")


def test_the_mask_can_be_switched_off_while_the_node_runs(live):
    rig = live
    rig.mask_of(rig.send_until_fused(thermal_image(6000), rgb_image(6000)))
    assert rig.set_parameter("mask.publish", False) == (True, "")
    del rig.masks[:]
    start = len(rig.fused)
    assert rig.play(lambda: len(rig.fused) > start + 5, thermal_image, rgb_image)
    assert rig.masks == []
    assert rig.set_parameter("mask.publish", True) == (True, "")
    assert rig.play(lambda: bool(rig.masks), thermal_image, rgb_image)


def test_a_latency_budget_that_cannot_be_kept_lowers_the_scale_and_says_so(live):
    rig = live
    assert rig.set_parameter("latency_budget_ms", 0.01) == (True, "")
    assert rig.play(
        lambda: "missed at the smallest scale" in rig.diagnostics()["latency budget"],
        thermal_image,
        rgb_image,
    )
    assert float(rig.diagnostics()["network.scale"]) < 0.5
    assert rig.play(lambda: "fault: budget" in rig.diagnostics(), thermal_image, rgb_image)
    assert rig.set_parameter("latency_budget_ms", 0.0) == (True, "")
    assert rig.play(lambda: rig.diagnostics()["network.scale"] == "1", thermal_image, rgb_image)


def test_every_stage_of_a_frame_is_shown_and_they_add_up_to_the_latency(live):
    rig = live
    start = len(rig.fused)
    assert rig.play(lambda: len(rig.fused) > start + 5, thermal_image, rgb_image)
    reports = len(rig.reports)
    assert rig.play(lambda: len(rig.reports) > reports + 1, thermal_image, rgb_image)
    report = rig.diagnostics()
    stages = [
        f"{stage} p50/p95 [ms]"
        for stage in ("wait", "convert", "prepare", "engine", "finish", "publish")
    ]
    upper = sum(float(report[s].split("/")[1]) for s in stages)
    assert float(report["latency p50 [ms]"]) <= upper
    p50, p95, p99 = (float(report[f"latency p{q} [ms]"]) for q in (50, 95, 99))
    assert p50 <= p95 <= p99
    assert int(report["memory [MB]"]) > 50
    assert abs(float(report["thermal clock behind, estimated [ms]"])) < 200
    assert report["age p50 [ms]"] == "-"  # the rig's stamps are of another clock


def test_thresholds_of_the_diagnostics_are_settings(live):
    rig = live
    for severity, level in (("warn", "1"), ("error", "2")):
        name = f"diagnostics.{severity}_latency_ms"

        def exceeded(name=name, level=level):
            report = rig.diagnostics()
            return report["level"] == level and name in report.get("fault: latency", "")

        assert rig.set_parameter(name, 0.001) == (True, "")
        assert rig.play(exceeded, thermal_image, rgb_image)
    for name in ("diagnostics.warn_latency_ms", "diagnostics.error_latency_ms"):
        assert rig.set_parameter(name, 0.0) == (True, "")
    assert rig.set_parameter("diagnostics.warn_rate_hz", 1000.0) == (True, "")
    assert rig.play(lambda: "fault: rate" in rig.diagnostics(), thermal_image, rgb_image)
    assert rig.set_parameter("diagnostics.warn_rate_hz", 0.0) == (True, "")


def test_a_publisher_whose_qos_does_not_fit_is_named_with_both_sides_settings(start):
    node, rig = start(
        "/strict",
        *("-p", "qos.input_reliability:=reliable"),
        *("-p", "faults.missing_after_s:=60.0"),
        *("-p", "diagnostics.warn_dropped:=1.0"),  # this machine may be busy
    )
    lossy = rig.node.create_publisher(Image, "thermal/image_raw", qos_profile_sensor_data)
    assert rig.wait(lambda: "does not fit" in node.log), node.log
    line = next(line for line in node.log.splitlines() if "does not fit" in line)
    for text in ("/strict/thermal/image_raw", "asked for RELIABLE", " offers BEST_EFFORT"):
        assert text in line
    assert rig.wait(lambda: bool(rig.reports) and "fault: thermal qos" in rig.diagnostics())
    rig.node.destroy_publisher(lossy)
    rig.wait_for_node()
    assert rig.play(lambda: rig.diagnostics()["message"] == "fusing", thermal_image, rgb_image)
    assert "fault: thermal qos" not in rig.diagnostics()


@pytest.fixture(scope="module")
def lonely(start):
    """A node whose RGB camera never comes: it is asked for as compressed, and sent raw."""
    _, rig = start(
        "/lonely",
        *("-p", "transport.rgb:=compressed"),
        *("-p", "faults.missing_after_s:=0.5"),
    )
    assert rig.wait(
        lambda: (
            rig.thermal.get_subscription_count() > 0
            and rig.node.count_publishers("fused/image") > 0
        )
    )
    assert rig.wait(lambda: bool(rig.reports))
    return rig


def test_a_transport_that_nobody_publishes_is_named_with_the_one_that_comes(lonely):
    rig = lonely
    assert rig.play(
        lambda: "set transport.rgb to raw" in rig.diagnostics().get("fault: rgb missing", ""),
        thermal_image,
        rgb_image,
    )
    assert "/lonely/rgb/image_raw is published" in rig.diagnostics()["fault: rgb missing"]


def test_a_topic_of_another_type_is_named_with_both_types(lonely):
    rig = lonely
    wrong = rig.node.create_publisher(Image, "rgb/image_raw/compressed", 5)
    text = "published as sensor_msgs/msg/Image, expected is sensor_msgs/msg/CompressedImage"
    assert rig.play(
        lambda: text in rig.diagnostics().get("fault: rgb missing", ""), thermal_image, None
    )
    rig.node.destroy_publisher(wrong)


def test_hold_says_that_nothing_is_published_where_nothing_was_fused_yet(lonely):
    rig = lonely
    assert rig.set_parameter("on_missing", "hold") == (True, "")
    assert rig.play(
        lambda: "nothing is published" in rig.diagnostics()["message"], thermal_image, None
    )
    assert rig.diagnostics()["level"] == "2"
    assert rig.set_parameter("on_missing", "passthrough") == (True, "")


def test_a_thermal_image_of_its_own_size_has_no_camera_info_of_the_rgb_camera(lonely):
    rig = lonely

    def send(stamp):
        rig.info.publish(CameraInfo(width=640, height=480))
        return thermal_image(stamp)

    del rig.fused[:], rig.infos[:]
    assert rig.play(lambda: len(rig.fused) > 8, send, None)
    assert rig.fused[-1].width == 32
    assert rig.infos == []


def test_the_thermal_gain_is_live_while_only_the_thermal_camera_comes(lonely):
    rig = lonely
    warm = np.full((24, 32), 30_000, np.uint16)  # 26.85 degrees in centikelvin

    def counts(stamp):
        warm[0, 0] = 29_000 + stamp % 1000  # no two images are the same
        return image(warm, "mono16", stamp, "lwir")

    assert set_together(
        rig,
        {"thermal.gain": "range", "thermal.range_low_c": 26.0, "thermal.range_high_c": 27.0},
    )
    bright = round(0.85 * 255)
    assert rig.play(
        lambda: (
            bool(rig.fused)
            and abs(int(np.frombuffer(rig.fused[-1].data, np.uint8)[-1]) - bright) <= 1
        ),
        counts,
        None,
    )
    assert rig.set_parameter("thermal.gain", "percentile") == (True, "")


def set_together(rig, values):
    request = SetParametersAtomically.Request(
        parameters=[Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
    )
    service = "fusion_node/set_parameters_atomically"
    return rig.call(SetParametersAtomically, service, request).result.successful


def test_settings_that_change_together_are_judged_together_and_refused_together(live):
    rig = live
    assert set_together(rig, {"thermal.range_low_c": 60.0, "thermal.range_high_c": 90.0})
    assert rig.get_parameter("thermal.range_high_c") == 90.0
    assert not set_together(rig, {"fused.strength": 0.0, "thermal.range_low_c": 95.0})
    rgb = rgb_image(7000)
    fused = rig.send_until_fused(thermal_image(7000), rgb)
    assert bytes(fused.data) != bytes(rgb.data)  # a strength of 0 would publish the RGB image
    assert set_together(rig, {"thermal.range_low_c": -10.0, "thermal.range_high_c": 50.0})
