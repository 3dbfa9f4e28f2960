"""A bag appears under its name complete, or not at all."""

import errno
import os
import resource

import numpy as np
import pytest
from bag_making import START_NS
from rosbags.highlevel import AnyReader

from amg_fuse_ros.bags import BagError, BagWriter, CameraModel, Header, Recording
from amg_fuse_ros.bags.writing import camera_info_message

HEADER = Header(START_NS + 5, "front")
WRITTEN = {
    "rgb8": np.arange(72, dtype=np.uint8).reshape(4, 6, 3),
    "bgr8": np.arange(72, dtype=np.uint8).reshape(4, 6, 3),
    "mono8": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "mono16": np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000,
    "32FC1": np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6),
}


def write(path, count=1, pixels=WRITTEN["mono8"], encoding="mono8", then=lambda: None):
    """Writes a bag and does something before it is completed."""
    with BagWriter(path) as writer:
        for number in range(count):
            writer.write_image("/x", pixels, encoding, HEADER, START_NS + number)
        then()


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("encoding", WRITTEN)
def test_an_image_comes_back_through_rosbags_own_reader(tmp_path, encoding):
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/x", WRITTEN[encoding], encoding, HEADER, START_NS)
    # AnyReader uses the definitions and hashes stored in the bag, as the ROS tools do.
    with AnyReader([tmp_path / "bag"]) as reader:
        ((connection, record_ns, data),) = reader.messages()
        message = reader.deserialize(data, connection.msgtype)
    assert record_ns == START_NS
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (START_NS // 10**9, 5)
    assert message.header.frame_id == "front"
    assert (message.height, message.width, message.encoding) == (4, 6, encoding)
    pixels = message.data.view(WRITTEN[encoding].dtype).reshape(WRITTEN[encoding].shape)
    np.testing.assert_array_equal(pixels, WRITTEN[encoding])
    assert message.step * message.height == len(message.data)


def test_a_view_with_gaps_is_written_as_it_looks(tmp_path):
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 20)[::2, 3:9]
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/x", pixels, "mono8", HEADER, START_NS)
    with Recording(tmp_path / "bag") as recording:
        message = recording.decode(next(recording.messages()))
    np.testing.assert_array_equal(message.data.reshape(5, 6), pixels)


def test_a_camera_model_becomes_a_camera_info(tmp_path):
    model = CameraModel([500, 0, 320, 0, 510, 240, 0, 0, 1], d=[0.1, 0.2, 0, 0, 0.3])
    with BagWriter(tmp_path / "bag") as writer:
        info = camera_info_message(model, 640, 480, HEADER)
        writer.write_message("/rgb/camera_info", info, START_NS)
    with Recording(tmp_path / "bag") as recording:
        message = recording.decode(next(recording.messages()))
    assert (message.width, message.height, message.distortion_model) == (640, 480, "plumb_bob")
    assert message.k.tolist() == [500, 0, 320, 0, 510, 240, 0, 0, 1]
    assert message.d.tolist() == [0.1, 0.2, 0, 0, 0.3]
    assert message.p.tolist() == [500, 0, 320, 0, 0, 510, 240, 0, 0, 0, 1, 0]
    assert message.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_camera_model_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="k should have 9 values, not 4"):
        camera_info_message(CameraModel([1, 2, 3, 4]), 6, 4, HEADER)


@pytest.mark.parametrize(
    ("pixels", "encoding", "complaint"),
    [
        (np.zeros((4, 6)), "rgb8", r"rgb8 takes HxWx3 uint8, not \(4, 6\) float64"),
        (np.zeros((4, 6, 4), np.uint8), "rgb8", r"not \(4, 6, 4\)"),
        (np.zeros((4, 6, 1), np.uint8), "mono8", r"mono8 takes HxW uint8"),
        (np.zeros((4, 6)), "32FC1", r"32FC1 takes HxW float32, not \(4, 6\) float64"),
        (np.zeros((0, 6), np.uint8), "mono8", r"not \(0, 6\)"),
        (np.zeros(6, np.uint8), "mono8", r"not \(6,\)"),
        (np.zeros((4, 6), np.uint8), "yuv422", "one of rgb8, .*not 'yuv422'"),
    ],
)
def test_pixels_that_do_not_fit_their_encoding_are_refused(tmp_path, pixels, encoding, complaint):
    with pytest.raises(ValueError, match=complaint):
        write(tmp_path / "bag", 1, pixels, encoding)
    assert left_over(tmp_path) == []


def test_the_bag_is_not_there_before_it_is_complete(tmp_path):
    with BagWriter(tmp_path / "deep" / "bag") as writer:
        writer.write_image("/x", WRITTEN["mono8"], "mono8", HEADER, START_NS)
        assert not (tmp_path / "deep" / "bag").exists()
    assert left_over(tmp_path / "deep") == ["bag"]
    assert left_over(tmp_path / "deep" / "bag") == ["bag.mcap", "metadata.yaml"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing_behind(tmp_path, error):
    def fail():
        raise error

    with pytest.raises(error):
        write(tmp_path / "bag", then=fail)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: p.touch(), lambda p: p.symlink_to("x")]
)
def test_what_exists_is_not_overwritten(tmp_path, make):
    make(tmp_path / "bag")
    before = os.lstat(tmp_path / "bag")
    with pytest.raises(BagError, match="exists already; name another bag or remove it"):
        BagWriter(tmp_path / "bag").__enter__()
    assert os.lstat(tmp_path / "bag") == before
    assert left_over(tmp_path) == ["bag"]


def test_a_bag_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(BagError, match="has appeared meanwhile"):
        write(tmp_path / "bag", then=(tmp_path / "bag").mkdir)
    assert left_over(tmp_path) == ["bag"]
    assert left_over(tmp_path / "bag") == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match=r"file/bag cannot be written: \w"):
        BagWriter(tmp_path / "file" / "bag").__enter__()


@pytest.mark.parametrize("limit", [1 << 16, 3 << 20, 5_242_000])
def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, limit):
    # A limit on the size of files stands in for the end of the disk: writing fails the same way.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(BagError, match=r"bag cannot be written: .*free some space") as error:
            write(tmp_path / "bag", 10, np.zeros((1024, 512), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.__cause__.errno == errno.EFBIG
    assert left_over(tmp_path) == []
