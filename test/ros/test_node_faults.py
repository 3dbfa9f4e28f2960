"""Whatever a camera does, the node stays up, says what is wrong, and recovers when the camera does.

Real publishers, a real node in its own process; each test leaves it fusing for the next one.
"""

from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from node_harness import NodeProcess, Rig, image, rgb_image, thermal_image
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros

WARN, ERROR = "1", "2"


@pytest.fixture(scope="module")
def node(tmp_path_factory, random_weights):
    arguments = [
        *("-r", "__ns:=/faulty"),
        *("-p", f"network.weights:={random_weights}"),
        *("-p", "network.scale:=0.5"),
        *("-p", "diagnostics_period_s:=0.2"),
        *("-p", "faults.missing_after_s:=0.6"),
        *("-p", "faults.frozen_after_s:=1.0"),
        *("-p", "log_period_s:=0.1"),
        *("-p", "diagnostics.warn_dropped:=1.0"),  # this machine may be busy
    ]
    node = NodeProcess(tmp_path_factory.mktemp("node") / "log.txt", arguments)
    yield node
    node.close()


@pytest.fixture(scope="module")
def rig(node):
    rclpy.init()
    rig = Rig("/faulty")
    node.wait_for_log("active:")
    rig.wait_for_node()
    yield rig
    rig.close()
    rclpy.try_shutdown()


@pytest.fixture
def fusing(rig, node):
    """The rig with both cameras running; afterwards they run again, and nothing is wrong."""

    def is_fusing() -> Callable[[], bool]:
        before = len(rig.fused)
        reports = len(rig.reports)
        return lambda: (
            len(rig.fused) > before + 2
            and len(rig.reports) > reports + 1
            and rig.diagnostics()["message"].startswith("fusing")
        )

    assert rig.play(is_fusing(), thermal_image, rgb_image), rig.diagnostics()
    yield rig
    assert rig.play(is_fusing(), thermal_image, rgb_image), rig.diagnostics()
    assert node.process.poll() is None
    assert "Traceback" not in node.log


def told(rig, *texts: str) -> Callable[[], bool]:
    return lambda: all(text in rig.diagnostics()["message"] for text in texts)


def mask_mean(rig) -> float:
    return float(np.frombuffer(rig.masks[-1].data, np.float32).mean())


def lines(node, text: str) -> list[str]:
    return [line for line in node.log.splitlines() if text in line]


def test_without_the_thermal_camera_the_rgb_images_pass_through(fusing, node):
    rig = fusing
    assert rig.play(told(rig, "no thermal images on /faulty/thermal/image_raw"), None, rgb_image)
    assert rig.diagnostics()["level"] == WARN
    assert "longer than faults.missing_after_s (0.6 s; " in rig.diagnostics()["message"]
    assert "rgb images are published as they are" in rig.diagnostics()["message"]
    sent = {}

    def keep(stamp):
        sent[stamp] = rgb_image(stamp)
        return sent[stamp]

    del rig.fused[:], rig.masks[:]
    assert rig.play(lambda: len(rig.fused) > 3 and len(rig.masks) > 3, None, keep)
    stamp = rig.fused[-1].header.stamp
    original = sent[stamp.sec * 1000 + stamp.nanosec // 1_000_000]
    assert bytes(rig.fused[-1].data) == bytes(original.data)
    assert mask_mean(rig) == 1.0
    assert int(rig.diagnostics()["passed through"]) > 0


def test_without_the_rgb_camera_the_thermal_images_pass_through_at_its_size(fusing):
    rig = fusing
    wide = lambda stamp: rgb_image(stamp, 30, 44)  # noqa: E731
    start = len(rig.fused)
    assert rig.play(
        lambda: rig.fused[-1].width == 44 and len(rig.fused) > start, thermal_image, wide
    )
    assert rig.play(told(rig, "no rgb images"), thermal_image, None)
    del rig.fused[:], rig.masks[:]
    assert rig.play(lambda: len(rig.fused) > 3 and len(rig.masks) > 3, thermal_image, None)
    fused = rig.fused[-1]
    assert (fused.width, fused.height, fused.header.frame_id) == (44, 30, "front")
    pixels = np.frombuffer(fused.data, np.uint8).reshape(30, 44, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert pixels.std() > 0
    assert mask_mean(rig) == 0.0


def test_what_is_wrong_is_said_once_and_that_it_is_over_once(fusing, node):
    rig = fusing
    text = "no thermal images on /faulty/thermal/image_raw"
    before = len(lines(node, text))
    reports = len(rig.reports)
    assert rig.play(told(rig, text), None, rgb_image)
    assert rig.play(lambda: len(rig.reports) > reports + 10, None, rgb_image)
    assert len(lines(node, text)) == before + 1
    assert rig.play(told(rig, "fusing"), thermal_image, rgb_image)
    assert len(lines(node, text)) == before + 2
    assert "over after" in lines(node, text)[-1]


@pytest.mark.parametrize("camera", ["thermal", "rgb"])
def test_a_camera_whose_images_are_all_the_same_counts_as_missing(fusing, camera):
    rig = fusing
    make = {"thermal": thermal_image, "rgb": rgb_image}
    still = make[camera](5)

    def frozen(stamp):
        still.header.stamp = make[camera](stamp).header.stamp
        return still

    text = f"all images on /faulty/{camera}/image_raw are the same"
    assert rig.play(told(rig, text), **{**make, camera: frozen})
    del rig.fused[:], rig.masks[:]
    assert rig.play(lambda: len(rig.masks) > 3, **{**make, camera: frozen})
    assert mask_mean(rig) == (1.0 if camera == "thermal" else 0.0)


def test_a_camera_whose_stamps_stand_still_counts_as_missing(fusing):
    rig = fusing

    def standing(stamp):
        message = thermal_image(stamp)
        message.header.stamp = thermal_image(77).header.stamp
        return message

    text = "the stamps on /faulty/thermal/image_raw stand still at 0.077 s"
    assert rig.play(told(rig, text), standing, rgb_image)


def test_hold_repeats_the_last_fused_image_with_its_old_stamp(fusing):
    rig = fusing
    assert rig.set_parameter("on_missing", "hold") == (True, "")
    assert rig.play(told(rig, "the last fused image is published again"), None, rgb_image)
    del rig.fused[:]
    assert rig.play(lambda: len(rig.fused) > 3, None, rgb_image)
    assert rig.fused[-1] == rig.fused[-2]
    assert rig.set_parameter("on_missing", "passthrough") == (True, "")


def test_what_is_held_is_not_blended_with_the_images_that_come(fusing):
    rig = fusing
    assert rig.set_parameter("on_missing", "hold") == (True, "")
    assert rig.set_parameter("fused.strength", 0.5) == (True, "")
    assert rig.play(told(rig, "the last fused image is published again"), None, rgb_image)
    del rig.fused[:]
    assert rig.play(lambda: len(rig.fused) > 3, None, rgb_image)
    assert rig.fused[-1] == rig.fused[-2]
    assert rig.set_parameter("fused.strength", 1.0) == (True, "")
    assert rig.set_parameter("on_missing", "passthrough") == (True, "")


def test_stop_publishes_nothing_until_both_cameras_are_there(fusing):
    rig = fusing
    assert rig.set_parameter("on_missing", "stop") == (True, "")
    assert rig.play(told(rig, "nothing is published"), None, rgb_image)
    reports = len(rig.reports)
    del rig.fused[:]
    assert rig.play(lambda: len(rig.reports) > reports + 5, None, rgb_image)
    assert rig.fused == []
    assert rig.diagnostics()["level"] == ERROR
    assert rig.set_parameter("on_missing", "passthrough") == (True, "")


@pytest.mark.parametrize("start_ms", [500_000, 9_000_000])
def test_after_a_jump_of_time_pairs_are_found_at_once(fusing, start_ms, node):
    rig = fusing
    before = len(rig.fused)
    text = "time jumped back" if start_ms == 500_000 else "time jumped ahead"
    assert rig.play(
        lambda: len(rig.fused) > before + 3 and rig.fused[-1].header.stamp.sec == start_ms // 1000,
        thermal_image,
        rgb_image,
        start_ms=start_ms,
    )
    node.wait_for_log(text)


def test_two_publishers_of_different_time_on_one_topic_are_noticed(fusing, node):
    rig = fusing
    second = rig.node.create_publisher(Image, "rgb/image_raw", 5)

    def both(stamp):
        second.publish(rgb_image(stamp - 600_000))
        return rgb_image(stamp)

    text = "(2 publish on it: is one too many?)"
    assert rig.play(lambda: bool(lines(node, text)), thermal_image, both)
    assert "/faulty/rgb/image_raw: time jumped" in lines(node, text)[0]
    rig.node.destroy_publisher(second)


def test_stamps_out_of_order_are_counted_and_fused_all_the_same(fusing):
    rig = fusing
    before = int(rig.diagnostics()["out of order"])
    disorder = {
        "thermal": lambda stamp: thermal_image(stamp ^ 1 if stamp % 100 else stamp - 70),
        "rgb": lambda stamp: rgb_image(stamp ^ 1 if stamp % 100 else stamp - 70),
    }
    fused = len(rig.fused)
    assert rig.play(
        lambda: int(rig.diagnostics()["out of order"]) > before + 3 and len(rig.fused) > fused + 3,
        **disorder,
    )


def test_another_size_and_encoding_is_taken_on_the_fly_and_said(fusing, node):
    rig = fusing
    start = len(rig.fused)

    def counts(stamp):
        pixels = np.random.default_rng(stamp).integers(29_000, 31_000, (40, 50), np.uint16)
        return image(pixels, "mono16", stamp, "lwir")

    larger = lambda stamp: rgb_image(stamp, 48, 64)  # noqa: E731
    assert rig.play(lambda: len(rig.fused) > start and rig.fused[-1].width == 64, counts, larger)
    node.wait_for_log("/faulty/thermal/image_raw: format changed from 32x24 mono8 to 50x40 mono16")
    node.wait_for_log("/faulty/rgb/image_raw: format changed from 32x24 rgb8 to 64x48 rgb8")


def truncated(message):
    message.data = message.data[:-5]


def oversized(message):
    message.data.extend(message.data[:100])


def wrong_step(message):
    message.step = message.width * 3 - 1


def zero_size(message):
    message.width = message.height = message.step = 0
    message.data = message.data[:0]


def absurd_size(message):
    message.width = message.height = 2**31


def floats_with_nan(message):
    message.encoding, message.step = "32FC1", message.width * 4
    message.data = type(message.data)(
        "B", np.full((message.height, message.width), np.nan, np.float32).tobytes()
    )


def unknown_encoding(message):
    message.encoding = "h264"


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        oversized,
        wrong_step,
        zero_size,
        absurd_size,
        floats_with_nan,
        unknown_encoding,
    ],
)
@pytest.mark.parametrize("camera", ["thermal", "rgb"])
def test_damaged_images_are_refused_with_the_reason_and_the_other_camera_passes_through(
    fusing, camera, damage
):
    rig = fusing
    make = {"thermal": thermal_image, "rgb": rgb_image}

    def damaged(stamp):
        message = make[camera](stamp)
        damage(message)
        return message

    topic = f"/faulty/{camera}/image_raw: "
    assert rig.play(told(rig, topic, "such images are left out"), **{**make, camera: damaged})
    assert rig.diagnostics()["level"] == ERROR
    one_camera = 1.0 if camera == "thermal" else 0.0
    del rig.masks[:]
    assert rig.play(
        lambda: len(rig.masks) > 1 and mask_mean(rig) == one_camera, **{**make, camera: damaged}
    )


def test_big_endian_counts_are_read_in_their_order(fusing):
    rig = fusing
    start = len(rig.fused)

    def big_endian(stamp):
        pixels = np.random.default_rng(stamp).integers(29_000, 31_000, (24, 32), np.uint16)
        message = image(pixels.astype(">u2"), "mono16", stamp, "lwir")
        message.is_bigendian = 1
        return message

    assert rig.play(lambda: len(rig.fused) > start + 3, big_endian, rgb_image)
    assert rig.diagnostics()["level"] == "0"


def test_cameras_whose_clocks_differ_are_named_with_the_offset_that_mends_it(fusing):
    rig = fusing
    late = lambda stamp: thermal_image(stamp - 1300)  # noqa: E731  (more than the queue holds)
    assert rig.play(told(rig, "no two stamps are within sync.slop_ms", "behind"), late, rgb_image)
    assert rig.diagnostics()["level"] == ERROR  # nothing is published
    message = rig.diagnostics()["message"]
    suggested = float(message.split("set sync.thermal_offset_ms to ")[1].split(";")[0])
    assert abs(suggested - 1300) < 25
    assert rig.set_parameter("sync.thermal_offset_ms", suggested) == (True, "")
    before = len(rig.fused)
    assert rig.play(lambda: len(rig.fused) > before + 3, late, rgb_image)
    assert rig.set_parameter("sync.thermal_offset_ms", 0.0) == (True, "")
