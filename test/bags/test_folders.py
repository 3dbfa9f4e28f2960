"""Two folders of images become a bag: paired by name, in natural order, with their bits kept."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amg_fuse_ros.bags import (
    BagError,
    CameraModel,
    Recording,
    Topics,
    guess_topics,
    make_bag,
    pair_files,
    read_pairs,
)
from amg_fuse_ros.bags.folders import natural_key, read_rgb, read_thermal

START_NS = 1_700_000_000_000_000_000


@pytest.fixture
def folders(tmp_path):
    """Empty thermal and visible folders, and functions to fill them."""
    thermal, rgb = tmp_path / "ir", tmp_path / "vi"
    thermal.mkdir()
    rgb.mkdir()
    return thermal, rgb


def save(folder, name, pixels):
    path = folder / name
    assert cv2.imwrite(str(path), pixels)
    return path


def grey(value, dtype=np.uint8):
    return np.full((6, 8), value, dtype)


def colour(blue, green, red):
    return np.full((12, 16, 3), [blue, green, red], np.uint8)


def test_names_pair_whatever_the_extension_and_the_rest_is_told(folders):
    thermal, rgb = folders
    for name in ("10.png", "2.png", "only_ir.png"):
        save(thermal, name, grey(1))
    for name in ("10.jpg", "2.bmp", "only_vi.png"):
        save(rgb, name, colour(1, 2, 3))
    (rgb / "notes.txt").write_text("no image")
    (rgb / ".hidden.png").write_text("no image")
    (rgb / "2.png").mkdir()
    (rgb / "2.png").rmdir()
    files = pair_files(thermal, rgb)
    assert [(a.name, b.name) for a, b in files.pairs] == [("2.png", "2.bmp"), ("10.png", "10.jpg")]
    assert [path.name for path in files.thermal_only] == ["only_ir.png"]
    assert [path.name for path in files.rgb_only] == ["only_vi.png"]


def test_two_single_images_pair_whatever_their_names(folders):
    thermal = save(folders[0], "a.png", grey(1))
    rgb = save(folders[1], "b.png", colour(1, 2, 3))
    assert pair_files(thermal, rgb).pairs == [(thermal, rgb)]


def test_two_images_of_one_name_in_a_folder_are_not_guessed_between(folders):
    save(folders[0], "a.png", grey(1))
    save(folders[0], "a.bmp", grey(2))
    with pytest.raises(ValueError, match=r"two images named 'a': a\.bmp and a\.png"):
        pair_files(*folders)


def test_a_missing_folder_is_named(folders):
    with pytest.raises(ValueError, match="nowhere is not a folder of images"):
        pair_files(folders[0] / "nowhere", folders[1])


def test_numbers_in_names_count_as_numbers():
    names = ["f10", "f9", "f1b", "f1a", "F2", "f", "2024-1-10", "2024-1-9"]
    ordered = ["2024-1-9", "2024-1-10", "f", "f1a", "f1b", "F2", "f9", "f10"]
    assert sorted(names, key=natural_key) == ordered


@settings(deadline=None)
@example(["\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT TWO}", "2"])
@given(st.lists(st.text(max_size=6)))
def test_any_names_can_be_ordered(names):
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thermal_counts_keep_their_bits(folders, dtype):
    counts = (np.arange(48).reshape(6, 8) * (5 if dtype == np.uint8 else 1300)).astype(dtype)
    thermal = read_thermal(save(folders[0], "a.png", counts))
    assert thermal.dtype == dtype
    np.testing.assert_array_equal(thermal, counts)


def test_a_grey_thermal_image_saved_in_colour_is_taken(folders):
    path = save(folders[0], "a.jpg", np.dstack([grey(90)] * 3))
    thermal = read_thermal(path)
    assert thermal.shape == (6, 8)
    assert abs(int(thermal[0, 0]) - 90) <= 1


def test_a_thermal_image_in_false_colours_is_refused(folders):
    with pytest.raises(ValueError, match="false colours; export it in grey"):
        read_thermal(save(folders[0], "a.png", colour(10, 20, 200)))


def test_float_temperatures_are_refused(folders):
    with pytest.raises(ValueError, match="8 or 16 bits, not float32"):
        read_thermal(save(folders[0], "a.tiff", np.ones((4, 4), np.float32)))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("read", [read_thermal, read_rgb])
def test_a_file_that_is_no_image_is_named(folders, read, content):
    path = folders[0] / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png is not an image"):
        read(path)


def test_a_note_to_turn_the_picture_is_left_alone_so_that_pairs_stay_registered(tmp_path):
    _, jpeg = cv2.imencode(".jpg", np.full((20, 30, 3), 128, np.uint8))
    orientation_6 = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    size = (len(orientation_6) + 2).to_bytes(2, "big")
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + b"\xff\xe1" + size + orientation_6 + jpeg.tobytes()[2:])
    assert cv2.imread(str(path)).shape == (30, 20, 3)  # the note is there and readable
    assert read_rgb(path).shape == (20, 30, 3)
    assert read_thermal(path).shape == (20, 30)


def test_a_bag_of_two_folders_reads_back_pair_by_pair(folders, tmp_path):
    thermal, rgb = folders
    for number in (1, 2, 10):
        save(thermal, f"{number}.png", grey(1000 + number, np.uint16))
        save(rgb, f"{number}.png", colour(3, 2, number))
    save(thermal, "11.png", grey(0, np.uint16))
    steps = []
    summary = make_bag(
        thermal,
        rgb,
        25,
        tmp_path / "bag",
        start_ns=START_NS,
        camera_info=CameraModel([10, 0, 8, 0, 10, 6, 0, 0, 1]),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert summary.pairs == 3
    assert [path.name for path in summary.thermal_only] == ["11.png"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with Recording(tmp_path / "bag") as recording:
        topics = guess_topics(recording)
        assert topics == Topics("/thermal/image_raw", "/rgb/image_raw", "/rgb/camera_info")
        infos = [recording.decode(raw) for raw in recording.messages([topics.rgb_info])]
        found = list(read_pairs(recording, topics))
    assert [(info.width, info.height) for info in infos] == [(16, 12)] * 3
    assert [pair.thermal[0, 0] for pair in found] == [1001, 1002, 1010]
    assert [pair.rgb[0, 0].tolist() for pair in found] == [[1, 2, 3], [2, 2, 3], [10, 2, 3]]
    assert [pair.rgb_header for pair in found] == [
        (START_NS + i * 40_000_000, "rgb_camera") for i in range(3)
    ]
    assert {pair.thermal_header.frame_id for pair in found} == {"thermal_camera"}


def test_stamps_do_not_drift_at_a_rate_that_is_no_whole_number_of_nanoseconds(folders, tmp_path):
    for number in range(31):
        save(folders[0], f"{number}.png", grey(1))
        save(folders[1], f"{number}.png", colour(1, 2, 3))
    make_bag(*folders, 30, tmp_path / "bag", start_ns=START_NS)
    with Recording(tmp_path / "bag") as recording:
        assert recording.duration_ns == 1_000_000_000


def test_folders_without_a_common_name_are_told_apart(folders, tmp_path):
    save(folders[0], "a.png", grey(1))
    save(folders[1], "b.png", colour(1, 2, 3))
    with pytest.raises(ValueError, match=r"partner of the same name .*\(1 thermal and 1 visible"):
        make_bag(*folders, 30, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(folders, tmp_path, fps):
    with pytest.raises(ValueError, match="fps should be positive"):
        make_bag(*folders, fps, tmp_path / "bag")


def test_an_unreadable_image_on_the_way_leaves_no_bag(folders, tmp_path):
    for name in ("1.png", "2.png"):
        save(folders[0], name, grey(1))
        save(folders[1], name, colour(1, 2, 3))
    (folders[1] / "2.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"2\.png is not an image"):
        make_bag(*folders, 30, tmp_path / "bag")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ir", "vi"]


def test_an_existing_bag_is_kept(folders, tmp_path):
    save(folders[0], "1.png", grey(1))
    save(folders[1], "1.png", colour(1, 2, 3))
    make_bag(*folders, 30, tmp_path / "bag")
    with pytest.raises(BagError, match="exists already"):
        make_bag(*folders, 30, tmp_path / "bag")
