"""Pairing loses nothing silently, shifts nothing after a lost frame, and holds few images."""

import logging
import struct
import tracemalloc

import numpy as np
import pytest
from bag_making import (
    FRAME_NS,
    RGB,
    START_NS,
    THERMAL,
    chunk_indexes,
    damaged,
    image,
    pairs,
    record,
    rgb,
    thermal,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin

from amg_fuse_ros.bags import Header, PairCounts, Recording, Topics, read_pairs
from amg_fuse_ros.bags.pairing import StampPairer

TOPICS = Topics(THERMAL, RGB)
MS = 1_000_000


def read(path, **options):
    """All pairs of a bag, and the counts."""
    with Recording(path) as recording:
        reader = read_pairs(recording, TOPICS, **options)
        return list(reader), reader.counts


def pair_stamps(first, second, slop_ns, queue=30):
    """Pairs two lists of stamps, taken in order of time; returns pairs and unpaired counts."""
    pairer = StampPairer(slop_ns, queue)
    arrivals = sorted([(s, 0) for s in first] + [(s, 1) for s in second])
    found = [pair for stamp, stream in arrivals for pair in pairer.add(stream, stamp, stamp)]
    return [*found, *pairer.finish()], pairer.unpaired


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_pairs_come_with_their_pixels_stamps_and_frames(tmp_path, storage):
    messages = []
    for number in range(5):
        messages += [
            thermal(number, frame_id="lwir"),
            rgb(number, stamp_ns=START_NS + number * FRAME_NS + 4 * MS, frame_id="front"),
        ]
    found, counts = read(record(tmp_path / "bag", messages, storage))
    assert [pair.thermal[0, 0] for pair in found] == [1000, 1001, 1002, 1003, 1004]
    assert [pair.rgb[0, 0].tolist() for pair in found] == [[i, 50, 200] for i in range(5)]
    assert found[2].thermal.dtype == np.uint16
    assert found[2].rgb.shape == (12, 16, 3)
    assert found[2].thermal_header == Header(START_NS + 2 * FRAME_NS, "lwir")
    assert found[2].rgb_header == Header(START_NS + 2 * FRAME_NS + 4 * MS, "front")
    assert found[2].record_ns == START_NS + 2 * FRAME_NS + 4 * MS
    assert counts == PairCounts(pairs=5)


def test_images_are_paired_by_stamp_even_when_one_camera_is_recorded_late(tmp_path):
    late = 200 * MS
    messages = [rgb(number) for number in range(20)] + [
        thermal(number, record_ns=START_NS + number * FRAME_NS + late) for number in range(20)
    ]
    found, _ = read(record(tmp_path / "bag", sorted(messages, key=lambda raw: raw.record_ns)))
    assert [pair.thermal[0, 0] - 1000 for pair in found] == list(range(20))
    assert all(pair.thermal_header.stamp_ns == pair.rgb_header.stamp_ns for pair in found)


def test_images_without_stamps_are_paired_by_when_they_were_recorded(tmp_path):
    unstamped = [
        make(i, stamp_ns=0, record_ns=START_NS + i * FRAME_NS)
        for i in range(6)
        for make in (thermal, rgb)
        if (i, make) != (2, rgb)
    ]
    found, counts = read(record(tmp_path / "bag", unstamped))
    assert [pair.thermal[0, 0] - 1000 for pair in found] == [0, 1, 3, 4, 5]
    assert counts.unpaired_thermal == 1


def test_unpaired_images_of_each_camera_are_counted(tmp_path):
    messages = [thermal(i) for i in range(6)] + [rgb(i) for i in range(4, 9)]
    found, counts = read(record(tmp_path / "bag", messages))
    assert len(found) == counts.pairs == 2
    assert (counts.unpaired_thermal, counts.unpaired_rgb) == (4, 3)


def test_a_damaged_message_is_told_with_topic_and_time_counted_and_skipped(tmp_path, caplog):
    messages = pairs(6)
    messages[4] = damaged(messages[4])
    with caplog.at_level(logging.WARNING):
        found, counts = read(record(tmp_path / "bag", messages))
    assert [pair.thermal[0, 0] - 1000 for pair in found] == [0, 1, 3, 4, 5]
    assert (counts.skipped, counts.unpaired_thermal, counts.unpaired_rgb) == (1, 0, 1)
    assert f"{THERMAL} at 2023-11-14 22:13:20.066666666 UTC" in caplog.text
    assert counts.problems[0] in caplog.text


def test_an_encoding_that_cannot_be_fused_is_counted_and_not_told_forever(tmp_path, caplog):
    depth = [
        image(RGB, i, np.ones((4, 6), np.float32), "32FC1", record_ns=START_NS + i)
        for i in range(50)
    ]
    with caplog.at_level(logging.WARNING):
        found, counts = read(record(tmp_path / "bag", depth))
    assert found == []
    assert counts.skipped == 50
    assert "'32FC1' is not one a visible camera is read in" in counts.problems[0]
    assert len(caplog.records) < 10


def test_reading_goes_on_up_to_where_the_file_is_damaged_and_says_so(tmp_path):
    big = [
        raw
        for i in range(12)
        for raw in (
            image(THERMAL, i, np.zeros((300, 400), np.uint8), "mono8"),
            image(RGB, i, np.zeros((300, 400, 3), np.uint8), "rgb8"),
        )
    ]
    bag = record(tmp_path / "bag", big)
    content = bytearray((bag / "bag.mcap").read_bytes())
    last = chunk_indexes(content)[-1]
    (chunk,) = struct.unpack_from("<Q", content, last + 16)
    # The length of the chunk's first record, behind its opcode, now points far away.
    content[chunk + 50 : chunk + 58] = b"\xff" * 8
    (bag / "bag.mcap").write_bytes(content)
    found, counts = read(bag)
    assert 6 <= len(found) < 12
    assert "broke off after" in counts.broken


def test_memory_stays_at_the_queue_however_long_the_bag(tmp_path):
    def frames(count):
        for i in range(count):
            yield image(THERMAL, i, np.full((240, 320), i % 256, np.uint8), "mono8")
            yield image(RGB, i, np.full((240, 320, 3), i % 256, np.uint8), "rgb8")

    bag = record(tmp_path / "bag", frames(150))
    size = (bag / "bag.mcap").stat().st_size
    tracemalloc.start()
    with Recording(bag) as recording:
        count = sum(1 for _ in read_pairs(recording, TOPICS, queue=5))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 150
    assert peak < size / 4


def test_a_lost_frame_does_not_shift_the_pairs_after_it():
    period, slop = 33 * MS, 50 * MS
    first = [i * period for i in range(10)]
    second = [stamp + MS for i, stamp in enumerate(first) if i != 3]
    found, unpaired = pair_stamps(first, second, slop)
    assert all(b - a == MS for a, b in found)
    assert len(found) == 9
    assert unpaired == [1, 0]


@pytest.mark.parametrize("offset_ms", [-16, -5, 0, 5, 16])
def test_a_constant_offset_within_the_slop_pairs_every_frame(offset_ms):
    first = [1000 * MS + i * 33 * MS for i in range(20)]
    found, unpaired = pair_stamps(first, [s + offset_ms * MS for s in first], 20 * MS)
    assert [b - a for a, b in found] == [offset_ms * MS] * 20
    assert unpaired == [0, 0]


def test_cameras_of_different_rates_pair_at_the_slower_one():
    slow = [i * 111 * MS for i in range(9)]
    fast = [i * 33 * MS for i in range(30)]
    found, unpaired = pair_stamps(slow, fast, 17 * MS)
    assert len(found) == 9
    assert unpaired == [0, 21]


def test_when_the_clock_jumps_back_pairing_goes_on():
    pairer = StampPairer(5 * MS, 10)
    stamps = [i * 33 * MS for i in range(100)] * 3
    found = [
        pair
        for lap, stamp in enumerate(stamps)
        for stream in (0, 1)
        for pair in pairer.add(stream, stamp, (lap, stamp))
    ]
    found += pairer.finish()
    assert [a for a, _ in found] == [b for _, b in found]
    assert len(found) == 300


@settings(deadline=None)
@given(
    first=st.lists(st.integers(0, 3000), max_size=40),
    second=st.lists(st.integers(0, 3000), max_size=40),
    slop=st.integers(0, 200),
    queue=st.integers(1, 10),
)
def test_every_item_is_in_one_pair_or_counted_and_no_pair_is_wider_than_the_slop(
    first, second, slop, queue
):
    pairer = StampPairer(slop, queue)
    arrivals = [(s, 0) for s in first] + [(s, 1) for s in second]
    arrivals.sort(key=lambda arrival: arrival[0] + 37 * arrival[1])
    found = []
    for stamp, stream in arrivals:
        found += pairer.add(stream, stamp, stamp)
        assert max(len(waiting) for waiting in pairer._waiting) <= queue
    found += pairer.finish()
    assert all(abs(a - b) <= slop for a, b in found)
    assert len(found) + pairer.unpaired[0] == len(first)
    assert len(found) + pairer.unpaired[1] == len(second)
    assert found == sorted(found)


@pytest.mark.parametrize(("slop", "queue"), [(-1, 5), (0, 0)])
def test_a_senseless_slop_or_queue_is_refused(slop, queue):
    with pytest.raises(ValueError, match="slop should be >= 0 and queue >= 1"):
        StampPairer(slop, queue)
