"""``amg-fuse bench`` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from amg_fuse_ros.cli import app
from amg_fuse_ros.weights import find_weights

QUICK = [
    *("bench", "--size", "nano", "--resolution", "32x24", "--engine", "eager"),
    *("--frames", "1", "--threads", "1"),
]


def run(*arguments):
    return CliRunner().invoke(app, [*QUICK, *map(str, arguments)])


def test_json_has_the_promised_keys_and_can_be_compared_with(tmp_path):
    done = run("--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    keys = {"engine", "precision", "resolution", "seconds_median", "ratio_to_plain", "psnr_db"}
    assert all(keys <= row.keys() for row in result["results"])

    for row in result["results"]:
        row["ratio_to_plain"] /= 100
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(result))
    done = run("--no-fidelity", "--compare", baseline)
    assert done.exit_code == 0, done.output

    for row in result["results"]:
        row["ratio_to_plain"] *= 10_000
    baseline.write_text(json.dumps(result))
    done = run("--no-fidelity", "--compare", baseline)
    assert done.exit_code == 1
    assert "slower: eager fp32 32x24" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "warp"], "expected engines among"),
        (["--resolution", "640"], "expected a resolution"),
        (["--against", "everything"], "expected plain or none"),
    ],
)
def test_bad_options_are_refused(arguments, words):
    done = run(*arguments)
    assert isinstance(done.exception, ValueError)
    assert words in str(done.exception)


@pytest.mark.ros
def test_the_node_without_the_network_is_timed_by_stage(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    result = timed_node("--pipeline")
    assert 0 < result["overhead_ms_p50"] <= result["overhead_ms_p95"]
    assert result["stages"].keys() == {
        "wait", "convert", "prepare", "engine", "finish", "publish"
    }  # fmt: skip
    assert result["fused"] >= 60
    assert result["fused"] + result["dropped"] <= result["pairs"]


@pytest.mark.ros
def test_the_node_with_its_network_is_timed_from_the_stamp_to_the_publication(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    weights = str(find_weights(size="nano"))
    result = timed_node("--node", "--size", "nano", "--weights", weights)
    assert result["weights"] == weights
    assert 0 < result["latency_ms_p50"] <= result["latency_ms_p95"]
    assert result["network"].startswith("nano ")
    assert "overhead_ms_p50" not in result  # of the node alone, which this is not
    assert result["fused"] >= 60


@pytest.mark.ros
def test_a_node_that_cannot_be_configured_is_not_timed_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    missing = tmp_path / "none.safetensors"
    command = ["bench", "--node", "--size", "nano", "--weights", str(missing)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    told = f"{done.output}{done.exception}"
    assert "the node could not be timed: it cannot be configured" in told
    assert missing.name in told


def timed_node(*options):
    command = ["bench", *options, "--resolution", "64x48", "--seconds", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
