"""``amg-fuse replay``: a bag becomes a bag with fused images."""

import cv2
import numpy as np
import pytest
from command_line import SIZE, in_a_process, make_bag, refused, rewritten
from rosbags.rosbag2 import StoragePlugin
from small_pairs import smooth_pair

from amg_fuse_ros.bags import BagWriter, Header, Recording


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_folders_become_a_bag_and_the_bag_is_fused_into_another(
    amg_fuse, folders, network, tmp_path, storage
):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    if storage == "sqlite3":
        bag = rewritten(bag, tmp_path / "older", StoragePlugin.SQLITE3)
    outcome = amg_fuse("replay", bag, "--out", tmp_path / "fused", *network)
    assert outcome.code == 0
    assert outcome.out.startswith(f"3 pairs fused into {tmp_path / 'fused'} in ")
    assert outcome.out.endswith("without partner: 0 thermal, 0 rgb; skipped: 0\n")
    assert "thermal /thermal/image_raw, rgb /rgb/image_raw" in outcome.err
    assert "fused at 0.5 of the RGB size" in outcome.err
    with Recording(tmp_path / "fused") as recording:
        assert recording.topics() == {"/fused/image": 3, "/fused/mask": 3}
        images = [recording.decode(raw) for raw in recording.messages(["/fused/image"])]
    assert {(image.height, image.width, image.encoding) for image in images} == {(*SIZE, "rgb8")}
    stamps = [image.header.stamp.sec * 10**9 + image.header.stamp.nanosec for image in images]
    assert np.diff(stamps).tolist() == [200_000_000] * 2


def test_a_replayed_bag_holds_the_images_that_fuse_writes(amg_fuse, folders, network, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    amg_fuse("replay", bag, "--out", tmp_path / "fused", "--copy-sources", *network)
    amg_fuse("fuse", *folders, "--out", tmp_path / "out", *network)
    with Recording(tmp_path / "fused") as recording:
        assert set(recording.topics()) == {
            *("/fused/image", "/fused/mask", "/rgb/image_raw", "/thermal/image_raw")
        }
        first = next(recording.messages(["/fused/image"]))
        pixels = recording.decode(first).data.reshape(*SIZE, 3)
    np.testing.assert_array_equal(pixels, cv2.imread(str(tmp_path / "out" / "a.png"))[..., ::-1])


def test_the_slop_decides_how_far_apart_the_images_of_a_pair_may_be(amg_fuse, network, tmp_path):
    thermal, rgb = smooth_pair(*SIZE)
    stamps = [10**18 + number * 500_000_000 for number in range(2)]
    with BagWriter(tmp_path / "bag") as writer:
        for stamp in stamps:
            late = stamp + 60_000_000
            writer.write_image("/ir/image_raw", thermal, "mono8", Header(stamp, "ir"), stamp)
            writer.write_image("/rgb/image_raw", rgb, "rgb8", Header(late, "rgb"), late)
    replay = ["replay", tmp_path / "bag", "--out", tmp_path / "fused", *network]
    assert refused(amg_fuse(*replay), "within 25 ms", "Raise the slop")
    assert amg_fuse(*replay, "--slop-ms", "70").out.startswith("2 pairs fused")


def test_a_bag_that_is_not_there_or_is_no_bag_is_refused(amg_fuse, folders, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    replay = ["replay", "--out", tmp_path / "fused"]
    assert refused(amg_fuse(*replay, tmp_path / "none"), f"there is no bag at {tmp_path / 'none'}")
    assert refused(amg_fuse(*replay, folders[1]), "without a metadata.yaml")
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-2000])
    assert refused(amg_fuse(*replay, bag), bag, "cut off")
    assert not (tmp_path / "fused").exists()


def test_topics_that_are_not_in_the_bag_are_refused_with_those_that_are(
    amg_fuse, folders, tmp_path
):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    outcome = amg_fuse("replay", bag, "--out", tmp_path / "fused", "--thermal-topic", "/ir")
    assert refused(outcome, "'/ir'", "/thermal/image_raw (3)", "/rgb/image_raw (3)")


def test_a_bag_is_never_overwritten(amg_fuse, folders, network, tmp_path):
    bag = make_bag(amg_fuse, folders, tmp_path / "bag")
    before = {path: path.read_bytes() for path in bag.iterdir()}
    assert refused(amg_fuse("make-bag", *folders, "--out", bag), bag, "exists already")
    assert refused(amg_fuse("replay", bag, "--out", bag, *network), bag, "exists already")
    assert {path: path.read_bytes() for path in bag.iterdir()} == before


def test_a_damaged_message_is_told_once_and_the_rest_is_fused(amg_fuse, folders, network, tmp_path):
    # In a process of its own: here pytest takes what the library logs.
    bag = rewritten(
        make_bag(amg_fuse, folders, tmp_path / "bag"),
        tmp_path / "hurt",
        change=lambda number, data: data[:60] if number == 2 else data,
    )
    done = in_a_process(
        *("-m", "amg_fuse_ros.cli", "replay", bag, "--out", tmp_path / "fused", *network)
    )
    assert done.returncode == 0
    assert done.stdout.startswith("2 pairs fused")
    assert done.stdout.endswith("skipped: 1\n")
    assert done.stderr.count("skipped a message on /thermal/image_raw") == 1
