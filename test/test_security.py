"""Files from outside write nowhere but below --out, and SECURITY.md names tests that exist."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from amg_fuse_ros.bags import BagWriter, Header, Recording, Topics, replay
from amg_fuse_ros.image_files import write_whole
from amg_fuse_ros.offline import find_bags, find_folders
from amg_fuse_ros.offline.manifest import MANIFEST, Manifest

ROOT = Path(__file__).resolve().parents[1]
SECURITY = (ROOT / "SECURITY.md").read_text()
GREY = np.zeros((6, 8), np.uint8)
COLOUR = np.zeros((6, 8, 3), np.uint8)


class Frame:
    image = COLOUR
    mask = np.ones((6, 8), np.float32)


def bag_with_topics(path, thermal, rgb):
    with BagWriter(path) as writer:
        header = Header(10**18, "../../frame")
        writer.write_image(thermal, GREY, "mono8", header, 10**18)
        writer.write_image(rgb, COLOUR, "rgb8", header, 10**18)
    return path


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


CLIMBING = [
    "../../up",
    "/../../../up",
    "/etc/passwd",
    "/a/../../up",
    "C:\\up",
    "~/up",
    "/up\n$(id)",
]


@pytest.mark.parametrize("name", CLIMBING)
def test_topics_that_look_like_paths_name_no_files(tmp_path, name):
    (tmp_path / "deep" / "in").mkdir(parents=True)
    bag = bag_with_topics(tmp_path / "bag", f"{name}/thermal", f"{name}/rgb")
    before = everything(tmp_path)
    out = tmp_path / "deep" / "in" / "out"
    topics = Topics(f"{name}/thermal", f"{name}/rgb")
    replay(bag, out, lambda *_: Frame(), topics=topics, copy_sources=True)
    written = everything(tmp_path) - before
    assert written == {"deep/in/out", "deep/in/out/out.mcap", "deep/in/out/metadata.yaml"}
    with Recording(out) as recording:
        assert f"{name}/rgb" in recording.topics()


@pytest.mark.parametrize("name", ["..mcap", "...mcap", "...db3", ".hidden.mcap", "a.mcap"])
def test_no_name_of_a_bag_leads_out_of_the_folder_for_results(tmp_path, name):
    night = tmp_path / "night"
    night.mkdir()
    (night / name).write_bytes(b"")
    for root in (night, night / name):
        for place in find_bags([root], tmp_path / "out"):
            target = os.path.normpath(tmp_path / "out" / place.name)
            assert Path(target).parent == tmp_path / "out"


def test_a_link_among_recordings_is_named_where_it_lies(tmp_path):
    for camera in ("thermal", "rgb"):
        (tmp_path / "elsewhere" / "drive" / camera).mkdir(parents=True)
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "night" / "up").symlink_to(tmp_path / "night")
    (found,) = find_folders([tmp_path / "night"], tmp_path / "out")
    assert found.name == Path("linked/drive")


def test_a_link_in_place_of_a_result_is_replaced_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "mine")
    write_whole(tmp_path / "out" / "a.png", b"result")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "out" / "a.png").is_symlink()


@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", "..", ".", "", "sub/../../mine"])
def test_a_manifest_from_elsewhere_has_nothing_removed_beyond_its_folder(tmp_path, name):
    (tmp_path / "mine.png").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text(json.dumps({"settings": "others", "images": {name: {}}}))
    with Manifest(out, {"settings": "these"}):
        pass
    assert (tmp_path / "mine.png").read_text() == "mine"


def test_security_md_names_tests_that_are_there():
    named = re.findall(r"`(test/[\w/]+\.py)(?:::(\w+))?`", SECURITY)
    assert len(named) >= 15
    for file, function in named:
        text = (ROOT / file).read_text()
        assert not function or f"def {function}(" in text, f"{file}::{function}"
