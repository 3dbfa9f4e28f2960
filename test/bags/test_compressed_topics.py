"""Bags with compressed images are read as those with raw ones."""

from typing import NamedTuple

import numpy as np
import pytest
from bag_making import RGB, THERMAL, compressed, damaged, pairs, record, serialised
from rosbags.rosbag2 import StoragePlugin

from amg_fuse_ros.bags import (
    BagError,
    CameraModel,
    Header,
    Recording,
    Topics,
    guess_topics,
    read_pairs,
    replay,
)
from amg_fuse_ros.bags.recording import COMPRESSED_IMAGE, decode
from amg_fuse_ros.bags.writing import camera_info_message

COMPRESSED_THERMAL, COMPRESSED_RGB = f"{THERMAL}/compressed", f"{RGB}/compressed"
COUNTS = np.arange(29000, 29048, dtype=np.uint16).reshape(6, 8)
WALL = np.full((12, 16, 3), [200, 90, 20], np.uint8)


class Frame(NamedTuple):
    image: np.ndarray
    mask: np.ndarray


def keep_rgb(thermal, rgb):
    return Frame(rgb, np.ones(rgb.shape[:2], np.float32))


def thermal(number, **options):
    return compressed(COMPRESSED_THERMAL, number, COUNTS + number, "png", **options)


def rgb(number, codec="jpeg", **options):
    return compressed(COMPRESSED_RGB, number, WALL, codec, **options)


def compressed_pairs(count):
    return [make(number) for number in range(count) for make in (thermal, rgb)]


def guess(path, messages, **known):
    with Recording(record(path, messages)) as recording:
        return guess_topics(recording, **known)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_compressed_pairs_keep_their_counts_colours_and_headers(tmp_path, storage):
    with Recording(record(tmp_path / "bag", compressed_pairs(3), storage)) as recording:
        found = list(read_pairs(recording, guess_topics(recording)))
    assert len(found) == 3
    for number, pair in enumerate(found):
        np.testing.assert_array_equal(pair.thermal, COUNTS + number)
        np.testing.assert_allclose(pair.rgb.astype(int), WALL, atol=4)
        assert pair.rgb_header.frame_id == "camera"


def test_a_compressed_bag_is_fused_as_a_raw_one(tmp_path):
    summary = replay(record(tmp_path / "bag", compressed_pairs(4)), tmp_path / "out", keep_rgb)
    assert (summary.fused, summary.counts.skipped) == (4, 0)
    assert summary.topics == Topics(COMPRESSED_THERMAL, COMPRESSED_RGB)
    with Recording(tmp_path / "out") as recording:
        assert recording.topics() == {"/fused/image": 4, "/fused/mask": 4}


def test_one_camera_may_be_raw_and_the_other_compressed(tmp_path):
    messages = [raw for raw in pairs(3) if raw.topic == THERMAL] + [rgb(n) for n in range(3)]
    summary = replay(record(tmp_path / "bag", messages), tmp_path / "out", keep_rgb)
    assert summary.topics == Topics(THERMAL, COMPRESSED_RGB)
    assert summary.fused == 3


def test_where_both_were_recorded_the_raw_images_are_taken(tmp_path):
    assert guess(tmp_path / "bag", pairs(2) + compressed_pairs(2)) == Topics(THERMAL, RGB)


def test_the_compressed_ones_can_be_asked_for(tmp_path):
    messages = pairs(2) + compressed_pairs(2)
    assert guess(tmp_path / "bag", messages, rgb=COMPRESSED_RGB).rgb == COMPRESSED_RGB


def test_a_topic_may_be_named_as_its_camera_calls_it(tmp_path):
    named = guess(tmp_path / "bag", compressed_pairs(2), thermal=THERMAL, rgb=RGB)
    assert named == Topics(COMPRESSED_THERMAL, COMPRESSED_RGB)


def test_where_names_say_nothing_grey_and_colour_do(tmp_path):
    grey = COUNTS.astype(np.uint8)
    messages = [
        compressed("/cam0/image_raw/compressed", 0, WALL, "jpeg"),
        compressed("/cam1/image_raw/compressed", 0, grey, "jpeg"),
    ]
    found = guess(tmp_path / "bag", messages)
    assert found == Topics("/cam1/image_raw/compressed", "/cam0/image_raw/compressed")


def test_depth_images_are_passed_over(tmp_path):
    depth = compressed("/rgb/image_raw/compressedDepth", 0, COUNTS, "png")
    assert guess(tmp_path / "bag", [depth, *compressed_pairs(1)]).rgb == COMPRESSED_RGB


def test_the_camera_info_beside_the_camera_is_found_and_copied(tmp_path):
    model = CameraModel([9, 0, 8, 0, 9, 6, 0, 0, 1])
    stamp = Header.of(decode(rgb(0).data, COMPRESSED_IMAGE)).stamp_ns
    message = camera_info_message(model, 16, 12, Header(stamp, "camera"))
    infos = [serialised(f"/{camera}/camera_info", message, stamp) for camera in ("rgb", "thermal")]
    bag = record(tmp_path / "bag", [*infos, *compressed_pairs(2)])
    summary = replay(bag, tmp_path / "out", keep_rgb, copy_sources=True)
    assert summary.topics.rgb_info == "/rgb/camera_info"
    with Recording(tmp_path / "out") as recording, Recording(bag) as sources:
        kinds = {**recording.types()}
        assert kinds[COMPRESSED_RGB] == "sensor_msgs/msg/CompressedImage"
        assert {"/thermal/camera_info", "/fused/camera_info", COMPRESSED_THERMAL} <= kinds.keys()
        copied, original = (
            [raw.data for raw in r.messages([COMPRESSED_RGB])] for r in (recording, sources)
        )
        assert copied == original


def test_damaged_and_lying_messages_are_skipped_and_told(tmp_path):
    messages = [thermal(number) for number in range(4)]
    messages += [rgb(0), damaged(rgb(1)), rgb(2, text="png"), rgb(3, codec="png")]
    summary = replay(record(tmp_path / "bag", messages), tmp_path / "out", keep_rgb)
    assert (summary.fused, summary.counts.skipped) == (2, 2)
    assert any("says png, but the data is jpeg" in text for text in summary.counts.problems)


def test_counts_that_were_squeezed_into_jpeg_end_the_replay_with_the_remedy(tmp_path):
    squeezed = [
        compressed(
            COMPRESSED_THERMAL,
            number,
            COUNTS.astype(np.uint8),
            "jpeg",
            text="mono16; jpeg compressed mono8",
        )
        for number in range(2)
    ]
    bag = record(tmp_path / "bag", squeezed + [rgb(number) for number in range(2)])
    with pytest.raises(BagError, match="set the publisher's format parameter to png"):
        replay(bag, tmp_path / "out", keep_rgb)
