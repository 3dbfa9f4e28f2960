"""The thermal image is brought onto the RGB camera's pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import smooth_image

from amg_fuse_ros.imaging.camera_model import CameraModel
from amg_fuse_ros.imaging.registration import (
    CalibrationError,
    Homography,
    Pose,
    Registrar,
    TwoCameras,
    displacement,
    share_seen,
)

RGB, THERMAL = (64, 48), (40, 32)


def shifted(x, y, rgb=RGB, thermal=RGB):
    return Homography(rgb, thermal, np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]))


RGB_CAMERA = CameraModel(
    RGB,
    np.array([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]]),
    np.array([-0.2, 0.05, 0.001, 0.0, 0.0]),
)
THERMAL_CAMERA = CameraModel(THERMAL, np.array([[50.0, 0, 20], [0, 50, 16], [0, 0, 1]]))


def cameras(distance=30.0, baseline=0.1, rotation=None):
    """Two parallel cameras, the thermal one to the left; the RGB one sees twice as far aside."""
    pose = Pose(np.eye(3) if rotation is None else rotation, np.array([baseline, 0, 0]))
    return TwoCameras(RGB_CAMERA, THERMAL_CAMERA, pose, distance)


def unit(width, height, seed=0):
    return smooth_image(height, width, seed=seed, top=255, dtype=np.uint8).astype(np.float32) / 255


class TestRegistrar:
    def test_takes_each_pixel_from_where_the_homography_says(self):
        thermal = unit(*RGB)
        mapped, seen = Registrar(shifted(5, 3))(thermal, RGB)
        np.testing.assert_allclose(mapped[:-3, :-5], thermal[3:, 5:], atol=1e-6)
        assert seen[:-3, :-5].all()

    def test_says_which_pixels_the_thermal_camera_does_not_see(self):
        mapped, seen = Registrar(shifted(5, 3))(np.ones((48, 64), np.float32), RGB)
        assert not seen[-3:].any()
        assert not seen[:, -5:].any()
        assert not mapped[-3:].any()

    def test_works_at_other_sizes_than_the_calibrated_ones(self):
        thermal = unit(*RGB)
        full, _ = Registrar(shifted(6, 4))(thermal, RGB)
        half, seen = Registrar(shifted(6, 4))(cv2.resize(thermal, (32, 24)), (32, 24))
        expected = cv2.resize(full, (32, 24))
        assert seen.mean() > 0.7
        np.testing.assert_allclose(half[2:20, 2:27], expected[2:20, 2:27], atol=0.05)

    def test_follows_a_change_of_size(self):
        registrar = Registrar(shifted(0, 0))
        for size in ((64, 48), (32, 24), (64, 48)):
            mapped, seen = registrar(unit(*size), size)
            assert mapped.shape == seen.shape == size[::-1]
            np.testing.assert_allclose(mapped, unit(*size), atol=1e-6)


class TestTwoCameras:
    def test_put_a_point_where_both_of_them_see_it(self):
        place = np.array([[2.0, -1.0, 30.0]])  # in the RGB camera's frame
        rgb, _ = cv2.projectPoints(
            place, np.zeros(3), np.zeros(3), RGB_CAMERA.matrix, RGB_CAMERA.distortion
        )
        thermal, _ = cv2.projectPoints(
            place, np.zeros(3), np.array([0.1, 0, 0]), THERMAL_CAMERA.matrix, None
        )
        np.testing.assert_allclose(cameras().to_thermal(rgb[0]), thermal[0], atol=1e-3)

    def test_displace_nearer_planes_by_the_parallax(self):
        centre = np.array([[32.0, 24.0]])
        far, near = (cameras(distance=d).to_thermal(centre)[0, 0] for d in (1000.0, 5.0))
        assert near - far == pytest.approx(50 * 0.1 / 5, abs=0.02)

    def test_share_nothing_where_one_looks_back(self):
        camera = cameras(baseline=0, rotation=np.diag([-1.0, 1.0, -1.0]))
        _, seen = Registrar(camera)(unit(*THERMAL), RGB)
        assert not seen.any()

    def test_are_asked_for_some_pixels_and_the_others_are_interpolated_closely(self):
        size = (321, 242)  # no multiple of the grid
        matrix = np.array([[260.0, 0, 160], [0, 260, 121], [0, 0, 1]])
        bent = CameraModel(size, matrix, np.array([-0.28, 0.07, 0.0, 0.0, 0.0]))
        rig = TwoCameras(bent, CameraModel(size, matrix), Pose(np.eye(3), np.array([0.3, 0, 0])))
        ramp = np.tile(np.arange(321, dtype=np.float32), (242, 1))
        mapped, seen = Registrar(rig)(ramp, size)
        rows, columns = np.nonzero(seen)
        exact = rig.to_thermal(np.column_stack((columns, rows)).astype(np.float64))[:, 0]
        assert seen.mean() > 0.7
        assert np.abs(mapped[seen] - exact).max() < 1 / 32 + 0.01  # remap's fractions, and ours

    def test_that_are_one_and_the_same_see_all_of_each_other(self):
        for lens in (RGB_CAMERA, THERMAL_CAMERA):
            both = TwoCameras(lens, lens, Pose(np.eye(3), np.zeros(3)))
            mapped, seen = Registrar(both)(unit(*lens.size), lens.size)
            assert seen.all()
            np.testing.assert_allclose(mapped, unit(*lens.size), atol=2e-3)

    def test_are_as_far_apart_as_the_place_that_moved_most(self):
        still, moved = cameras(baseline=0.1), cameras(baseline=0.4)
        assert displacement(still, still) == displacement(still, cameras()) == 0
        assert displacement(still, moved) == pytest.approx(50 * 0.3 / 30, abs=0.02)
        assert displacement(still, cameras(distance=5.0)) == pytest.approx(50 * 0.1 / 6, abs=0.05)

    def test_know_how_much_of_the_rgb_image_the_thermal_camera_sees(self):
        _, seen = Registrar(cameras())(unit(*THERMAL), RGB)
        assert share_seen(cameras()) == pytest.approx(seen.mean(), abs=0.05)

    def test_a_narrow_thermal_lens_that_bends_much_does_not_appear_twice(self):
        bent = CameraModel(THERMAL, THERMAL_CAMERA.matrix, np.array([-0.9, 0.0, 0.0, 0.0]))
        wide = CameraModel(RGB, np.array([[16.0, 0, 32], [0, 16, 24], [0, 0, 1]]))
        pose = Pose(np.eye(3), np.zeros(3))
        _, seen = Registrar(TwoCameras(wide, bent, pose))(unit(*THERMAL), RGB)
        outlines, _ = cv2.findContours(
            seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        assert len(outlines) == 1
        assert seen[24, 32]
        assert not seen[:, :5].any()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=9, max_size=9),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_any_homography_and_size_gives_finite_pixels(numbers, thermal, rgb):
    matrix = np.array(numbers).reshape(3, 3)
    try:
        registrar = Registrar(Homography((64, 48), (40, 32), matrix))
    except CalibrationError:
        return
    mapped, seen = registrar(np.ones(thermal[::-1], np.float32), rgb)
    assert mapped.shape == seen.shape == rgb[::-1]
    assert np.isfinite(mapped).all()
    np.testing.assert_allclose(mapped[seen], 1, atol=0.04)
