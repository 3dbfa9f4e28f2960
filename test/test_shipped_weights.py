"""Shipped weights show both cameras; an engine or preprocessing that hurts pictures fails here."""

import cv2
import numpy as np
import pytest

from amg_fuse_ros.bags.folders import read_rgb, read_thermal
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network import load_weights, read_card
from amg_fuse_ros.scenes import Scene
from amg_fuse_ros.weights import FOLDER, shipped_weights
from training.metrics import score

SIDE = 256
"""Longest side of the real pairs here, so that the test is quick."""


@pytest.fixture(scope="module", params=["nano", "tiny"])
def size(request):
    return request.param


@pytest.fixture(scope="module")
def fuser(size):
    return Fuser.from_options(size=size)


@pytest.mark.parametrize(("size", "most_bytes"), [("nano", 1e6), ("tiny", 10.5e6)])
def test_the_file_is_small_loads_and_says_what_it_is(size, most_bytes):
    path = shipped_weights(size)
    card = read_card(path)
    assert path.stat().st_size < most_bytes
    assert load_weights(path).size.name == card["size"] == size
    assert card["steps"] > 0
    assert card["data"]["pairs"] > 0
    assert f"{card['steps']} steps" in (FOLDER / f"{size}.md").read_text()


def luminance(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)


def standing_out(grey, box):
    """How much brighter a box is than the ring around it, in grey levels."""
    x0, y0, x1, y1 = (round(v) for v in (box.x0, box.y0, box.x1, box.y1))
    dx, dy = (x1 - x0) // 2, (y1 - y0) // 2
    inside = grey[y0:y1, x0:x1]
    around = grey[max(0, y0 - dy) : y1 + dy, max(0, x0 - dx) : x1 + dx]
    ring = (around.sum() - inside.sum()) / (around.size - inside.size)
    return inside.mean() - ring


def test_people_at_night_stand_out_where_the_rgb_camera_hardly_sees_them(fuser):
    pair = Scene(2, 320, 240, time_of_day="night", weather="rain").frame(11.0)
    people = [
        b
        for b in pair.boxes
        if b.label == "person" and b.visible_fraction > 0.9 and b.y1 - b.y0 > 20
    ]
    assert len(people) >= 2
    fused = luminance(fuser.fuse(pair.thermal, pair.rgb).image)
    in_fused = np.mean([standing_out(fused, b) for b in people])
    in_rgb = np.mean([standing_out(luminance(pair.rgb), b) for b in people])
    assert in_fused > in_rgb + 20


def test_colours_are_the_rgb_cameras_and_no_cast_is_added(fuser):
    pair = Scene(4, 320, 240, time_of_day="day", weather="clear").frame(20.5)
    fused = fuser.fuse(pair.thermal, pair.rgb).image
    before, after = (cv2.cvtColor(i, cv2.COLOR_RGB2YCrCb)[..., 1:] for i in (pair.rgb, fused))
    difference = after.astype(float) - before
    assert np.abs(difference.mean(axis=(0, 1))).max() < 4
    assert np.abs(difference).mean() < 6


def test_there_is_no_grid_in_a_flat_scene(fuser):
    smooth = np.linspace(60, 160, 128)[None].repeat(128, axis=0)
    frame = fuser.fuse(smooth.T.astype(np.uint8), np.stack([smooth] * 3, -1).astype(np.uint8))
    grey = luminance(frame.image)
    detail = (grey - cv2.GaussianBlur(grey, (0, 0), 4))[16:-16, 16:-16]
    spectrum = np.abs(np.fft.fft2(detail)) / detail.size
    periods = [detail.shape[0] // p for p in (2, 4, 8)]  # what pixel shuffles would leave
    assert max(spectrum[k, 0] for k in periods) < 1.0
    assert max(spectrum[0, k] for k in periods) < 1.0


FLOORS = {
    "tiny": {
        ("awmm_snow", "1"): {"qabf": 0.235, "ssim": 0.635, "vif": 0.21, "q_cb": 0.41},
        ("awmm_rain", "1"): {"qabf": 0.39, "ssim": 0.56, "vif": 0.225, "q_cb": 0.49},
        ("awmm_haze", "1"): {"qabf": 0.155, "ssim": 0.47, "vif": 0.185, "q_cb": 0.35},
        ("roadscene", "FLIR_04602"): {"qabf": 0.47, "ssim": 0.575, "vif": 0.20, "q_cb": 0.44},
        ("msrs", "00005N"): {"qabf": 0.41, "ssim": 0.71, "vif": 0.25, "q_cb": 0.46},
        ("llvip", "190001"): {"qabf": 0.445, "ssim": 0.61, "vif": 0.26, "q_cb": 0.405},
    },
    "nano": {
        ("awmm_snow", "1"): {"qabf": 0.175, "ssim": 0.605, "vif": 0.195, "q_cb": 0.41},
        ("awmm_rain", "1"): {"qabf": 0.445, "ssim": 0.52, "vif": 0.23, "q_cb": 0.49},
        ("awmm_haze", "1"): {"qabf": 0.19, "ssim": 0.405, "vif": 0.16, "q_cb": 0.34},
        ("roadscene", "FLIR_04602"): {"qabf": 0.525, "ssim": 0.585, "vif": 0.285, "q_cb": 0.525},
        ("msrs", "00005N"): {"qabf": 0.535, "ssim": 0.69, "vif": 0.35, "q_cb": 0.495},
        ("llvip", "190001"): {"qabf": 0.505, "ssim": 0.595, "vif": 0.28, "q_cb": 0.385},
    },
}
"""Scores against the clean pair, or against the inputs where there is none; somewhat below what
was measured when the weights were shipped."""


def small(image):
    scale = SIDE / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("folder", "name"), FLOORS["nano"], ids="/".join)
def test_real_pairs_score_no_less_than_when_the_weights_were_shipped(
    fuser, size, shared_dir, folder, name
):
    root = shared_dir / "data" / "test" / folder

    def read(kind, reader):
        return small(reader(next((root / kind).glob(f"{name}.*"))))

    frame = fuser.fuse(read("ir", read_thermal), read("vi", read_rgb))
    clean = "clean_" if (root / "clean_ir").is_dir() else ""
    found = score(read(f"{clean}ir", read_thermal), read(f"{clean}vi", read_rgb), frame.image)
    for key, floor in FLOORS[size][folder, name].items():
        assert found[key] > floor, key
