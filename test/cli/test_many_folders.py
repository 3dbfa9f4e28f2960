"""``amg-fuse fuse`` over many recordings: mirrored, resumable, whole files or none."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import cv2
import pytest
from command_line import files_in, refused, write, write_pair
from nights import Started, content_of, noted, wait_for, write_night
from small_pairs import smooth_image

from amg_fuse_ros.offline import OnlyOne


@pytest.fixture
def options(random_weights):
    weights = ["--weights", random_weights, "--scale", "0.5"]
    return [*weights, "--device", "cpu", "--engine", "eager"]


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night")


RESULTS = [
    f"{recording}/{name}"
    for recording in ("car1/north", "car2/south")
    for name in ("a.png", "b.png", "c.png", "run.json")
]


def test_recordings_are_mirrored_below_out_as_one_by_one(amg_fuse, night, options, tmp_path):
    outcome = amg_fuse("fuse", night, "--out", tmp_path / "out", *options)
    assert outcome.code == 0
    assert outcome.out == (
        f"6 pairs of 2 recordings fused into {tmp_path / 'out'}; complete before: 0; left out: 0\n"
    )
    assert files_in(tmp_path / "out") == RESULTS
    folder = night / "car2" / "south"
    amg_fuse(
        *("fuse", "--thermal", folder / "ir", "--rgb", folder / "vi"),
        *("--out", tmp_path / "single", *options),
    )
    many, single = content_of(tmp_path / "out" / "car2" / "south"), content_of(tmp_path / "single")
    assert {name: many[name] for name in single} == single


def test_what_is_complete_is_passed_over_until_inputs_or_settings_change(
    amg_fuse, night, options, tmp_path
):
    run = ["fuse", night, "--out", tmp_path / "out", *options]
    amg_fuse(*run)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    assert "0 pairs of 2 recordings fused" in amg_fuse(*run).out
    assert "complete before: 6" in amg_fuse(*run).out
    assert before == {path: path.stat().st_mtime_ns for path in before}

    changed = night / "car1" / "north" / "rgb" / "b.png"
    write(changed, smooth_image(24, 32, 3, seed=9))
    (tmp_path / "out" / "car2" / "south" / "a.png").unlink()
    assert "2 pairs of 2 recordings fused" in amg_fuse(*run).out
    assert "6 pairs of 2 recordings fused" in amg_fuse(*run, "--mask-form", "paper").out
    assert "6 pairs of 2 recordings fused" in amg_fuse(*run, "--mask-form", "paper", "--mask").out


def test_the_manifest_says_what_the_images_were_made_of(
    amg_fuse, night, options, random_weights, tmp_path
):
    amg_fuse("fuse", night, "--out", tmp_path / "out", *options)
    manifest = json.loads((tmp_path / "out" / "car1" / "north" / "run.json").read_text())
    assert manifest["weights_file"] == random_weights.name
    assert re.fullmatch("[0-9a-f]{64}", manifest["weights_sha256"])
    assert manifest["settings"]["scale"] == 0.5
    assert list(manifest["images"]) == ["a", "b", "c"]
    rgb = (night / "car1" / "north" / "rgb" / "a.png").stat()
    assert manifest["images"]["a"]["rgb"] == [rgb.st_size, rgb.st_mtime_ns]
    assert manifest["images"]["a"]["fused_by"] == "eager fp32 on cpu"


def test_failed_images_and_recordings_are_named_and_skipped(amg_fuse, night, options, tmp_path):
    broken = night / "car1" / "north" / "rgb" / "a.png"
    broken.write_bytes(b"no image")
    shutil.copy(night / "car2" / "south" / "vi" / "a.png", night / "car2" / "south" / "vi/a.bmp")
    write_pair(night / "car3" / "ir" / "x.png", night / "car3" / "vi" / "y.png")
    run = ["fuse", night, "--out", tmp_path / "out", *options]
    outcome = amg_fuse(*run)
    assert outcome.code == 1
    assert f"left out: {broken} is not an image" in outcome.err
    assert "two images named 'a'" in outcome.err
    assert f"left out: {night / 'car3' / 'vi'}" in outcome.err
    assert outcome.out.startswith("2 pairs of 3 recordings fused")
    assert outcome.out.endswith("left out: 3\n")
    assert files_in(tmp_path / "out") == [f"car1/north/{n}" for n in ("b.png", "c.png", "run.json")]
    write(broken, smooth_image(24, 32, 3))
    assert "1 pairs of 3 recordings fused" in amg_fuse(*run).out


def test_an_image_of_other_inputs_does_not_stay_where_the_new_ones_fail(
    amg_fuse, night, options, tmp_path
):
    run = ["fuse", night, "--out", tmp_path / "out", *options]
    amg_fuse(*run)
    (night / "car1" / "north" / "rgb" / "a.png").write_bytes(b"no image")
    assert amg_fuse(*run).code == 1
    assert not (tmp_path / "out" / "car1" / "north" / "a.png").exists()


def test_results_below_the_root_are_no_recordings(amg_fuse, night, options):
    run = ["fuse", night, "--out", night / "fused", *options, "--mask"]
    assert amg_fuse(*run).out.startswith("6 pairs of 2 recordings")
    assert amg_fuse(*run).out.startswith("0 pairs of 2 recordings")


def test_of_several_roots_each_keeps_its_name(amg_fuse, night, options, tmp_path):
    roots = [night / "car1", night / "car2"]
    assert amg_fuse("fuse", *roots, "--out", tmp_path / "out", *options).code == 0
    assert files_in(tmp_path / "out") == RESULTS


def test_what_cannot_be_meant_is_refused(amg_fuse, night, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert refused(amg_fuse("fuse", tmp_path / "none", *out), "none is not a folder of recordings")
    (tmp_path / "empty").mkdir()
    assert refused(amg_fuse("fuse", tmp_path / "empty", *out), "expected folders with thermal/")
    for arguments in ([], [night, "--thermal", night], ["--rgb", night]):
        outcome = amg_fuse("fuse", *arguments, *out)
        assert outcome.code == 2
        assert "--thermal and --rgb, or folders of recordings" in outcome.err


def test_two_runs_do_not_write_into_one_folder(amg_fuse, night, options, tmp_path):
    with OnlyOne(tmp_path / "out"):
        outcome = amg_fuse("fuse", night, "--out", tmp_path / "out", *options)
    assert refused(outcome, "another run writes into", tmp_path / "out")


class Pipe:
    """A pipe in place of an image: whoever reads it waits for ever."""

    def __init__(self, image: Path) -> None:
        self.image = image
        self._writer = -1
        image.rename(image.with_suffix(".aside"))
        os.mkfifo(image)

    def is_read(self) -> bool:
        """Whether somebody waits for what comes; keeps the other end, so that they go on to."""
        try:
            self._writer = os.open(self.image, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Put the image back; who reads the pipe does not notice."""
        self.image.with_suffix(".aside").replace(self.image)

    def __del__(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)


@pytest.fixture
def pipe(night):
    return Pipe(night / "car2" / "south" / "vi" / "c.png")


def test_a_killed_run_goes_on_and_ends_with_the_files_of_an_undisturbed_one(
    amg_fuse, night, options, tmp_path, pipe
):
    out = tmp_path / "out"
    run = ["fuse", night, "--out", out, *options, "--workers", "2"]
    with Started(*run) as started:
        started.wait_until(lambda: noted(out) == 5)
        started.process.send_signal(signal.SIGKILL)
        wait_for(started.gone)  # its workers do not outlive it
    (out / "car1" / "north" / ".a.png.partial-killed").write_bytes(b"half")
    pipe.restore()
    outcome = amg_fuse(*run)
    assert outcome.code == 0
    assert outcome.out.startswith("1 pairs of 2 recordings fused")
    assert "complete before: 5" in outcome.out
    amg_fuse(*run[:3], tmp_path / "undisturbed", *run[4:])
    assert content_of(out) == content_of(tmp_path / "undisturbed")


def test_a_worker_killed_at_its_work_is_replaced_and_nothing_is_lost(options, tmp_path):
    night = write_night(tmp_path / "night", ["car1"], names="c")
    pipe = Pipe(night / "car1" / "thermal" / "c.png")
    with Started("fuse", night, "--out", tmp_path / "out", *options, "--workers", "2") as started:
        started.wait_until(pipe.is_read)
        pipe.restore()
        for pid in started.workers():
            os.kill(pid, signal.SIGKILL)
        code, printed, _ = started.end()
    assert code == 0
    assert printed.startswith("1 pairs of 1 recordings fused")
    assert cv2.imread(str(tmp_path / "out" / "car1" / "c.png")).shape == (24, 32, 3)


def test_ctrl_c_ends_workers_and_leaves_what_is_done_to_go_on_from(night, options, tmp_path, pipe):
    out = tmp_path / "out"
    with Started("fuse", night, "--out", out, *options, "--workers", "2") as started:
        started.wait_until(lambda: noted(out) == 5)
        os.killpg(started.process.pid, signal.SIGINT)  # as a terminal does
        code, _, errors = started.end()
        wait_for(started.gone)
    assert code != 0
    assert "Traceback" not in errors
    assert len(json.loads((out / "car2" / "south" / "run.json").read_text())["images"]) == 2
    assert not list(out.rglob(".*"))
