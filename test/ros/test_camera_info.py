"""CameraInfo is read as its definition says: distortion, binning, ROI, rectification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from amg_fuse_ros.imaging.camera_model import CalibrationError, CameraModel
from amg_fuse_ros.imaging.registration import Pose, Registrar, TwoCameras, share_seen
from amg_fuse_ros.ros.camera_info import contents, read_camera_info, size_of_images

K = [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
P = [500.0, 0.0, 310.0, 0.0, 0.0, 500.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def info(**changes):
    values = {"width": 640, "height": 480, "k": K, "p": P, "distortion_model": "plumb_bob"}
    return CameraInfo(**{**values, "d": [-0.2, 0.05, 0.0, 0.0, 0.0], **changes})


@pytest.mark.parametrize(
    ("name", "count", "model"),
    [
        ("plumb_bob", 5, "plumb_bob"),
        ("plumb_bob", 0, "plumb_bob"),
        ("", 0, "plumb_bob"),
        ("rational_polynomial", 8, "rational_polynomial"),
        ("equidistant", 4, "equidistant"),
        ("fisheye", 4, "equidistant"),
    ],
)
def test_every_usual_model_of_distortion_is_taken(name, count, model):
    d = [0.01 * n for n in range(count)]
    camera, turn = read_camera_info(info(distortion_model=name, d=d))
    assert (camera.size, camera.model) == ((640, 480), model)
    assert camera.distortion.tolist() == d
    assert camera.matrix.ravel().tolist() == K
    np.testing.assert_array_equal(turn, np.eye(3))


def test_binning_makes_pixels_larger_and_a_region_moves_the_centre():
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=300)
    message = info(binning_x=2, binning_y=2, roi=roi)
    camera, _ = read_camera_info(message)
    assert camera.size == size_of_images(message) == (200, 150)
    assert camera.matrix[0, 0] == 300
    assert camera.matrix[0, 2] == pytest.approx((320 - 100 + 0.5) / 2 - 0.5)
    assert camera.matrix[1, 2] == pytest.approx((240 - 40 + 0.5) / 2 - 0.5)


def test_an_empty_region_and_a_binning_of_0_mean_the_whole_sensor():
    assert size_of_images(info()) == (640, 480)


def test_of_rectified_images_the_projection_holds_and_no_distortion():
    turned = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    camera, turn = read_camera_info(info(r=turned), rectified=True)
    assert camera.matrix[0].tolist() == [500, 0, 310]
    assert not camera.distortion.any()
    np.testing.assert_allclose(turn.ravel(), turned, atol=1e-12)


def test_a_rectification_with_rounded_numbers_is_still_a_rotation():
    rounded = [0.999, -0.045, 0.003, 0.045, 0.999, 0.004, -0.003, -0.004, 1.0]
    _, turn = read_camera_info(info(r=rounded), rectified=True)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn.ravel(), rounded, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "rectified", "complaint"),
    [
        ({"k": [0.0] * 9}, False, "not calibrated"),
        ({"p": [0.0] * 12}, True, "p is 0"),
        ({"r": [2.0] * 9}, True, "r: expected a rotation"),
        ({"r": [float("nan")] * 9}, True, "r: expected a rotation"),
        ({"r": [1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0]}, True, "found a reflection"),
        ({"distortion_model": "ftheta"}, False, "distortion_model: expected one of equidistant"),
        ({"d": [0.1] * 3}, False, "distortion: expected 0 or 4 or 5"),
        ({"d": [float("nan")] * 5}, False, "finite"),
        ({"width": 0}, False, "size"),
        (
            {"roi": RegionOfInterest(x_offset=600, width=100, height=100)},
            False,
            "roi: expected a part of 640x480 pixels, found 100x100 at 600, 0",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(changes, rectified, complaint):
    with pytest.raises(CalibrationError, match=complaint):
        read_camera_info(info(**changes), rectified=rectified)


def test_messages_that_differ_in_their_header_only_say_the_same():
    later = info()
    later.header.stamp.sec = 7
    assert contents(later) == contents(info())
    for change in ({"binning_x": 2}, {"d": [0.1] * 5}, {"width": 641}, {"p": [1.0] * 12}):
        assert contents(info(**change)) != contents(info())


NUMBERS = st.one_of(
    st.floats(-2, 2), st.floats(1, 2000), st.floats(), st.sampled_from([0.0, 1e-300, 1e300])
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NUMBERS, min_size=33, max_size=33),
    st.sampled_from([("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)]),
    st.tuples(*[st.integers(0, 70)] * 8),
    st.booleans(),
)
def test_any_numbers_give_a_camera_that_can_be_used_or_are_refused(numbers, kind, sizes, rectified):
    name, count = kind
    k, r, p = numbers[:9], numbers[9:18], numbers[18:30]
    message = CameraInfo(
        **{"width": sizes[0], "height": sizes[1], "distortion_model": name},
        **{"k": k, "r": r, "p": p, "d": [n / 10 for n in numbers[:count]]},
        **{"binning_x": sizes[2] // 20, "binning_y": sizes[3] // 20},
        roi=RegionOfInterest(
            x_offset=sizes[4] // 4, y_offset=sizes[5] // 4, width=sizes[6], height=sizes[7]
        ),
    )
    try:
        camera, turn = read_camera_info(message, rectified=rectified)
    except CalibrationError:
        return
    other = CameraModel((16, 12), np.array([[12.0, 0, 8], [0, 12, 6], [0, 0, 1]]))
    for rgb, thermal in ((camera, other), (other, camera)):
        rig = TwoCameras(rgb, thermal, Pose(turn, np.array([0.1, 0, 0])))
        assert 0 <= share_seen(rig) <= 1
        mapped, _ = Registrar(rig)(np.ones(thermal.size[::-1], np.float32), rgb.size)
        assert np.isfinite(mapped).all()
