"""The thermal image comes to lie where file, CameraInfo and TF say, or is not laid on at all.

Real publishers, and nodes whose engine gives back the thermal image that it gets: so the fused
image shows where each thermal pixel lies.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from node_harness import image, nodes_in_this_process
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from amg_fuse_ros.calibration_file import save_calibration
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.camera_model import CameraModel
from amg_fuse_ros.imaging.registration import Homography, Pose, TwoCameras

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 32, 24
MATRIX = np.array([[40.0, 0, 15.5], [0, 40, 11.5], [0, 0, 1]])
LENS = CameraModel((WIDTH, HEIGHT), MATRIX)
OPTICAL = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
"""An optical frame in one whose x is ahead and y to the left."""
GREY = 200
BESIDE_M = 0.25
"""The thermal camera stands so far to the left: at 5 m its pixels lie 2 further right."""


class Shows:
    """An engine whose fused image is the thermal one."""

    name, device, precision = "shows", "cpu", "fp32"

    def fuse(self, visible, thermal):  # noqa: ARG002
        return np.dstack([thermal] * 3)


@pytest.fixture
def run(random_weights):
    with nodes_in_this_process(random_weights) as run:

        def run_showing(namespace, **parameters):
            quiet = {"faults__frozen_after_s": 0.0, "faults__missing_after_s": 1.0}
            return run(namespace, lambda *_: Fuser(Shows(), steady=True), **{**quiet, **parameters})

        yield run_showing


@pytest.fixture
def transforms(tf2_msgs):
    """Publishes on /tf_static, as static_transform_publisher, and on /tf."""
    from tf2_msgs.msg import TFMessage

    def make(node):
        static = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        publishers = {
            "/tf_static": node.create_publisher(TFMessage, "/tf_static", static),
            "/tf": node.create_publisher(TFMessage, "/tf", 10),
        }

        def send(topic, *links):
            publishers[topic].publish(TFMessage(transforms=list(links)))

        return SimpleNamespace(
            static=lambda *links: send("/tf_static", *links),
            moving=lambda *links: send("/tf", *links),
        )

    return make


def link(parent, child, left_m=0.0, turn=None):
    transform = Transform(translation=Vector3(y=left_m), rotation=turn or Quaternion(w=1.0))
    return TransformStamped(
        header=Header(frame_id=parent), child_frame_id=child, transform=transform
    )


def ramp(stamp_ms):
    """Each column of the thermal image has a grey of its own: 8 times its number."""
    row = np.arange(WIDTH, dtype=np.uint8) * 8
    return image(np.tile(row, (HEIGHT, 1)), "mono8", stamp_ms, "lwir")


def grey(stamp_ms):
    return image(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), "rgb8", stamp_ms, "front")


def info(frame="", **changes):
    values = {"width": WIDTH, "height": HEIGHT, "k": MATRIX.ravel(), **changes}
    return CameraInfo(header=Header(frame_id=frame), distortion_model="plumb_bob", **values)


def pixels(message, channels=3):
    kind = np.float32 if message.encoding == "32FC1" else np.uint8
    return np.frombuffer(message.data, kind).reshape(message.height, message.width, channels)


def shift(rig):
    """By how many pixels further right each column of the newest fused image was taken."""
    middle = pixels(rig.fused[-1])[HEIGHT // 2, WIDTH // 2, 0]
    return round(float(middle) / 8 - WIDTH // 2, 1)


def shows_rgb_only(rig):
    return (
        bool(rig.fused)
        and bool(rig.masks)
        and (pixels(rig.fused[-1]) == GREY).all()
        and (pixels(rig.masks[-1], 1) == 1).all()
    )


def fault(rig):
    found = {k: v for k, v in rig.diagnostics().items() if k.startswith("fault: calibration")}
    assert len(found) < 2
    return "".join(found.values())


def told(rig, *texts):
    return lambda: bool(rig.reports) and all(text in fault(rig) for text in texts)


def test_a_rig_of_topics_and_transforms_is_waited_for_and_followed(run, transforms):
    rig = run(
        "/live",
        calibration__intrinsics="topics",
        calibration__extrinsics="tf",
        calibration__distance_m=5.0,
    )
    thermal_info = rig.node.create_publisher(CameraInfo, "thermal/camera_info", 10)
    tf = transforms(rig.node)
    sent = {}

    def with_infos(stamp):
        for name, publisher in (("rgb", rig.info), ("thermal", thermal_info)):
            if name in sent:
                publisher.publish(sent[name])
        return ramp(stamp)

    def becomes(condition):
        return rig.play(condition, with_infos, grey)

    # Nothing is known yet: one image on the other in the wrong place would be no image.
    assert becomes(told(rig, "no CameraInfo on /live/rgb/camera_info so far", "1 publish it"))
    assert "rgb images are published as they are" in fault(rig)
    assert rig.diagnostics()["level"] == "1"
    assert becomes(lambda: shows_rgb_only(rig))
    assert rig.diagnostics()["fused"] == rig.diagnostics()["failed"] == "0"
    assert rig.set_parameter("on_missing", "stop") == (True, "")
    assert becomes(told(rig, "nothing is published"))
    assert rig.diagnostics()["level"] == "2"
    assert rig.set_parameter("on_missing", "passthrough") == (True, "")

    sent["rgb"], sent["thermal"] = info(), info(k=[0.0] * 9)
    assert becomes(told(rig, "the CameraInfo on /live/thermal/camera_info", "not calibrated"))
    sent["thermal"] = info()
    assert becomes(told(rig, "no transforms connect 'front' and 'lwir'", "there is none"))
    tf.static(link("base", "front", turn=OPTICAL), link("mast", "lwir", turn=OPTICAL))
    assert becomes(told(rig, "'front' hangs below 'base', 'lwir' hangs below 'mast'"))

    tf.moving(link("base", "mast", left_m=BESIDE_M))
    assert becomes(lambda: rig.diagnostics()["message"].startswith("fusing"))
    del rig.fused[:], rig.masks[:]
    assert becomes(lambda: bool(rig.fused) and bool(rig.masks))
    assert shift(rig) == 2
    assert rig.diagnostics()["calibration"] == "two cameras, thermal sees 94 % of the RGB image"
    np.testing.assert_allclose(pixels(rig.fused[-1])[5, :-3, 0], 8 * np.arange(2, 31), atol=1)
    assert (pixels(rig.fused[-1])[:, -2:] == GREY).all()  # the thermal camera does not see it
    assert (pixels(rig.masks[-1], 1)[:, -2:] == 1).all()
    assert rig.fused[-1].header.frame_id == "front"

    tf.moving(link("base", "mast", left_m=2 * BESIDE_M))
    assert becomes(lambda: shift(rig) == 4)
    assert rig.set_parameter("calibration.distance_m", 10.0) == (True, "")
    assert becomes(lambda: shift(rig) == 2)
    aside = MATRIX.copy()
    aside[0, 2] += 3
    sent["thermal"] = info(k=aside.ravel())
    assert becomes(lambda: shift(rig) == 5)

    tf.moving(link("base", "mast", turn=Quaternion(z=1.0)))  # it looks back
    assert becomes(told(rig, "sees nothing of what the RGB camera sees"))
    assert rig.diagnostics()["calibration"] == "two cameras, not known yet"
    tf.moving(link("base", "mast", left_m=float("nan")))
    assert becomes(told(rig, "between 'base' and 'mast'", "values that are no numbers"))
    assert becomes(lambda: shows_rgb_only(rig))


def test_a_file_describes_the_cameras_where_transforms_place_them(run, transforms, tmp_path):
    file = tmp_path / "rig.yaml"
    elsewhere = Pose(np.eye(3), np.array([9.0, 0, 0]))
    save_calibration(TwoCameras(LENS, LENS, elsewhere, distance_m=5.0), file)
    rig = run(
        "/placed",
        registration=str(file),
        calibration__extrinsics="tf",
        calibration__thermal_frame="lwir_optical",
    )
    tf = transforms(rig.node)
    tf.static(
        link("base", "front", turn=OPTICAL),
        link("base", "lwir_optical", left_m=BESIDE_M, turn=OPTICAL),
    )
    assert rig.play(lambda: bool(rig.fused) and shift(rig) == 2, ramp, grey), rig.diagnostics()


def test_topics_describe_the_cameras_where_a_file_places_them(run, tmp_path):
    file = tmp_path / "pose.yaml"
    file.write_text(
        "model: pinhole\nrotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n"
        f"translation_m: [{BESIDE_M}, 0, 0]\ndistance_m: 5\n"
    )
    rig = run("/described", registration=str(file), calibration__intrinsics="topics")
    thermal_info = rig.node.create_publisher(CameraInfo, "thermal/camera_info", 10)
    twice = np.array([[80.0, 0, 31.5], [0, 80, 23.5], [0, 0, 1]])

    def with_infos(stamp):
        rig.info.publish(info())
        thermal_info.publish(info(width=64, height=48, k=twice.ravel(), binning_x=2, binning_y=2))
        return ramp(stamp)

    assert rig.play(lambda: bool(rig.fused) and shift(rig) == 2, with_infos, grey)


def test_thermal_images_alone_lie_where_the_first_rgb_image_would(run, tmp_path):
    file = tmp_path / "rig.yaml"
    wide = np.array([[2.0, 0, 3], [0, 2, 1], [0, 0, 1]])  # RGB pixels to thermal ones
    save_calibration(Homography((WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT), wide), file)
    rig = run("/alone", registration=str(file))

    def with_info(stamp):
        rig.info.publish(info("front", width=16, height=12))
        return ramp(stamp)

    def placed(frame):
        return lambda: (
            bool(rig.fused) and (rig.fused[-1].width, rig.fused[-1].header.frame_id) == (16, frame)
        )

    assert rig.play(placed("lwir"), ramp, None)
    assert (pixels(rig.fused[-1])[4, :14, 0] == 8 * (2 * np.arange(14) + 3)).all()
    assert rig.infos == []
    assert rig.play(placed("front"), with_info, None)
    assert rig.play(lambda: bool(rig.infos), with_info, None)


@pytest.mark.parametrize(
    ("content", "parameters", "complaint"),
    [
        (None, {"calibration__extrinsics": "tf"}, "calibration.intrinsics is file: registration"),
        (None, {"calibration__intrinsics": "topics"}, "calibration.extrinsics is file"),
        ("homography", {"calibration__extrinsics": "tf"}, "holds a homography"),
        ("pose", {}, "rgb_matrix: expected numbers, found no such entry"),
        ("pose", {"calibration__extrinsics": "tf"}, "that holds both cameras"),
        ("cameras", {"calibration__intrinsics": "topics"}, "holds rotation and translation_m"),
    ],
)
def test_a_file_that_does_not_hold_what_is_wanted_is_refused(
    tmp_path, tf2_msgs, content, parameters, complaint
):
    from amg_fuse_ros.imaging.camera_model import CalibrationError
    from amg_fuse_ros.ros.rig import Rig
    from amg_fuse_ros.settings import defaults

    camera = "size: [32, 24]", "matrix: [[40, 0, 15], [0, 40, 11], [0, 0, 1]]"
    texts = {
        "homography": "rgb_size: [4, 3]\nthermal_size: [4, 3]\n"
        "matrix: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "pose": "rotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\ntranslation_m: [0, 0, 0]",
        "cameras": "\n".join(f"{name}_{line}" for name in ("rgb", "thermal") for line in camera),
    }
    settings = {**defaults(), **{k.replace("__", "."): v for k, v in parameters.items()}}
    if content:
        file = tmp_path / "rig.yaml"
        model = "homography" if content == "homography" else "pinhole"
        file.write_text(f"model: {model}\n{texts[content]}\n")
        settings["registration"] = str(file)
    with pytest.raises(CalibrationError, match=complaint):
        Rig(settings)


def test_camera_info_of_another_size_than_the_images_is_told_until_it_fits(run):
    rig = run("/scaled")
    sent = [info(width=2 * WIDTH, height=2 * HEIGHT)]

    def with_info(stamp):
        rig.info.publish(sent[-1])
        return ramp(stamp)

    def faults():
        return [k for k in rig.diagnostics() if k.startswith("fault")] if rig.reports else []

    assert rig.play(lambda: bool(faults()), with_info, grey)
    assert faults() == ["fault: rgb camera_info"]
    told = rig.diagnostics()["fault: rgb camera_info"]
    assert "/scaled/rgb/image_raw are 32x24, by the camera's CameraInfo 64x48" in told
    assert rig.diagnostics()["level"] == "1"
    sent.append(info(width=2 * WIDTH, height=2 * HEIGHT, binning_x=2, binning_y=2))
    assert rig.play(lambda: not faults(), with_info, grey)
