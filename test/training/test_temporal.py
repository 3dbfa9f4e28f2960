"""What the measures of flicker say of videos whose flicker is known."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from amg_fuse_ros.imaging.thermal import GainSettings
from training.temporal import (
    FusedVideo,
    Video,
    by_baseline,
    by_fuser,
    measure_flicker,
    measure_gain,
    measure_weather,
    read_video,
    static_pixels,
    with_weather,
)
from training.temporal.__main__ import main, parser
from training.temporal.gain import CASES, make_counts

FRAMES, HEIGHT, WIDTH = 12, 64, 96
DOCUMENT = Path(__file__).parents[2] / "docs/evaluation.md"


def scene(seed=0):
    """A still scene of both cameras: thermal H W and visible H W 3, with room for changes."""
    rng = np.random.default_rng(seed)
    visible = cv2.GaussianBlur(
        rng.uniform(0, 255, (HEIGHT, WIDTH, 3)).astype(np.float32), (9, 9), 3
    )
    visible = cv2.normalize(visible, None, 60, 190, cv2.NORM_MINMAX)
    thermal = np.tile(np.linspace(60, 190, WIDTH, dtype=np.float32), (HEIGHT, 1))
    return thermal, visible


def film(noise=0.0, drift=0.0, seed=0, **changes):
    """A video of the still scene, each camera with its own noise; ``drift`` in levels a frame."""
    thermal, visible = scene()
    rng = np.random.default_rng(seed)

    def frames(image):
        moved = (
            image + drift * t + noise * rng.standard_normal(image.shape) for t in range(FRAMES)
        )
        return tuple(np.uint8(np.clip(np.rint(x), 0, 255)) for x in moved)

    return replace(Video("film", frames(thermal), frames(visible)), **changes)


def fused_as(images):
    mask = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    return FusedVideo(tuple(images), (mask,) * len(images))


def test_a_still_video_does_not_flicker():
    video = film()
    measured = measure_flicker(video, by_baseline("laplacian")(video))
    assert measured.resting == 1
    assert (measured.std, measured.mask_std, measured.beyond_inputs) == (0, 0, 0)


def test_averaging_two_cameras_of_equal_noise_leaves_its_share_of_it_and_adds_nothing():
    video = film(noise=3.0)
    average = measure_flicker(video, by_baseline("average")(video))
    own = [measure_flicker(video, by_baseline(one)(video)).std for one in ("visible", "thermal")]
    assert average.std == pytest.approx(np.hypot(*own) / 2, rel=0.05)
    assert average.beyond_inputs == 0
    assert average.mask_std < 1


def test_a_slow_drift_of_both_cameras_is_no_flicker():
    video = film(drift=1.0)
    drifting = measure_flicker(video, by_baseline("average")(video))
    assert drifting.std < 1
    assert np.std([image.mean() for image in video.visible]) > 3
    assert drifting.beyond_inputs == 0


def test_pumping_of_the_fused_image_is_found_with_its_amplitude():
    video = film()
    pumping = fused_as(
        [np.full((HEIGHT, WIDTH), 100 + 4 * (t % 2), np.uint8) for t in range(FRAMES)]
    )
    measured = measure_flicker(video, pumping)
    assert measured.std == pytest.approx(4 / np.sqrt(2))
    assert measured.brightness_std == pytest.approx(4 / np.sqrt(2))
    assert measured.beyond_inputs == measured.beyond_inputs_resting == 4


def test_grain_that_does_not_pump_leaves_the_mean_at_rest():
    rng = np.random.default_rng(1)
    grain = fused_as(rng.integers(90, 110, (FRAMES, HEIGHT, WIDTH), np.uint8))
    measured = measure_flicker(film(), grain)
    assert measured.std == pytest.approx(20 / np.sqrt(12), rel=0.05)
    assert measured.brightness_std < 0.05 * measured.std


def test_a_mask_that_changes_where_nothing_else_does_is_found():
    video = film()
    still = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    masks = tuple(np.full((HEIGHT, WIDTH), 0.4 + 0.1 * (t % 2), np.float32) for t in range(FRAMES))
    measured = measure_flicker(video, FusedVideo((still,) * FRAMES, masks))
    assert measured.mask_std == pytest.approx(10 / np.sqrt(2))
    assert measured.std == 0


def test_what_moves_and_what_is_near_it_does_not_rest():
    video = film(noise=1.0)
    for t, frame in enumerate(video.visible):
        cv2.rectangle(frame, (4 * t, 20), (4 * t + 8, 30), (255, 255, 255), cv2.FILLED)
    rest = static_pixels(video)
    assert not rest[20:31, :50].any()
    assert not rest[14:18, 10:40].any()
    assert rest[45:, :].mean() > 0.9


def test_where_the_whole_camera_moves_there_is_no_place_to_measure_at():
    _, visible = scene()
    frames = tuple(np.roll(np.uint8(visible), 4 * t, axis=1) for t in range(FRAMES))
    measured = measure_flicker(film(visible=frames), fused_as(frames))
    assert measured.resting < 0.01
    assert measured.std is None
    assert measured.beyond_inputs == 0


@pytest.mark.parametrize("case", CASES)
def test_the_steady_gain_moves_its_window_by_its_bound_at_most(case):
    steps = measure_gain(film(noise=1.0), case)
    assert steps["steady"].window_largest <= GainSettings().adaptation + 1e-3
    assert steps["fixed"].window_largest == 0


def test_a_hot_object_that_comes_in_darkens_frames_by_themselves_and_not_a_steady_sequence():
    steps = measure_gain(film(noise=1.0), "hot object")
    assert steps["each frame"].window_largest > 0.3
    assert steps["each frame"].brightness_largest > 20
    assert steps["steady"].brightness_largest < 3


def test_counts_of_a_camera_are_taken_as_they_are():
    video = film()
    counts = tuple(np.uint16(100 * np.uint16(frame)) for frame in video.thermal)
    made, background = make_counts(replace(video, thermal=counts), "as filmed")
    np.testing.assert_array_equal(np.stack(made), np.stack(counts))
    assert background.all()


@pytest.mark.parametrize("kind", ["rain", "snow"])
def test_weather_keeps_its_veil_and_falls_elsewhere_in_every_frame(kind):
    clean = film()
    wet = with_weather(clean, kind, seed=3)
    parts = np.stack(wet.visible).astype(int) - np.stack(clean.visible)
    brightness = parts.mean((1, 2, 3))
    assert brightness.std() < 2
    changes = np.abs(np.diff(parts, axis=0)).mean((1, 2, 3))
    assert changes.min() > 2 * np.abs(np.diff(brightness)).max()
    again = with_weather(clean, kind, seed=3)
    np.testing.assert_array_equal(np.stack(again.visible), np.stack(wet.visible))


def test_average_leaves_half_of_the_weathers_flicker_thermal_none_and_visible_all():
    clean = film(noise=1.0)
    wet = with_weather(clean, "snow")
    left = {
        name: measure_weather(clean, by_baseline(name)(clean), wet, by_baseline(name)(wet)).left
        for name in ("average", "thermal", "visible")
    }
    assert left["average"] == pytest.approx(0.5, abs=0.01)
    assert left["thermal"] == 0
    assert left["visible"] == 1


def write_video(folder, video):
    for kind, frames in (("ir", video.thermal), ("vi", video.visible)):
        (folder / kind).mkdir(parents=True)
        for number, frame in enumerate(frames):
            bgr = frame[:, :, ::-1] if frame.ndim == 3 else frame
            assert cv2.imwrite(str(folder / kind / f"{number:04d}.png"), bgr)
    return folder


def test_a_video_is_read_in_order_with_16_bits_where_there_are(tmp_path):
    video = film(noise=5.0)
    counts = tuple(np.uint16(100 * np.uint16(frame)) for frame in video.thermal)
    folder = write_video(tmp_path / "night", replace(video, thermal=counts))
    read = read_video(folder / "ir", folder / "vi", "night", 5)
    assert read.has_counts
    np.testing.assert_array_equal(np.stack(read.thermal), np.stack(counts[:5]))
    np.testing.assert_array_equal(np.stack(read.visible), np.stack(video.visible[:5]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda ir: [p.unlink() for p in sorted(ir.iterdir())[2:]], "expected 3 frames or more"),
        (lambda ir: cv2.imwrite(str(ir / "0003.png"), np.zeros((9, 9), np.uint8)), "0003.png"),
        (lambda ir: (ir / "0001.png").write_bytes(b"no image"), "0001.png"),
    ],
)
def test_a_video_that_is_none_is_told_with_the_file(tmp_path, change, told, capsys):
    folder = write_video(tmp_path / "night", film())
    change(folder / "ir")
    assert main(["--data", str(folder)]) == 1
    assert told in " ".join(capsys.readouterr().err.split())


def test_the_command_measures_networks_beside_baselines_and_draws_them(
    tmp_path, random_weights, capsys
):
    folder = write_video(tmp_path / "night", film(noise=1.0))
    other = tmp_path / "other.safetensors"
    other.write_bytes(random_weights.read_bytes())
    command = ["--data", folder, "--weights", random_weights, "--weights", other]
    command += ["--engine", "eager", "--frames", 3, "--scale", 0.5, "--weather", "rain"]
    command += ["--out", tmp_path / "out", "--json"]
    assert main([str(word) for word in command]) == 0
    (printed,) = json.loads(capsys.readouterr().out)
    assert [printed] == json.loads((tmp_path / "out/temporal.json").read_text())
    assert printed["frames"] == 3
    assert set(printed["gain"]) == set(CASES)
    flicker = printed["flicker"]
    assert {random_weights.stem, "other", "average", "laplacian"} <= set(flicker)
    assert flicker["other"] == flicker[random_weights.stem]
    assert printed["flicker"]["average"]["beyond_inputs"] == 0
    assert printed["weather"]["rain"]["visible"]["left"] == 1
    assert cv2.imread(str(tmp_path / "out/night.png")) is not None


def test_a_fuser_begins_each_video_anew(random_weights):
    from amg_fuse_ros.fusion import Fuser

    video = film(noise=1.0)
    counts = tuple(np.uint16(100 * np.uint16(frame)) for frame in video.thermal[:3])
    video = replace(video, thermal=counts, visible=video.visible[:3])
    hotter = replace(video, thermal=tuple(frame + np.uint16(3000) for frame in counts))
    fuser = Fuser.from_options(weights=random_weights, engine="eager", device="cpu", steady=True)
    fuse = by_fuser(fuser)
    first = fuse(video)
    fuse(hotter)
    again = fuse(video)
    np.testing.assert_array_equal(np.stack(first.images), np.stack(again.images))


def test_every_documented_command_can_be_run():
    found = re.findall(r"^python -m training\.temporal (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert found
    for line in found:
        assert parser().parse_args(line.split("  #")[0].split())
