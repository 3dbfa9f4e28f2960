"""A chessboard or a grid of circles that both cameras see."""

import cv2
import numpy as np
import pytest

from amg_fuse_ros.imaging.board import estimate_from_board
from amg_fuse_ros.imaging.registration import CalibrationError

CORNERS = (7, 5)


def board(angle, seed):
    """The board in the RGB image, 400 x 300, turned and on a noisy wall."""
    squares = np.indices((CORNERS[1] + 1, CORNERS[0] + 1)).sum(axis=0) % 2
    image = np.kron(squares * 180 + 40, np.ones((24, 24))).astype(np.uint8)
    turn = cv2.getRotationMatrix2D((96, 72), angle, 1)
    turn[:, 2] += (100, 70)
    wall = cv2.warpAffine(image, turn, (400, 300), borderValue=130.0)
    noise = np.random.default_rng(seed).normal(0, 3, wall.shape)
    return (wall + noise).clip(0, 255).astype(np.uint8)


TRUE = np.array([[0.7, 0.02, 10], [-0.015, 0.72, 5], [0, 0, 1.0]])


def thermal_of(visible, *, negative):
    seen = cv2.warpPerspective(visible, TRUE, (300, 240), borderValue=130.0)
    return 255 - seen if negative else seen


@pytest.mark.parametrize("negative", [False, True])
def test_gives_the_homography_between_the_cameras(negative):
    boards = [board(angle, seed) for seed, angle in enumerate((0, 20, -15))]
    found = estimate_from_board([(v, thermal_of(v, negative=negative)) for v in boards], CORNERS)
    points = np.array([[150.0, 100], [250, 100], [200, 180]])
    expected = cv2.perspectiveTransform(points[None], TRUE)[0]
    np.testing.assert_allclose(found.calibration.to_thermal(points), expected, atol=1)
    assert found.matches == 3 * CORNERS[0] * CORNERS[1]
    assert found.error_px < 1


def test_pairs_without_the_board_are_left_out():
    visible = board(0, 0)
    blank = np.full((240, 300), 90, np.uint8)
    pairs = [(visible, blank), (visible, thermal_of(visible, negative=False))]
    assert estimate_from_board(pairs, CORNERS).calibration.facts["pairs"] == 1
    with pytest.raises(CalibrationError, match="7x5"):
        estimate_from_board(pairs[:1], CORNERS)


def test_a_board_of_too_few_corners_is_refused():
    with pytest.raises(CalibrationError, match="3 or more"):
        estimate_from_board([], (2, 5))


def circles(pattern, angle):
    """7 x 5 circles, or 4 x 7 with every other row shifted, on a wall."""
    wall = np.full((300, 400), 200.0)
    columns, rows = (7, 5) if pattern == "circles" else (4, 7)
    for row in range(rows):
        for column in range(columns):
            across = 2 * column + row % 2 if pattern == "acircles" else 1.6 * column
            down = row if pattern == "acircles" else 1.6 * row
            center = (round(110 + 18 * across), round(90 + 18 * down))
            cv2.circle(wall, center, 6, 40.0, -1, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((200, 150), angle, 1)
    return cv2.warpAffine(wall, turn, (400, 300), borderValue=200.0).astype(np.uint8)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize(("pattern", "size"), [("circles", (7, 5)), ("acircles", (4, 7))])
def test_grids_of_circles_serve_as_well(pattern, size, negative):
    views = [circles(pattern, angle) for angle in (8, 15)]
    pairs = [(v, thermal_of(v, negative=negative)) for v in views]
    found = estimate_from_board(pairs, size, pattern)
    points = np.array([[150.0, 100], [250, 100], [200, 180]])
    expected = cv2.perspectiveTransform(points[None], TRUE)[0]
    np.testing.assert_allclose(found.calibration.to_thermal(points), expected, atol=1)
    assert found.matches == 2 * size[0] * size[1]


def test_an_unknown_pattern_is_refused():
    with pytest.raises(CalibrationError, match="circles"):
        estimate_from_board([], (7, 5), "dots")
