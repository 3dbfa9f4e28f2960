"""Dead pixels of a thermal camera are replaced, what shines in the scene is not."""

import cv2
import numpy as np
import pytest

from amg_fuse_ros.imaging.dead_pixels import LOOKS, PERIOD, DeadPixels

ENOUGH = PERIOD * LOOKS


def frame(number, dtype=np.uint16):
    """A scene that moves on, with noise."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:80, :100]
    top = 2000 if dtype == np.uint16 else 150
    waves = np.sin((x + number) / 9) + np.cos((y + number / 2) / 7)
    counts = top * (1.5 + 0.2 * waves) if dtype == np.uint16 else top / 2 * (1 + 0.2 * waves)
    return (counts + rng.normal(0, top / 500, (80, 100))).astype(dtype)


def play(dead, frames):
    for image in frames:
        repaired = dead.repair(image)
    return repaired


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("stuck", ["low", "high"])
def test_stuck_pixels_are_replaced_by_what_is_around_them(dtype, stuck):
    dead = DeadPixels()
    level = 0 if stuck == "low" else np.iinfo(dtype).max
    places = [(0, 0), (40, 50), (79, 99), (12, 3)]
    for number in range(ENOUGH):
        image = frame(number, dtype)
        clean = image.copy()
        for place in places:
            image[place] = level
        repaired = dead.repair(image)
    assert dead.count == len(places)
    for place in places:
        assert abs(int(repaired[place]) - int(clean[place])) < 0.05 * np.ptp(clean) + 3
    untouched = np.ones(image.shape, bool)
    untouched[tuple(zip(*places, strict=True))] = False
    np.testing.assert_array_equal(repaired[untouched], image[untouched])
    assert image[40, 50] == level, "the camera's frame itself is not modified"


def test_a_small_hot_thing_that_stays_is_left_alone():
    dead = DeadPixels()
    for number in range(2 * ENOUGH):
        image = frame(number).astype(np.float32)
        lamp = np.zeros_like(image)
        lamp[30, 60] = 60000
        image += cv2.GaussianBlur(lamp, (0, 0), 0.7)  # what optics make of a point
        dead.repair(image.clip(0, 65535).astype(np.uint16))
    assert dead.count == 0


def test_a_pixel_that_flashes_once_is_left_alone():
    dead = DeadPixels()
    for number in range(2 * ENOUGH):
        image = frame(number)
        if number == PERIOD * 2:
            image[20, 20] = 65535
        dead.repair(image)
    assert dead.count == 0


def test_a_pixel_that_recovers_is_used_again():
    dead = DeadPixels()
    for number in range(ENOUGH):
        image = frame(number)
        image[20, 20] = 0
        dead.repair(image)
    assert dead.count == 1
    play(dead, [frame(n) for n in range(PERIOD)])
    assert dead.count == 0


def test_a_frame_of_another_size_begins_anew():
    dead = DeadPixels()
    for number in range(ENOUGH):
        image = frame(number)
        image[20, 20] = 0
        dead.repair(image)
    small = frame(0)[:10, :10]
    np.testing.assert_array_equal(dead.repair(small), small)
    assert dead.count == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 3)])
def test_any_size_is_taken(shape):
    image = np.full(shape, 7, np.uint16)
    np.testing.assert_array_equal(play(DeadPixels(), [image] * 25), image)
