"""The thermal image is brought onto the RGB camera's pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import smooth_image

from amg_fuse_ros.imaging.registration import (
    CalibrationError,
    Homography,
    Pinhole,
    Registrar,
)

RGB, THERMAL = (64, 48), (40, 32)


def shifted(x, y, rgb=RGB, thermal=RGB):
    return Homography(rgb, thermal, np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]))


def cameras(distance=30.0, baseline=0.1):
    """Two parallel cameras, the thermal one to the left; the RGB one sees twice as far aside."""
    return Pinhole(
        rgb_size=RGB,
        thermal_size=THERMAL,
        rgb_matrix=np.array([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]]),
        thermal_matrix=np.array([[50.0, 0, 20], [0, 50, 16], [0, 0, 1]]),
        rgb_distortion=np.array([-0.2, 0.05, 0.001, 0.0, 0.0]),
        thermal_distortion=np.zeros(5),
        rotation=np.eye(3),
        translation_m=np.array([baseline, 0, 0]),
        distance_m=distance,
    )


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


class TestPinhole:
    def test_puts_a_point_where_both_cameras_see_it(self):
        camera = cameras()
        place = np.array([[2.0, -1.0, 30.0]])  # in the RGB camera's frame
        rgb, _ = cv2.projectPoints(
            place, np.zeros(3), np.zeros(3), camera.rgb_matrix, camera.rgb_distortion
        )
        thermal, _ = cv2.projectPoints(
            place, np.zeros(3), camera.translation_m, camera.thermal_matrix, None
        )
        np.testing.assert_allclose(camera.to_thermal(rgb[0]), thermal[0], atol=1e-3)

    def test_displaces_nearer_planes_by_the_parallax(self):
        centre = np.array([[32.0, 24.0]])
        far, near = (cameras(distance=d).to_thermal(centre)[0, 0] for d in (1000.0, 5.0))
        assert near - far == pytest.approx(50 * 0.1 / 5, abs=0.02)

    def test_sees_nothing_with_a_camera_that_looks_back(self):
        turned = np.diag([-1.0, 1.0, -1.0])
        camera = Pinhole(**{**vars(cameras()), "rotation": turned, "translation_m": np.zeros(3)})
        _, seen = Registrar(camera)(unit(*THERMAL), RGB)
        assert not seen.any()


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
