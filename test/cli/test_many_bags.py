"""``amg-fuse replay`` over many bags: each whole or not there, resumable."""

import json
import shutil
import signal

import pytest
from command_line import files_in, make_bag, refused, write_pair
from nights import Started, content_of

from amg_fuse_ros.bags import Recording


@pytest.fixture
def options(random_weights):
    weights = ["--weights", random_weights, "--scale", "0.5"]
    return [*weights, "--device", "cpu", "--engine", "eager"]


@pytest.fixture
def night(amg_fuse, folders, tmp_path):
    """A folder of two bags, the first as a file only, as when a recorder was killed."""
    night = tmp_path / "night"
    make_bag(amg_fuse, folders, night / "car1" / "north")
    make_bag(amg_fuse, folders, night / "south")
    (night / "car1" / "north" / "metadata.yaml").unlink()
    return night


def images_in(bag):
    with Recording(bag) as recording:
        return [raw.data for raw in recording.messages(["/fused/image"])]


def test_bags_are_mirrored_below_out_as_one_by_one(amg_fuse, night, options, tmp_path):
    outcome = amg_fuse("replay", night, "--out", tmp_path / "out", *options)
    assert outcome.code == 0
    assert outcome.out == (
        f"2 of 2 bags fused into {tmp_path / 'out'} (6 pairs); complete before: 0; left out: 0\n"
    )
    north = tmp_path / "out" / "car1" / "north" / "north"
    amg_fuse("replay", night / "south", "--out", tmp_path / "single", *options)
    assert images_in(tmp_path / "out" / "south") == images_in(tmp_path / "single")
    assert len(images_in(north)) == 3
    manifest = json.loads((north / "run.json").read_text())
    assert manifest["fused"] == 3
    assert manifest["fused_by"] == "eager fp32 on cpu"
    assert list(manifest["bag"]) == ["north.mcap"]


def test_what_is_complete_is_passed_over_until_its_bag_or_settings_change(
    amg_fuse, night, options, tmp_path
):
    run = ["replay", night, "--out", tmp_path / "out", *options]
    amg_fuse(*run)
    before = content_of(tmp_path / "out")
    assert "0 of 2 bags fused" in amg_fuse(*run).out
    assert content_of(tmp_path / "out") == before
    (file,) = (night / "south").glob("*.mcap")
    shutil.copy(file, tmp_path / "copy")
    shutil.copy(tmp_path / "copy", file)  # another time of change
    assert "1 of 2 bags fused" in amg_fuse(*run).out
    assert "2 of 2 bags fused" in amg_fuse(*run, "--slop-ms", "30").out
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_bag_that_fails_is_named_and_the_others_are_fused(amg_fuse, night, options, tmp_path):
    (file,) = (night / "south").glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-2000])
    (tmp_path / "out" / "car1" / "north" / "north").mkdir(parents=True)
    outcome = amg_fuse("replay", night, "--out", tmp_path / "out", *options)
    assert outcome.code == 1
    assert f"left out: {night / 'south'}" in outcome.err
    assert "cut off" in outcome.err
    assert "exists already and was not made by such a run" in outcome.err
    assert "left out: 2" in outcome.out
    assert files_in(tmp_path / "out") == []


def test_several_bags_may_be_named(amg_fuse, night, options, tmp_path):
    shutil.copytree(night / "south", tmp_path / "east")
    bags = [night / "south", tmp_path / "east"]
    assert amg_fuse("replay", *bags, "--out", tmp_path / "out", *options).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["east", "south"]
    outcome = amg_fuse("replay", *bags, bags[0], "--out", tmp_path / "out", *options)
    assert refused(outcome, "two recordings would be written to south")


@pytest.fixture
def long_night(amg_fuse, tmp_path):
    """Two bags of equal size, long enough to be disturbed."""
    folders = ["--thermal", tmp_path / "thermal", "--rgb", tmp_path / "rgb"]
    for number in range(12):
        name = f"{number}.png"
        write_pair(tmp_path / "thermal" / name, tmp_path / "rgb" / name, seed=number)
    for name in ("first", "second"):
        done = amg_fuse("make-bag", *folders, "--out", tmp_path / "night" / name)
        assert done.code == 0
    return tmp_path / "night"


def test_a_killed_run_leaves_no_half_bag_and_goes_on(amg_fuse, long_night, options, tmp_path):
    out = tmp_path / "out"
    run = ["replay", long_night, "--out", out, *options, "--workers", "1"]
    with Started(*run) as started:
        started.wait_until(lambda: list(out.glob("*/run.json")) and list(out.glob(".*.partial-*")))
        started.process.send_signal(signal.SIGKILL)
        started.process.wait()
        assert len(list(out.glob("*/run.json"))) == 1
    outcome = amg_fuse(*run)
    assert outcome.code == 0
    assert "1 of 2 bags fused" in outcome.out
    amg_fuse(*run[:3], tmp_path / "undisturbed", *run[4:])
    for name in ("first", "second"):
        assert images_in(out / name) == images_in(tmp_path / "undisturbed" / name)
    assert files_in(out) == files_in(tmp_path / "undisturbed")


def test_the_pairs_of_one_bag_are_fused_by_two_workers_in_their_order(
    amg_fuse, long_night, options, tmp_path
):
    for workers in ("1", "2"):
        outcome = amg_fuse(
            *("replay", long_night / "first", "--out", tmp_path / workers),
            *("--workers", workers, "--copy-sources", *options),
        )
        assert outcome.code == 0
        assert outcome.out.startswith("12 pairs fused")
    assert images_in(tmp_path / "2") == images_in(tmp_path / "1")
    with Recording(tmp_path / "2") as recording:
        assert recording.topics()["/fused/mask"] == 12


def test_weights_that_are_not_there_are_named_whoever_misses_them(amg_fuse, long_night, tmp_path):
    missing = ["--weights", tmp_path / "none.pth", "--workers", "2"]
    for bag in (long_night, long_night / "first"):
        outcome = amg_fuse("replay", bag, "--out", tmp_path / "out", *missing)
        assert refused(outcome, "none.pth", "no such weights file")
