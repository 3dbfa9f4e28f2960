"""Bags are read by their standard contents; what is damaged is named, never followed."""

import shutil
import sqlite3
import struct
from contextlib import suppress

import numpy as np
import pytest
from bag_making import (
    FRAME_NS,
    RGB,
    START_NS,
    THERMAL,
    chunk_indexes,
    pairs,
    record,
    rgb,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin

from amg_fuse_ros.bags import BagError, MessageError, Recording, Topics, read_pairs
from amg_fuse_ros.bags.recording import IMAGE

STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


@pytest.fixture
def bag(tmp_path):
    return record(tmp_path / "bag", pairs(10))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("as_file", [False, True])
def test_a_bag_folder_and_its_single_file_read_alike(tmp_path, storage, as_file):
    bag = record(tmp_path / "bag", pairs(3), storage)
    path = next(file for file in bag.iterdir() if file.suffix != ".yaml") if as_file else bag
    with Recording(path) as recording:
        assert recording.topics() == {RGB: 3, THERMAL: 3}
        assert recording.topics(IMAGE) == {RGB: 3, THERMAL: 3}
        assert recording.topics("std_msgs/msg/String") == {}
        assert recording.types() == {RGB: IMAGE, THERMAL: IMAGE}
        assert recording.start_ns == START_NS
        assert recording.duration_ns == 2 * FRAME_NS
        messages = list(recording.messages([THERMAL]))
    assert [raw.record_ns for raw in messages] == [START_NS + i * FRAME_NS for i in range(3)]
    assert {raw.topic for raw in messages} == {THERMAL}


def test_a_decoded_image_holds_what_was_recorded(bag):
    with Recording(bag) as recording:
        message = recording.decode(next(recording.messages([RGB])))
    assert (message.width, message.height, message.encoding) == (16, 12, "rgb8")
    np.testing.assert_array_equal(message.data.reshape(12, 16, 3)[0, 0], [0, 50, 200])


def test_an_empty_bag_has_no_messages(tmp_path):
    with Recording(record(tmp_path / "bag", [])) as recording:
        assert list(recording.messages()) == []
        assert recording.start_ns == 0
        assert recording.duration_ns == 0


def test_type_definitions_that_a_bag_brings_along_are_not_used(tmp_path):
    nonsense = "this is ) no definition\n__import__('os')"
    bag = record(tmp_path / "bag", pairs(2), msgdef=nonsense)
    with Recording(bag) as recording:
        for raw in recording.messages():
            assert recording.decode(raw).header.frame_id == "camera"


def test_a_type_nobody_knows_is_read_as_bytes_but_not_decoded(tmp_path):
    secret = rgb(0)._replace(msgtype="my_msgs/msg/Secret", topic="/secret")
    bag = record(tmp_path / "bag", [secret, *pairs(1)], msgdef="uint8 x")
    with Recording(bag) as recording:
        raw = next(recording.messages(["/secret"]))
        assert raw.data == secret.data
        with pytest.raises(MessageError, match="my_msgs/msg/Secret"):
            recording.decode(raw)


@pytest.mark.parametrize("length", [0, 3, 4, 11, 40, 200])
def test_a_truncated_message_does_not_decode(bag, length):
    raw = rgb(0)
    with Recording(bag) as recording, pytest.raises(MessageError, match="cannot be decoded"):
        recording.decode(raw._replace(data=raw.data[:length]))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path, "there is no bag at"),
        (lambda path: path.mkdir(), "folder without a metadata.yaml"),
        (lambda path: path.write_bytes(b"x"), "is not a bag; pass a rosbag2 folder"),
    ],
)
def test_what_is_no_bag_is_told_in_plain_words(tmp_path, make, complaint):
    make(tmp_path / "thing")
    with pytest.raises(BagError, match=complaint), Recording(tmp_path / "thing"):
        pass


def test_a_ros_1_bag_is_sent_to_the_converter(tmp_path):
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match="rosbags-convert"), Recording(tmp_path / "old.bag"):
        pass


def test_a_folder_whose_recorder_was_killed_points_at_its_file(bag):
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"ros2 bag reindex .*bag/bag\.mcap"), Recording(bag):
        pass


def test_a_cut_off_file_names_the_repair(bag):
    file = bag / "bag.mcap"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(BagError, match=r"cut off.*mcap recover"), Recording(bag):
        pass


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", ".."])
def test_metadata_cannot_point_outside_the_bag(bag, name):
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("bag.mcap", name))
    with pytest.raises(BagError), Recording(bag):
        pass


@pytest.mark.parametrize("field", ["chunk_length", "compressed", "uncompressed"])
def test_sizes_no_file_can_have_are_refused_before_memory_is_taken(bag, field):
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    index = chunk_indexes(content)[0]
    (offsets,) = struct.unpack_from("<I", content, index + 32)
    compression = index + 36 + offsets + 8
    (name,) = struct.unpack_from("<I", content, compression)
    sizes = compression + 4 + name
    at = {"chunk_length": index + 24, "compressed": sizes, "uncompressed": sizes + 8}[field]
    struct.pack_into("<Q", content, at, 1 << 45)
    file.write_bytes(content)
    with pytest.raises(BagError, match=r"ends inside a chunk|holds a chunk of"), Recording(bag):
        pass


@pytest.mark.parametrize("storage", STORAGES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_file_with_flipped_bytes_ends_in_pairs_or_a_bag_error(tmp_path, storage, data):
    good = tmp_path / "good"
    if not good.exists():
        record(good, pairs(4), storage)
    bag = tmp_path / "bad"
    shutil.rmtree(bag, ignore_errors=True)
    shutil.copytree(good, bag)
    file = next(file for file in bag.iterdir() if file.suffix != ".yaml")
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.sampled_from([None, len(content) // 2]))])
    with suppress(BagError), Recording(bag) as recording:
        for pair in read_pairs(recording, Topics(THERMAL, RGB)):
            assert pair.rgb.shape[2] == 3
            assert pair.thermal.dtype in (np.uint8, np.uint16)


def test_a_sqlite_bag_with_text_in_place_of_a_message_breaks_off_with_a_reason(tmp_path):
    bag = record(tmp_path / "bag", pairs(2), StoragePlugin.SQLITE3)
    with sqlite3.connect(bag / "bag.db3") as database:
        database.execute("UPDATE messages SET data = 'text' WHERE id = 3")
    with Recording(bag) as recording:
        messages = recording.messages()
        assert next(messages).topic == THERMAL
        assert next(messages).topic == RGB
        with pytest.raises(BagError, match="broke off after 2 messages"):
            next(messages)
