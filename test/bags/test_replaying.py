"""Replay fuses every pair into a new bag under the visible images' headers and record times."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from bag_making import (
    FRAME_NS,
    RGB,
    START_NS,
    THERMAL,
    damaged,
    pairs,
    record,
    rgb,
    serialised,
    thermal,
)
from rosbags.rosbag2 import StoragePlugin

from amg_fuse_ros.bags import BagError, CameraModel, Header, Recording, Topics, replay
from amg_fuse_ros.bags.writing import camera_info_message

ROOT = Path(__file__).resolve().parents[2]


class Frame(NamedTuple):
    image: np.ndarray
    mask: np.ndarray


def blend(thermal_image, rgb_image):
    """A stand-in for the network: the thermal count in red, the rest of the visible image."""
    image = rgb_image.copy()
    image[..., 0] = thermal_image[0, 0] - 1000
    return Frame(image, np.full(rgb_image.shape[:2], 0.25, np.float32))


def camera_info(number, focal, record_ns=None):
    stamp_ns = START_NS + number * FRAME_NS
    model = CameraModel([focal, 0, 8, 0, focal, 6, 0, 0, 1])
    message = camera_info_message(model, 16, 12, Header(stamp_ns, "camera"))
    return serialised("/rgb/camera_info", message, record_ns or stamp_ns)


def decoded(path, topic):
    with Recording(path) as recording:
        return [(raw.record_ns, recording.decode(raw)) for raw in recording.messages([topic])]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_every_pair_is_fused_under_the_visible_images_header_and_time(tmp_path, storage):
    messages = []
    for number in range(6):
        late = START_NS + number * FRAME_NS + 7_000_000
        messages += [thermal(number), rgb(number, record_ns=late, frame_id="front")]
    summary = replay(record(tmp_path / "bag", messages, storage), tmp_path / "out", blend)
    assert (summary.pairs, summary.fused, summary.counts.skipped) == (6, 6, 0)
    assert summary.topics == Topics(THERMAL, RGB)
    assert summary.seconds > 0
    images = decoded(tmp_path / "out", "/fused/image")
    masks = decoded(tmp_path / "out", "/fused/mask")
    stamps = [START_NS + number * FRAME_NS for number in range(6)]
    for fused in (images, masks):
        assert [Header.of(message) for _, message in fused] == [(s, "front") for s in stamps]
        assert [record_ns for record_ns, _ in fused] == [s + 7_000_000 for s in stamps]
    assert {message.encoding for _, message in images} == {"rgb8"}
    assert [message.data[0] for _, message in images] == list(range(6))
    assert {message.encoding for _, message in masks} == {"32FC1"}
    np.testing.assert_array_equal(masks[0][1].data.view(np.float32), 0.25)
    with Recording(tmp_path / "out") as recording:
        assert set(recording.topics()) == {"/fused/image", "/fused/mask"}
    assert (tmp_path / "out" / "out.mcap").is_file()


@pytest.mark.parametrize("delay_ns", [-1_000_000, 1_000_000])
def test_camera_info_comes_along_whether_recorded_before_or_after_its_image(tmp_path, delay_ns):
    messages = pairs(4)
    messages += [
        camera_info(i, 500, record_ns=START_NS + i * FRAME_NS + delay_ns) for i in range(4)
    ]
    messages.sort(key=lambda raw: raw.record_ns)
    replay(record(tmp_path / "bag", messages), tmp_path / "out", blend)
    infos = decoded(tmp_path / "out", "/fused/camera_info")
    assert [message.k[0] for _, message in infos] == [500] * 4
    assert [Header.of(message).stamp_ns for _, message in infos] == [
        START_NS + i * FRAME_NS for i in range(4)
    ]


def test_sources_are_copied_along_byte_by_byte_on_request(tmp_path):
    messages = [*pairs(3), camera_info(0, 500)]
    messages.sort(key=lambda raw: raw.record_ns)
    bag = record(tmp_path / "bag", messages)
    replay(bag, tmp_path / "out", blend, copy_sources=True)
    with Recording(bag) as source, Recording(tmp_path / "out") as out:
        assert set(out.topics()) == {
            *(THERMAL, RGB, "/rgb/camera_info"),
            *("/fused/image", "/fused/mask", "/fused/camera_info"),
        }
        copied = list(out.messages(source.topics()))
        assert copied == list(source.messages())


def test_sources_that_carry_the_results_names_are_not_mixed_with_them(tmp_path):
    messages = [
        raw._replace(topic="/fused/image" if raw.topic == RGB else raw.topic) for raw in pairs(2)
    ]
    topics = Topics(THERMAL, "/fused/image")
    bag = record(tmp_path / "bag", messages)
    with pytest.raises(BagError, match="/fused/image cannot be copied"):
        replay(bag, tmp_path / "out", blend, topics=topics, copy_sources=True)
    assert replay(bag, tmp_path / "out", blend, topics=topics).fused == 2


def test_named_topics_are_used_instead_of_guessed_ones(tmp_path):
    messages = [raw._replace(topic="/a" if raw.topic == THERMAL else "/b") for raw in pairs(2)]
    bag = record(tmp_path / "bag", messages)
    summary = replay(bag, tmp_path / "out", blend, topics=Topics("/a", "/b"))
    assert summary.fused == 2
    with pytest.raises(BagError, match="no image topic '/c' for rgb"):
        replay(bag, tmp_path / "other", blend, topics=Topics("/a", "/c"))


def test_what_is_damaged_or_alone_is_counted_and_the_rest_is_fused(tmp_path):
    messages = [*pairs(5), thermal(7), rgb(9)]
    messages[2] = damaged(messages[2])
    steps = []
    summary = replay(
        record(tmp_path / "bag", messages),
        tmp_path / "out",
        blend,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert summary.fused == 4
    counts = summary.counts
    assert (counts.unpaired_thermal, counts.unpaired_rgb, counts.skipped) == (1, 2, 1)
    assert steps == [(1, 6), (2, 6), (3, 6), (4, 6)]


def test_a_pair_that_the_fusion_refuses_is_skipped_with_its_reason(tmp_path):
    def picky(thermal_image, rgb_image):
        if thermal_image[0, 0] == 1002:
            raise ValueError("the thermal image is empty")
        return blend(thermal_image, rgb_image)

    summary = replay(record(tmp_path / "bag", pairs(4)), tmp_path / "out", picky)
    assert (summary.pairs, summary.fused, summary.counts.skipped) == (4, 3, 1)
    assert "the thermal image is empty" in summary.counts.problems[0]


def test_nothing_to_fuse_is_an_error_that_says_why_and_leaves_no_bag(tmp_path):
    apart = [raw for i in range(3) for raw in (thermal(i), rgb(i + 100))]
    apart.sort(key=lambda raw: raw.record_ns)
    with pytest.raises(BagError, match=r"within 25 ms .*Raise the slop"):
        replay(record(tmp_path / "bag", apart), tmp_path / "out", blend)

    def refuse(thermal_image, rgb_image):
        raise ValueError("weights are missing")

    with pytest.raises(BagError, match=r"nothing was fused.*weights are missing"):
        replay(record(tmp_path / "other", pairs(2)), tmp_path / "out", refuse)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "other"]


def test_a_bug_in_the_fusion_is_not_hidden_and_leaves_no_bag(tmp_path):
    with pytest.raises(ZeroDivisionError):
        replay(record(tmp_path / "bag", pairs(3)), tmp_path / "out", lambda *_: 1 / 0)
    assert not (tmp_path / "out").exists()


def test_an_existing_result_is_kept(tmp_path):
    bag = record(tmp_path / "bag", pairs(2))
    with pytest.raises(BagError, match="exists already"):
        replay(bag, bag, blend)
    assert replay(bag, tmp_path / "out", blend).fused == 2


INTERRUPTED = """
import sys, time
from amg_fuse_ros.bags import replay

def slow(thermal, rgb):
    print("fusing", flush=True)
    time.sleep(30)

replay(sys.argv[1], sys.argv[2], slow)
"""


def test_ctrl_c_leaves_no_bag_and_no_folder_behind(tmp_path):
    bag = record(tmp_path / "bag", pairs(3))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(bag), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stdout.readline() == "fusing\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in error
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
