"""The procedural street: what its pictures promise to those who test and train with them."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amg_fuse_ros.scenes import LABELS, Scene, write_folders
from amg_fuse_ros.scenes.camera import Camera
from amg_fuse_ros.scenes.lighting import Lighting
from amg_fuse_ros.scenes.weather import Particles

WEATHERS = ("clear", "fog", "rain", "snow")
TIMES = ("day", "night")
CONDITIONS = [(time, weather) for time in TIMES for weather in WEATHERS]

REACH = 12  # pixels of surroundings that a person is compared with


def gray(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)


def people(scene, times=(1.0, 4.0, 9.0, 14.0)):
    """Well visible persons of some frames: (pair, box as integers)."""
    found = []
    for t in times:
        pair = scene.frame(t)
        for box in pair.boxes:
            tall_enough = box.y1 - box.y0 > 0.07 * scene.height
            if box.label == "person" and box.visible_fraction > 0.95 and tall_enough:
                found.append((pair, tuple(round(v) for v in (box.x0, box.y0, box.x1, box.y1))))
    return found


def stands_out(image, box):
    """Contrast of the middle of a box against the columns beside it."""
    x0, y0, x1, y1 = box
    third = max((x1 - x0) // 3, 1)
    inside = image[y0:y1, x0 + third : max(x1 - third, x0 + third + 1)].mean()
    beside = [image[y0:y1, max(x0 - REACH, 0) : x0], image[y0:y1, x1 : x1 + REACH]]
    return inside - np.mean([b.mean() for b in beside if b.size])


@pytest.mark.parametrize(("time", "weather"), CONDITIONS)
def test_a_pair_has_the_sizes_and_types_it_was_asked_for(time, weather):
    pair = Scene(3, 161, 97, time, weather, thermal_size=(80, 61)).frame(2.5)

    assert pair.rgb.shape == pair.rgb_clean.shape == (97, 161, 3)
    assert pair.thermal.shape == pair.thermal_clean.shape == (61, 80)
    assert {a.dtype for a in (pair.rgb, pair.rgb_clean, pair.thermal)} == {np.dtype(np.uint8)}
    assert pair.stamp == 2.5
    assert pair.rgb.std() > 4
    assert pair.thermal.std() > 4


@pytest.mark.parametrize(("time", "weather"), [("day", "snow"), ("night", "rain")])
def test_a_frame_depends_on_seed_and_time_only_not_on_the_order_of_frames(time, weather):
    forwards = Scene(5, 160, 120, time, weather)
    first, later = forwards.frame(0.0), forwards.frame(7.3)
    backwards = Scene(5, 160, 120, time, weather)
    later_again, first_again = backwards.frame(7.3), backwards.frame(0.0)

    for one, other in ((first, first_again), (later, later_again)):
        assert np.array_equal(one.rgb, other.rgb)
        assert np.array_equal(one.thermal, other.thermal)
        assert one.boxes == other.boxes
    assert not np.array_equal(first.rgb, later.rgb)
    assert not np.array_equal(first.rgb, Scene(6, 160, 120, time, weather).frame(0.0).rgb)


@given(
    seed=st.integers(0, 2**32),
    width=st.integers(16, 130),
    height=st.integers(16, 130),
    condition=st.sampled_from(CONDITIONS),
    severity=st.floats(0, 1),
    t=st.floats(-600, 3600),
)
@settings(max_examples=25, deadline=None)
def test_any_size_time_and_severity_gives_boxes_within_the_picture(
    seed, width, height, condition, severity, t
):
    pair = Scene(seed, width, height, *condition, severity).frame(t)

    assert pair.rgb.shape == (height, width, 3)
    for box in pair.boxes:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
        assert 0 < box.visible_fraction <= 1
        assert box.label in LABELS


@pytest.mark.parametrize(("time", "weather"), CONDITIONS)
def test_people_are_hot_where_their_boxes_say(time, weather):
    found = people(Scene(4, 640, 480, time, weather))
    contrasts = [stands_out(pair.thermal.astype(np.float32), box) for pair, box in found]

    assert len(contrasts) >= 3
    assert min(contrasts) > 15


def test_boxes_hold_the_hottest_pixels_of_the_people():
    for pair, (x0, y0, x1, y1) in people(Scene(2, 640, 480, "night")):
        upper = slice(y0, y0 + (y1 - y0) // 4)
        head = pair.thermal_clean[upper, x0:x1].max()
        assert head > np.percentile(pair.thermal_clean, 95)


def test_night_hides_people_from_the_rgb_camera_but_not_from_the_thermal_one():
    day, night = (
        [found for seed in (0, 4, 8) for found in people(Scene(seed, 640, 480, time), (1.0, 9.0))]
        for time in TIMES
    )
    seen = {
        name: np.median([abs(stands_out(gray(pair.rgb), box)) for pair, box in found])
        for name, found in (("day", day), ("night", night))
    }
    hot = np.median([stands_out(pair.thermal.astype(np.float32), box) for pair, box in night])

    assert night[0][0].rgb.mean() < 0.5 * day[0][0].rgb.mean()
    assert seen["night"] < 0.6 * seen["day"]
    assert hot > 4 * seen["night"]


def test_fog_takes_more_contrast_from_the_far_than_from_the_near():
    pair = Scene(2, 640, 480, "day", "fog").frame(5.0)
    clean, foggy = gray(pair.rgb_clean), gray(pair.rgb)
    far, near = np.s_[150:235, 200:440], np.s_[380:480, :]
    kept_far = foggy[far].std() / clean[far].std()
    kept_near = foggy[near].std() / clean[near].std()

    assert kept_far < 0.4
    assert kept_near > 2 * kept_far


@pytest.mark.parametrize("weather", WEATHERS[1:])
def test_severity_degrades_step_by_step_and_thermal_less_than_rgb(weather):
    def damage(severity):
        pair = Scene(3, 320, 240, "day", weather, severity).frame(3.0)
        visible = np.abs(gray(pair.rgb) - gray(pair.rgb_clean)).mean()
        thermal = cv2.absdiff(pair.thermal, pair.thermal_clean).mean()
        return visible, thermal

    visible, thermal = zip(*(damage(s) for s in (0.0, 0.3, 0.6, 1.0)), strict=True)

    assert visible[0] == thermal[0] == 0
    assert list(visible) == sorted(visible)
    assert all(t < v for v, t in zip(visible[1:], thermal[1:], strict=True))


def test_clear_weather_leaves_both_pictures_clean():
    pair = Scene(1, 160, 120).frame(1.0)

    assert np.array_equal(pair.rgb, pair.rgb_clean)
    assert np.array_equal(pair.thermal, pair.thermal_clean)


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_particles_move_with_their_velocity_and_never_jump(weather):
    light = Lighting.of("day", weather, 1)
    particles = Particles.of(light, 1.0, seed=3)
    step, speed = 0.02, 4.5

    def seen(t):
        return particles.seen(Camera(64, 48, 55.0, 32.0, 22.0, 1.7, 1.4, speed * t), t)

    moved = seen(3.0 + step) - seen(3.0)
    stayed = (np.abs(moved) < particles.box / 2).all(axis=1)  # the rest left at one side of the box
    expected = (particles.velocity - np.array([0, 0, speed])) * step

    assert stayed.mean() > 0.9
    assert np.allclose(moved[stayed], expected, atol=step * 0.4 if weather == "snow" else 1e-3)


def test_rain_is_another_in_each_frame_but_the_same_amount():
    scene = Scene(2, 320, 240, "day", "rain", 1.0)
    pairs = [scene.frame(t) for t in (4.0, 4.1, 4.2)]
    streaks = [gray(p.rgb) - cv2.medianBlur(p.rgb, 5).mean(axis=2) for p in pairs]
    amounts = [np.abs(s).mean() for s in streaks]

    assert max(amounts) < 1.3 * min(amounts)
    assert np.corrcoef(streaks[0].ravel(), streaks[1].ravel())[0, 1] < 0.7


def test_something_covered_has_a_smaller_visible_fraction():
    fractions = [box.visible_fraction for t in range(0, 20, 4) for box in Scene(5).frame(t).boxes]

    assert min(fractions) < 0.3
    assert max(fractions) > 0.97


def test_thermal_of_another_size_is_the_same_view():
    plain = Scene(1, 320, 240, "night").frame(3.0)
    halved = Scene(1, 320, 240, "night", thermal_size=(160, 120)).frame(3.0)
    expected = cv2.resize(plain.thermal, (160, 120), interpolation=cv2.INTER_AREA)

    assert np.array_equal(halved.thermal, expected)
    assert np.array_equal(halved.rgb, plain.rgb)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed is -1; expected 0 or more"),
        ({"width": 15}, "15 and 480; expected 16 or more"),
        ({"thermal_size": (0, 20)}, "thermal_size's width and height are 0 and 20"),
        ({"time_of_day": "dusk"}, "time_of_day is 'dusk'; expected one of day, night"),
        ({"weather": "hail"}, "weather is 'hail'; expected one of clear, fog, rain, snow"),
        ({"severity": 1.01}, "severity is 1.01; expected 0"),
        ({"severity": float("nan")}, "severity is nan"),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Scene(**arguments)


@pytest.mark.parametrize("t", [float("nan"), float("inf")])
def test_a_time_that_is_no_number_is_refused(t):
    with pytest.raises(ValueError, match="finite number of seconds"):
        Scene(0, 32, 32).frame(t)


def test_folders_hold_numbered_pairs_with_labels(tmp_path):
    scenes = [(Scene(1, 96, 64), 4.0, 0.3), (Scene(2, 96, 64, "night", "rain"), 0.0, 0.2)]

    assert write_folders(tmp_path, scenes, fps=10) == 5

    names = [f"{i:06d}" for i in range(5)]
    for folder, suffix in (("thermal", "png"), ("rgb", "png"), ("labels", "txt")):
        assert sorted(p.name for p in (tmp_path / folder).iterdir()) == [
            f"{name}.{suffix}" for name in names
        ]
    pair = Scene(1, 96, 64).frame(4.1)
    rgb = cv2.imread(str(tmp_path / "rgb/000001.png"), cv2.IMREAD_COLOR)
    assert np.array_equal(rgb[..., ::-1], pair.rgb)
    thermal = cv2.imread(str(tmp_path / "thermal/000001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(thermal, pair.thermal)

    classes = (tmp_path / "classes.txt").read_text().split()
    lines = (tmp_path / "labels/000001.txt").read_text().splitlines()
    wanted = [b for b in pair.boxes if b.visible_fraction >= 0.25]
    assert len(lines) == len(wanted) > 0
    for line, box in zip(lines, wanted, strict=True):
        index, *place = line.split()
        cx, cy, w, h = (float(v) for v in place)
        assert classes[int(index)] == box.label
        assert np.isclose((cx - w / 2) * 96, box.x0, atol=1e-3)
        assert np.isclose((cy + h / 2) * 64, box.y1, atol=1e-3)


@pytest.mark.parametrize(
    ("scenes", "fps", "message"),
    [([], 10, "no scenes"), ([0.0], 10, "duration is 0.0 s"), ([1.0], 0, "fps is 0")],
)
def test_folders_of_nothing_are_refused(tmp_path, scenes, fps, message):
    with pytest.raises(ValueError, match=message):
        write_folders(tmp_path, [(Scene(0, 32, 32), 0.0, s) for s in scenes], fps=fps)


def test_pixels_said_to_be_a_person_or_car_lie_in_boxes_of_it():
    pair = Scene(3, 320, 240).frame(2.0)
    assert pair.classes.shape == (240, 320)
    assert {0, 1, 2} <= set(np.unique(pair.classes)) <= set(range(len(LABELS) + 1))
    for number, label in enumerate(LABELS, 1):
        boxed = np.zeros((240, 320), bool)
        for box in pair.boxes:
            if box.label == label:
                left, top = max(int(box.x0) - 1, 0), max(int(box.y0) - 1, 0)
                boxed[top : int(box.y1) + 2, left : int(box.x1) + 2] = True
        of_it = pair.classes == number
        assert of_it[~boxed].sum() <= 0.05 * of_it.sum()  # what is lost within a pixel has no box
