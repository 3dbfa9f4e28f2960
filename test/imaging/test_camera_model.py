"""Pixels become directions and directions pixels, as OpenCV and CameraInfo define it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.imaging.camera_model import OUTSIDE, CalibrationError, CameraModel

MATRIX = np.array([[300.0, 0, 162], [0, 310, 118], [0, 0, 1]])
SIZE = (320, 240)
LENSES = {
    "perfect": CameraModel(SIZE, MATRIX),
    "plumb_bob": CameraModel(SIZE, MATRIX, np.array([-0.28, 0.07, 0.002, -0.001, 0.01])),
    "rational_polynomial": CameraModel(
        SIZE,
        MATRIX,
        np.array([0.5, -0.1, 0.001, 0.0005, 0.02, 0.8, -0.05, 0.03]),
        "rational_polynomial",
    ),
    "equidistant": CameraModel(
        SIZE,
        np.array([[150.0, 0, 160], [0, 150, 120], [0, 0, 1]]),
        np.array([0.02, -0.01, 0.003, -0.0005]),
        "equidistant",
    ),
}
every_lens = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)


def pixels(size=SIZE, step=13):
    x, y = np.meshgrid(np.arange(0.0, size[0], step), np.arange(0.0, size[1], step))
    return np.column_stack((x.ravel(), y.ravel()))


def ahead(directions, depth=7.0):
    return np.column_stack((directions, np.ones(len(directions)))) * depth


@every_lens
def test_a_pixel_is_where_its_direction_is_seen(lens):
    there = lens.directions(pixels())
    assert np.isfinite(there).all()
    np.testing.assert_allclose(lens.project(ahead(there)), pixels(), atol=1e-3)


@every_lens
def test_places_are_seen_where_opencv_says(lens):
    places = np.random.default_rng(0).uniform((-1, -1, 2.5), (1, 1, 6), (50, 3))
    if lens.model == "equidistant":
        function = cv2.fisheye.projectPoints
        seen, _ = function(places[:, None], np.zeros(3), np.zeros(3), lens.matrix, lens.distortion)
    else:
        seen, _ = cv2.projectPoints(places, np.zeros(3), np.zeros(3), lens.matrix, lens.distortion)
    np.testing.assert_allclose(lens.project(places), seen.reshape(-1, 2), atol=1e-6)


@every_lens
def test_what_lies_behind_a_camera_is_in_no_image(lens):
    behind = np.array([[0.1, 0.0, -5.0], [0.0, 0.0, -1.0]])
    assert (lens.project(behind) == OUTSIDE).all()


def test_a_fisheye_sees_things_beside_it():
    [[x, y]] = LENSES["equidistant"].project(np.array([[1.0, 0.0, 0.0]]))
    assert 160 + 150 < x < 160 + 150 * 2
    assert y == pytest.approx(120)


def test_directions_that_the_distortion_folds_back_are_in_no_image():
    lens = CameraModel(SIZE, MATRIX, np.array([-0.5, 0.0, 0.0, 0.0]))
    assert lens.widest == pytest.approx(np.sqrt(1 / 1.5), abs=0.01)  # of r (1 - r^2 / 2)
    places = np.array([[lens.widest * 0.99, 0, 1], [lens.widest * 1.01, 0, 1], [1.4, 0, 1]])
    seen = lens.project(places)[:, 0] != OUTSIDE
    assert seen.tolist() == [True, False, False]


def test_pixels_that_no_direction_is_bent_to_have_none():
    lens = CameraModel((2000, 2000), MATRIX, np.array([-0.5, 0.0, 0.0, 0.0]))
    there = lens.directions(np.array([[162.0, 118.0], [1900.0, 118.0]]))
    assert np.isfinite(there[0]).all()
    assert np.isnan(there[1]).all()


@every_lens
def test_a_part_of_the_sensor_with_joined_pixels_sees_the_same(lens):
    part = lens.cut((40, 20), (200, 160), (2, 2))
    assert part.size == (100, 80)
    of_part = pixels(part.size, 9)
    of_whole = (of_part + 0.5) * 2 - 0.5 + (40, 20)
    np.testing.assert_allclose(part.directions(of_part), lens.directions(of_whole), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"matrix": np.eye(2)}, r"matrix: expected \(3, 3\) numbers"),
        ({"matrix": np.zeros((3, 3))}, "focal lengths above 0"),
        ({"matrix": np.full((3, 3), np.nan)}, "matrix: expected finite"),
        ({"size": (0, 5)}, "size"),
        ({"model": "ftheta"}, "plumb_bob, rational_polynomial, equidistant, found 'ftheta'"),
        ({"distortion": np.zeros(8)}, "0 or 4 or 5 coefficients for plumb_bob, found 8"),
        ({"distortion": np.full(5, np.inf)}, "distortion: expected finite"),
    ],
)
def test_cameras_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(CalibrationError, match=complaint):
        CameraModel(**{"size": SIZE, "matrix": MATRIX, **change})


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)]),
    st.lists(st.floats(-3, 3), min_size=8, max_size=8),
)
def test_whatever_the_coefficients_are_pixels_are_found_again_or_have_no_direction(kind, numbers):
    model, count = kind
    lens = CameraModel(SIZE, MATRIX, np.array(numbers[:count]), model)
    there = lens.directions(pixels(step=40))
    found = np.isfinite(there).all(axis=1)
    np.testing.assert_allclose(lens.project(ahead(there))[found], pixels(step=40)[found], atol=0.51)
