"""A rig's calibration is made anew when it moved, and for nothing else."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from node_harness import wait_until
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from amg_fuse_ros.imaging.registration import TwoCameras
from amg_fuse_ros.ros.rig import STILL_PX, Rig
from amg_fuse_ros.settings import defaults

pytestmark = pytest.mark.ros

F = 40.0
LIVE = {
    "calibration.intrinsics": "topics",
    "calibration.extrinsics": "tf",
    "calibration.distance_m": 10.0,
}


@contextmanager
def opened(settings):
    """A rig in a node, and what it listens to; ``heard`` waits until it knows something."""
    from tf2_msgs.msg import TFMessage

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("rig_and_cameras", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    rig = Rig(settings)
    rig.open(node, ReliabilityPolicy.RELIABLE)
    infos = {name: node.create_publisher(CameraInfo, f"{name}/camera_info", 5) for name in CAMERAS}
    transforms = node.create_publisher(TFMessage, "/tf", 5)

    def spin():
        executor.spin_once(timeout_sec=0.05)

    def send_info(name, cx=15.5, stamp=0, **more):
        k = [F, 0.0, cx, 0.0, F, 11.5, 0.0, 0.0, 1.0]
        message = CameraInfo(width=32, height=24, k=k, distortion_model="plumb_bob", **more)
        message.header.stamp.sec = stamp
        infos[name].publish(message)

    def send_pose(x):
        link = TransformStamped(
            header=Header(frame_id="lwir"),
            child_frame_id="front",
            transform=Transform(translation=Vector3(x=x)),
        )
        transforms.publish(TFMessage(transforms=[link]))

    def heard(condition):
        assert wait_until(condition, spin), rig.problem("lwir", "front")

    publishers = (*infos.values(), transforms)
    heard(lambda: all(p.get_subscription_count() for p in publishers))
    try:
        yield SimpleNamespace(rig=rig, info=send_info, pose=send_pose, heard=heard)
    finally:
        rig.close()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


CAMERAS = ("thermal", "rgb")


def test_what_is_sent_again_makes_nothing_anew_and_what_moves_does(tf2_msgs):
    with opened({**defaults(), **LIVE}) as live:

        def now():
            made = live.rig.calibration("lwir", "front")
            assert isinstance(made, TwoCameras)
            return made

        def x():
            return float(live.rig._look_up("lwir", "front").translation_m[0])

        for name in CAMERAS:
            live.info(name)
        live.pose(0.1)
        live.heard(lambda: not live.rig.problem("lwir", "front"))
        first = now()

        live.info("rgb", stamp=7)
        live.heard(lambda: live.rig.rgb_info.header.stamp.sec == 7)
        assert now() is first

        jitter = 0.1 + 0.5 * STILL_PX * 10 / F
        live.pose(jitter)
        live.heard(lambda: x() == jitter)
        assert now() is first

        live.pose(0.3)
        live.heard(lambda: x() == 0.3)
        second = now()
        assert second is not first
        assert second is now()
        assert second.pose.translation_m[0] == 0.3

        live.info("thermal", cx=17.5)
        live.heard(lambda: now() is not second)
        centre = np.array([[15.5, 11.5]])
        np.testing.assert_allclose(now().to_thermal(centre), [[17.5 + F * 0.3 / 10, 11.5]])


def test_a_slow_drift_is_followed_in_the_end(tf2_msgs):
    with opened({**defaults(), **LIVE}) as live:
        for name in CAMERAS:
            live.info(name)
        live.pose(0.0)
        live.heard(lambda: not live.rig.problem("lwir", "front"))
        made = {id(live.rig.calibration("lwir", "front"))}
        for step in range(1, 9):
            x = step * 0.4 * STILL_PX * 10 / F
            live.pose(x)
            live.heard(lambda x=x: live.rig._look_up("lwir", "front").translation_m[0] == x)
            made.add(id(live.rig.calibration("lwir", "front")))
        assert 2 < len(made) < 5


def test_rectified_images_lie_as_they_were_turned(tf2_msgs):
    rectified = {**defaults(), **LIVE, "calibration.rectified": "rgb"}
    with opened(rectified) as live:
        live.info("thermal")
        angle = 0.1  # the rectified RGB image looks so far to the right
        c, s = np.cos(angle), np.sin(angle)
        live.info(
            "rgb",
            r=[c, 0.0, -s, 0.0, 1.0, 0.0, s, 0.0, c],
            p=[F, 0.0, 15.5, 0.0, 0.0, F, 11.5, 0.0, 0.0, 0.0, 1.0, 0.0],
        )
        live.pose(0.0)
        live.heard(lambda: not live.rig.problem("lwir", "front"))
        [[x, y]] = live.rig.calibration("lwir", "front").to_thermal(np.array([[15.5, 11.5]]))
        assert x == pytest.approx(15.5 + F * np.tan(angle))
        assert y == pytest.approx(11.5)


def test_where_the_file_says_all_nothing_else_is_listened_to():
    with_nothing = Rig(defaults())
    assert with_nothing.calibration("lwir", "front") is None
    assert with_nothing.problem("", "") is None
    assert with_nothing.words == "none, both cameras are taken for one view"


def test_images_without_a_frame_are_named_with_the_setting_that_helps(tf2_msgs):
    with opened({**defaults(), **LIVE}) as live:
        for name in CAMERAS:
            live.info(name)
        live.heard(lambda: "calibration.rgb_frame" in str(live.rig.problem("lwir", "")))
        assert "the rgb images have no frame_id" in str(live.rig.problem("lwir", ""))
        assert "calibration.thermal_frame" in str(live.rig.problem("", "front"))
