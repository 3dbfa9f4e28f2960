"""The benchmark over several workers: processes of this machine, and a Ray cluster."""

import json
from pathlib import Path

import pytest
from benchmark_trees import image_set, methods_file
from typer.testing import CliRunner

from amg_fuse_ros.spread.ray_cluster import connected
from training.benchmark.__main__ import app
from training.metrics.folder import TRAVELLING

PROCESSES = ("--workers", "2", "--jobs", "2")
RAY = ("--workers", "2", "--jobs", "2", "--ray", "local")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command on data with one broken image, from its folder, by relative paths."""
    image_set(tmp_path / "data", ("a", "b", "c"), weather=True)
    (tmp_path / "data" / "clean_vi" / "b.png").write_bytes(b"no image")
    methods_file(tmp_path / "methods.yaml", {"baseline": "average"}, {"baseline": "maximum"})
    monkeypatch.chdir(tmp_path)

    def command(*options, out="out", cache="cache"):
        common = ["--data", "data", "--methods", "methods.yaml", "--no-measure", "--strips", "0"]
        return CliRunner().invoke(app, [*common, "--out", out, "--cache", cache, *options])

    return command


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="ray is not installed: pip install ray")
    with connected("local", TRAVELLING):
        yield


def scores(out):
    return Path(out, "scores.csv").read_text()


def check_like_one_process(run, options):
    spread = run(*options)
    assert spread.exit_code == 0, spread.output
    alone = run("--jobs", "1", out="alone", cache="own cache")
    assert alone.exit_code == 0, alone.output
    assert scores("out") == scores("alone")
    report = json.loads(Path("out", "report.json").read_text())
    assert {problem["name"] for problem in report["problems"]} == {"b"}
    assert scores("out").count("\n") == 1 + 2 * 2


def test_two_processes_score_like_one_and_leave_out_what_cannot_be_read(run):
    check_like_one_process(run, PROCESSES)


def test_two_actors_of_a_cluster_score_like_one_process_whatever_folder_they_are_in(cluster, run):
    check_like_one_process(run, RAY)


def test_what_is_scored_already_needs_no_cluster(run, tmp_path):
    assert run(*PROCESSES).exit_code == 0
    image_set(tmp_path / "data", ("a", "b", "c"), weather=True)  # the broken image is whole again
    assert run("--jobs", "1").exit_code == 0
    before = scores("out")
    again = run("--ray", "nowhere.invalid:1", out="again")
    assert again.exit_code == 0, again.output
    assert scores("again") == before
