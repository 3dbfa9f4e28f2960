"""Where a thermal camera sits beside an RGB camera, from pictures alone."""

import cv2
import numpy as np
import pytest

from amg_fuse_ros.imaging.estimate import estimate_homography
from amg_fuse_ros.imaging.registration import CalibrationError

SIZE = (320, 240)


def boxes(seed):
    """A scene of boxes of random brightness, and of other brightness for the other camera."""
    rng = np.random.default_rng(seed)
    visible, thermal = (np.full(SIZE[::-1], 128, np.uint8) for _ in range(2))
    for _ in range(60):
        corner, side = rng.integers(0, SIZE, 2), rng.integers(10, 70, 2)
        angle = float(rng.uniform(0, 180))
        outline = cv2.boxPoints((corner.tolist(), side.tolist(), angle)).astype(int)
        for image in (visible, thermal):
            cv2.fillPoly(image, [outline], int(rng.integers(0, 256)))
    return visible, thermal


def errors(calibration, true):
    x, y = np.meshgrid(np.arange(20, 300, 20.0), np.arange(20, 220, 20.0))
    points = np.column_stack((x.ravel(), y.ravel()))
    expected = cv2.perspectiveTransform(points[None], true)[0]
    return np.linalg.norm(calibration.to_thermal(points) - expected, axis=1)


@pytest.mark.parametrize(
    "true",
    [
        np.eye(3),
        np.array([[1.02, 0.04, -12], [-0.03, 0.98, 9], [0, 0, 1]]),
        np.array([[0.99, 0.02, 6], [-0.01, 1.01, -8], [1e-4, -5e-5, 1]]),
        np.array([[1.25, 0, -40], [0, 1.25, -30], [0, 0, 1]]),  # a narrower thermal camera
    ],
)
def test_is_found_within_two_pixels_from_three_pairs(true):
    pairs = []
    for seed in range(3):
        visible, thermal = boxes(seed)
        pairs.append((visible, cv2.warpPerspective(thermal, true, SIZE)))
    found = estimate_homography(pairs)
    assert np.median(errors(found.calibration, true)) < 2
    assert found.error_px < 2


def test_knows_cameras_of_different_sizes():
    visible, thermal = boxes(1)
    large = cv2.resize(visible, (640, 480), interpolation=cv2.INTER_CUBIC)
    found = estimate_homography([(np.dstack([large] * 3), thermal)])
    centre = found.calibration.to_thermal(np.array([[319.5, 239.5]]))
    np.testing.assert_allclose(centre, [[159.5, 119.5]], atol=1)
    assert found.calibration.rgb_size == (640, 480)
    assert found.calibration.thermal_size == SIZE


def test_is_the_same_each_time():
    pair = boxes(2)
    first, second = (estimate_homography([pair]).calibration.matrix for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_is_refused_where_the_cameras_see_nothing_alike():
    blank = np.full(SIZE[::-1], 90, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, SIZE[::-1], np.uint8)
    for pairs in ([(blank, blank)], [(boxes(0)[0], noise)]):
        with pytest.raises(CalibrationError, match="agree"):
            estimate_homography(pairs)


def test_pairs_of_different_rigs_and_none_are_refused():
    small = tuple(image[:100, :100] for image in boxes(0))
    with pytest.raises(CalibrationError, match="sizes"):
        estimate_homography([boxes(0), small])
    with pytest.raises(CalibrationError, match="none"):
        estimate_homography([])


@pytest.mark.shared
def test_real_pairs_come_three_times_closer_than_they_were(shared_dir):
    """The aligned thermal image tells by optical flow where each pixel went."""
    before, after = [], []
    for folder in sorted((shared_dir / "data/registration").iterdir()):
        for file in sorted((folder / "ir").iterdir())[:3]:
            aligned, warped = (
                cv2.imread(str(folder / name / file.name), cv2.IMREAD_GRAYSCALE)
                for name in ("ir", "ir_warped")
            )
            [visible] = (folder / "vi").glob(f"{file.stem}.*")
            flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            moved = flow.calc(aligned, warped, None)[20:-20:8, 20:-20:8].reshape(-1, 2)
            rows, columns = np.mgrid[20 : aligned.shape[0] - 20 : 8, 20 : aligned.shape[1] - 20 : 8]
            points = np.column_stack((columns.ravel(), rows.ravel())).astype(np.float64)
            found = estimate_homography([(cv2.imread(str(visible))[..., ::-1].copy(), warped)])
            left = np.linalg.norm(found.calibration.to_thermal(points) - points - moved, axis=1)
            before.append(np.median(np.linalg.norm(moved, axis=1)))
            after.append(np.median(left))
    assert len(before) == 6
    assert np.median(after) < np.median(before) / 3
