"""The job for a GPU machine: what can be tested of it without one."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace

import pytest
import torch
from tiny_runs import CONFIG, make_inputs, read_log, settings
from typer.testing import CliRunner

from training.gpu_job import MIB, JobError, app, pack_pairs
from training.packed_checkpoint import (
    PARTS,
    from_bytes,
    pack,
    read_parts,
    to_bytes,
    unpack,
    write_parts,
)
from training.run_folder import RunError, RunFolder
from training.trainer import Session, train
from training.wheels import unpack_missing

HERE = Session(accelerator="cpu", workers=0, record_every=1)
CONFIG_3 = replace(CONFIG, validate_every=1, steps=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "pairs"


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run after its first step of three."""
    run = tmp_path_factory.mktemp("run") / "run"
    train(CONFIG_3, make_inputs(folder), run, replace(HERE, minutes=0))
    return run


class TestPackedCheckpoint:
    def test_keeps_the_weights_and_nearly_the_average_and_the_moments(self, run, tmp_path):
        content = RunFolder(run).load()
        found = unpack(from_bytes(to_bytes(pack(content)), tmp_path))
        assert found.keys() == content.keys()
        for name, value in content["network"].items():
            assert torch.equal(found["network"][name], value)
            scale = float((content["average"][name] - value).abs().max())
            torch.testing.assert_close(
                found["average"][name], content["average"][name], rtol=0, atol=scale / 128 + 1e-9
            )
        before, after = content["optimizer"]["state"], found["optimizer"]["state"]
        assert before.keys() == after.keys()
        for number, values in before.items():
            torch.testing.assert_close(
                after[number]["exp_avg"], values["exp_avg"], rtol=1 / 128, atol=0
            )
            assert torch.equal(after[number]["step"], values["step"])

    def test_is_less_than_two_thirds_in_size_and_a_third_without_moments(self, run):
        content, whole = RunFolder(run).load(), (run / "last.ckpt").stat().st_size
        assert len(to_bytes(pack(content))) < whole * 2 / 3
        assert len(to_bytes(pack(content, moments=False))) < whole * 0.4
        assert "optimizer" not in unpack(pack(content, moments=False))


class TestParts:
    def test_are_small_enough_and_give_the_run_back(self, run, tmp_path):
        written = write_parts(run, tmp_path / "parts", MIB)
        assert max(path.stat().st_size for path in written) <= MIB
        back = tmp_path / "back"
        assert read_parts(tmp_path / "parts", back) == 1
        assert (back / "log.jsonl").read_text() == (run / "log.jsonl").read_text()
        assert (back / "run.json").read_text() == (run / "run.json").read_text()
        best, kept = (RunFolder(r).load("best.ckpt") for r in (run, back))
        assert kept["scores"] == best["scores"]
        for name, value in best["average"].items():
            torch.testing.assert_close(kept["average"][name], value, rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize("damage", ["changed", "missing"])
    def test_that_are_damaged_are_refused_by_name(self, run, tmp_path, damage):
        write_parts(run, tmp_path, 15 * MIB)
        part = tmp_path / "run.packed.01"
        if damage == "missing":
            part.unlink()
        else:
            part.write_bytes(part.read_bytes()[:-1] + b"\0")
        with pytest.raises(RunError, match=r"run\.packed"):
            read_parts(tmp_path, tmp_path / "back")
        assert not (tmp_path / "back").exists()

    def test_may_not_name_files_elsewhere(self, run, tmp_path):
        write_parts(run, tmp_path, 15 * MIB)
        told = json.loads((tmp_path / PARTS).read_text())
        told["run.json"]["parts"] = ["../run.json"]
        (tmp_path / PARTS).write_text(json.dumps(told))
        with pytest.raises(RunError, match=r"expected parts of run\.json"):
            read_parts(tmp_path, tmp_path / "back")

    def test_do_not_replace_a_run_that_has_come_further_unasked(self, run, folder, tmp_path):
        write_parts(run, tmp_path / "parts", 15 * MIB)
        further = tmp_path / "further"
        read_parts(tmp_path / "parts", further)
        train(CONFIG_3, make_inputs(folder), further, HERE)
        with pytest.raises(RunError, match="at step 3, the parts are of step 1"):
            read_parts(tmp_path / "parts", further)
        assert read_parts(tmp_path / "parts", further, replace=True) == 1


class TestPairs:
    def test_keep_their_folders(self, folder, tmp_path):
        assert pack_pairs(tmp_path, folder, 10 * MIB) == 6
        with tarfile.open(tmp_path / "data.tar") as archive:
            names = archive.getnames()
        assert len(names) == 12
        assert "pairs/ir/0.png" in names

    def test_are_thinned_evenly_where_all_are_too_many(self, folder, tmp_path, caplog):
        sizes = [path.stat().st_size + 1024 for path in folder.rglob("*.png")]
        count = pack_pairs(tmp_path, folder, 0.6 * sum(sizes) + 10240)
        assert count == 3
        assert (tmp_path / "data.tar").stat().st_size <= 0.6 * sum(sizes) + 10240
        assert "3 of 6 pairs" in caplog.text

    def test_that_do_not_fit_at_all_are_an_error(self, folder, tmp_path):
        with pytest.raises(JobError, match="left for pairs"):
            pack_pairs(tmp_path, folder, 1000)


class TestJob:
    def packed(self, folder, run, job, *options):
        arguments = ["pack", "--data", str(folder), "--run", str(run), "--out", str(job)]
        return CliRunner().invoke(
            app, [*arguments, "--wheels", "none", *settings(CONFIG_3), *options]
        )

    @pytest.fixture(scope="class")
    def job(self, folder, run, tmp_path_factory):
        """A job that goes on with the run."""
        job = tmp_path_factory.mktemp("jobs") / "job"
        done = self.packed(folder, run, job)
        assert done.exit_code == 0, done.output
        assert "6 pairs, the run goes on" in done.output
        return job

    def test_goes_on_there_and_comes_back_in_parts(self, job, folder, tmp_path):
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "OUT": str(tmp_path / "out"),
            "OMP_NUM_THREADS": "1",
        }
        command = ["bash", str(job / "run.sh"), "--accelerator", "cpu"]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "going on at step 1, batch 2" in done.stdout
        back = tmp_path / "back"
        assert read_parts(tmp_path / "out", back) == 3
        assert [e["step"] for e in read_log(back) if "loss" in e] == [0]  # each 20th is recorded
        told = json.loads((back / "run.json").read_text())
        assert [s["from_step"] for s in told["sessions"]] == [0, 1]
        assert told["sessions"][1]["precision"] == "bf16-mixed"
        # and what came back can be gone on with here
        assert train(CONFIG_3, make_inputs(folder), back, HERE).step == 3

    def test_leaves_out_the_moments_where_room_is_short_and_fails_where_that_is_not_enough(
        self, folder, run, tmp_path
    ):
        done = self.packed(folder, run, tmp_path / "job", "--limit", "30")
        assert done.exit_code == 0, done.output
        packed = tmp_path / "job" / "run.packed"
        assert "optimizer" not in from_bytes(packed.read_bytes(), packed)
        done = self.packed(folder, run, tmp_path / "job", "--limit", "20")
        assert done.exit_code == 1
        assert "raise --limit" in done.output

    def test_starts_anew_from_the_settings_where_there_is_no_run(self, folder, tmp_path):
        done = self.packed(folder, tmp_path / "none", tmp_path / "job", "--minutes", "3")
        assert done.exit_code == 0, done.output
        assert "starts anew" in done.output
        told = json.loads((tmp_path / "job" / "job.json").read_text())
        assert (told["minutes"], told["precision"]) == (3, "bf16-mixed")
        assert told["config"] == json.loads(json.dumps(CONFIG_3.to_dict()))

    def test_holds_no_path_of_this_machine(self, job):
        assert str(job.parent) not in (job / "job.json").read_text()
        with tarfile.open(job / "code.tar.gz") as archive:
            names = archive.getnames()
        assert "training/presets/default.yaml" in names
        assert all(name.startswith(("amg_fuse_ros/", "training/")) for name in names)
        assert not [name for name in names if "__pycache__" in name]


def test_only_wheels_of_missing_packages_are_unpacked(tmp_path):
    for name in ("torch", "surely_missing"):
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            wheel.writestr(f"{name}-1.dist-info/METADATA", "")
    done = unpack_missing(tmp_path.glob("*.whl"), tmp_path / "site")
    assert done == ["surely_missing-1-py3-none-any.whl"]
    assert (tmp_path / "site" / "surely_missing" / "__init__.py").is_file()
    assert not (tmp_path / "site" / "torch").exists()
