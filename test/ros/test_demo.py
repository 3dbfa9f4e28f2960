"""The demo runs from pairs to pictures: bag, node, player, recording, summary."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from amg_fuse_ros.bags import Recording
from amg_fuse_ros.scenes import Scene, write_folders

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def demo(tmp_path_factory, random_weights):
    folder = tmp_path_factory.mktemp("demo")
    write_folders(folder / "pairs", [(Scene(1, 64, 48), 0.0, 1.2)], fps=5)
    command = [sys.executable, "-m", "tools.demo", "--data", str(folder / "pairs"), "--fps", "5"]
    command += ["--out", str(folder / "out"), "--weights", str(random_weights), "--scale", "0.5"]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out", done.stdout


def test_the_summary_tells_pairs_drops_latency_and_the_reduced_scale(demo):
    _, text = demo
    assert re.search(r"pairs in +6 played", text)
    fused = int(re.search(r"fused out +(\d+) received", text)[1])
    dropped = int(re.search(r"dropped +(\d+)", text)[1])
    assert fused >= 1
    assert fused + dropped <= 6
    assert re.search(r"latency p50/p95 +\d+ / \d+ ms", text)
    assert "REDUCED SCALE     fused at 0.5 of the RGB size" in text


def test_what_came_back_is_recorded_as_a_bag(demo):
    out, text = demo
    fused = int(re.search(r"fused out +(\d+) received", text)[1])
    with Recording(out / "fused_bag") as recording:
        topics = recording.topics()
    assert topics["/fused/image"] == fused
    assert 1 <= topics["/fused/mask"] <= fused


def test_there_are_pictures_of_the_live_part_and_at_full_scale(demo):
    out, _ = demo
    pictures = out / "pictures"
    assert len(list(pictures.glob("live_*_fused.png"))) >= 1
    assert len(list(pictures.glob("live_*_mask_overlay.png"))) >= 1
    row = cv2.imread(str(next(iter(pictures.glob("live_*_side_by_side.png")))))
    assert row.shape[1] == 4 * 64
    full = sorted((pictures / "full_scale").glob("*.png"))
    assert len(full) == 3
    assert np.ptp(cv2.imread(str(full[0]))) > 0
