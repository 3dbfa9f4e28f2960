"""Bags that claim more than they are cost nothing; compressed ones are read as any other."""

import shutil
import sqlite3
import tempfile
import tracemalloc
from dataclasses import replace

import lz4.frame
import numpy as np
import pytest
from bag_making import RGB, THERMAL, pairs, record, serialised
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.reader import zstd

from amg_fuse_ros.bags import BagError, Recording, Topics, bounded_reading, read_pairs
from amg_fuse_ros.bags.bounded_reading import unpack_lz4, unpack_zstd
from amg_fuse_ros.bags.recording import decode, typestore

STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 12)
)
MERGES = "b0: &b0 {a: 1}\n" + "".join(
    f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 30)}]}}\n" for n in range(1, 7)
)
DEEP = f"deep: {'[' * 100_000}{']' * 100_000}\n"


def compressed(path, messages, mode, storage=StoragePlugin.MCAP):
    with_mode = Writer(path, version=9, storage_plugin=storage)
    with_mode.set_compression(mode, CompressionFormat.ZSTD)
    with with_mode as writer:
        connections = {}
        for raw in messages:
            key = raw.topic, raw.msgtype
            if key not in connections:
                connections[key] = writer.add_connection(*key, typestore=typestore())
            writer.write(connections[key], raw.record_ns, raw.data)
    return path


def thermal_counts(bag):
    with Recording(bag) as recording:
        return [pair.thermal[0, 0] for pair in read_pairs(recording, Topics(THERMAL, RGB))]


MODES = [
    (CompressionMode.MESSAGE, StoragePlugin.MCAP),
    (CompressionMode.MESSAGE, StoragePlugin.SQLITE3),
    (CompressionMode.FILE, StoragePlugin.MCAP),
    (CompressionMode.FILE, StoragePlugin.SQLITE3),
    (CompressionMode.STORAGE, StoragePlugin.MCAP),
]


@pytest.mark.parametrize(("mode", "storage"), MODES)
def test_compressed_bags_are_read_and_leave_nothing_behind(tmp_path, monkeypatch, mode, storage):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    bag = compressed(tmp_path / "bag", pairs(4), mode, storage)
    assert thermal_counts(bag) == [1000, 1001, 1002, 1003]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("pack", "unpack"), [(zstd.compress, unpack_zstd), (lz4.frame.compress, unpack_lz4)]
)
def test_a_bomb_is_unpacked_no_further_than_its_limit(pack, unpack):
    bomb = pack(bytes(200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ReaderError, match="unpacks to more than 1000 bytes"):
            unpack(bomb, 1000)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("pack", "unpack"), [(zstd.compress, unpack_zstd), (lz4.frame.compress, unpack_lz4)]
)
def test_unpacking_takes_several_frames_and_notices_a_cut(pack, unpack):
    assert unpack(pack(b"one") + pack(b"two"), 6) == b"onetwo"
    assert unpack(b"", 0) == b""
    with pytest.raises(ReaderError, match="more than 5"):
        unpack(pack(b"one") + pack(b"two"), 5)
    noise = np.random.default_rng(1).bytes(1000)
    with pytest.raises(ReaderError, match="cut off"):
        unpack(pack(noise)[:500], 1000)


@pytest.mark.parametrize(
    "lie",
    [
        {"height": 2**32 - 1, "width": 2**32 - 1, "step": 2**32 - 1},
        {"height": 60_000, "width": 60_000, "step": 180_000},
        {"step": 2**32 - 1},
        {"height": 0},
    ],
)
def test_an_image_in_a_bag_that_lies_about_its_size_is_skipped(tmp_path, lie):
    (raw,) = [raw for raw in pairs(1) if raw.topic == RGB]
    honest = decode(raw.data, raw.msgtype)
    lying = serialised(RGB, replace(honest, **lie), raw.record_ns)
    bag = record(tmp_path / "bag", [lying, *pairs(2)])
    tracemalloc.start()
    try:
        with Recording(bag) as recording:
            reader = read_pairs(recording, Topics(THERMAL, RGB))
            assert len(list(reader)) == 2
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert reader.counts.skipped == 1


def test_a_message_that_unpacks_to_too_much_ends_the_reading(tmp_path, monkeypatch):
    bag = compressed(tmp_path / "bag", pairs(2), CompressionMode.MESSAGE)
    monkeypatch.setattr(bounded_reading, "MAX_MESSAGE_BYTES", 100)
    with Recording(bag) as recording, pytest.raises(BagError, match="more than 100 bytes"):
        list(recording.messages())


def test_files_that_do_not_fit_when_unpacked_are_refused(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    bag = compressed(tmp_path / "bag", pairs(2), CompressionMode.FILE)
    free = shutil.disk_usage(tmp_path).total
    monkeypatch.setattr(bounded_reading, "SPARED_BYTES", free)
    with pytest.raises(BagError, match=r"does not fit.*set TMPDIR"), Recording(bag):
        pass
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("text", "complaint"), [(ALIASES, "stands for"), (MERGES, "stands for"), (DEEP, "nest")]
)
def test_a_description_that_stands_for_gigabytes_is_refused(tmp_path, storage, text, complaint):
    bag = record(tmp_path / "bag", pairs(1), storage)
    with (bag / "metadata.yaml").open("a") as metadata:
        metadata.write(text)
    with pytest.raises(BagError, match=complaint), Recording(bag):
        pass


def test_a_description_larger_than_any_recorders_is_refused(tmp_path):
    bag = record(tmp_path / "bag", pairs(1))
    with (bag / "metadata.yaml").open("a") as metadata:
        metadata.truncate(1 << 30)
    with pytest.raises(BagError, match="has 1073741824 bytes"), Recording(bag):
        pass


@pytest.mark.parametrize("text", [ALIASES, MERGES, DEEP])
def test_qos_texts_inside_a_file_are_bounded_too(tmp_path, text):
    bag = record(tmp_path / "bag", pairs(1), StoragePlugin.SQLITE3)
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE topics SET offered_qos_profiles = ?", (text,))
    with pytest.raises(BagError, match=r"offered_qos_profiles: it|nest"), Recording(file):
        pass


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON messages BEGIN SELECT 1; END",
        "CREATE TABLE more(a, b GENERATED ALWAYS AS (zeroblob(1000000000)))",
        "ALTER TABLE messages ADD COLUMN more AS (zeroblob(1000000000))",
        "CREATE VIRTUAL TABLE more USING fts5(a)",
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_database_that_computes_what_it_holds_is_refused(tmp_path, sql, as_file):
    bag = record(tmp_path / "bag", pairs(1), StoragePlugin.SQLITE3)
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute(sql)
    with pytest.raises(BagError, match="which no recorder writes"):
        Recording(file if as_file else bag).__enter__()
