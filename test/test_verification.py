"""Engines are compared with float64 on pairs, and what was found decides what ``auto`` takes."""

import importlib.util
import json

import numpy as np
import pytest
from small_pairs import smooth_pair
from typer.testing import CliRunner

from amg_fuse_ros import verification
from amg_fuse_ros.cli import app
from amg_fuse_ros.engine import create_engine
from amg_fuse_ros.network import load_weights
from amg_fuse_ros.verification import Verdict, available, measurements, verify
from amg_fuse_ros.weights import shipped_weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMG_FUSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def only_eager(monkeypatch):
    monkeypatch.setattr(verification, "ENGINES", {"eager": ""})


def load():
    return load_weights(shipped_weights("tiny"))


def test_eager_passes_in_all_its_precisions_with_the_shipped_weights():
    kinds = [("eager", "bf16"), ("eager", "fp32")]
    verdicts = verify(load, [smooth_pair(48, 64)], kinds, device="cpu")
    assert [(v.engine, v.precision) for v in verdicts] == [("eager", "fp32"), ("eager", "bf16")]
    for verdict in verdicts:
        assert verdict.problem is None, verdict
        assert verdict.psnr_db >= {"fp32": 45, "bf16": 42}[verdict.precision]
        assert 0 < verdict.mask_difference < 0.2
        assert verdict.seconds > 0


class WrongEngine:
    """The eager engine's picture, turned."""

    name, device, precision = "wrong", "cpu", "fp32"

    def __init__(self):
        self.eager = create_engine(load(), "eager", "cpu")

    def fuse(self, visible, thermal):
        return np.ascontiguousarray(self.eager.fuse(visible, thermal)[::-1])


def test_an_engine_with_another_picture_fails_and_is_never_taken(monkeypatch):
    def make(network, name, *details):
        return WrongEngine() if name == "wrong" else create_engine(network, name, *details)

    monkeypatch.setattr(verification, "create_engine", make)
    kinds = [("wrong", "fp32"), ("missing", "fp32")]
    usual, wrong, missing = verify(load, [smooth_pair(48, 64)], kinds, device="cpu")
    assert usual.problem is None
    assert "fp32 needs 45 dB" in wrong.problem
    assert wrong.mask_difference > 0.1
    assert "FAIL" in str(wrong)
    assert "expected an engine among" in missing.problem
    assert [m.engine for m in measurements([usual, wrong, missing], 60, 41)] == ["eager", "wrong"]


def test_measurements_are_those_of_the_padded_resolution():
    verdict = Verdict("eager", "fp32", 50.0, 0.1, 2.0)
    (found,) = measurements([verdict], 60, 41)
    assert (found.resolution, found.seconds, found.psnr_db) == ("64x48", 2.0, 50.0)


def test_what_can_run_here_begins_with_eager():
    found = available(load(), "cpu")
    assert found[:2] == [("eager", "fp32"), ("eager", "bf16")]
    installed = all(importlib.util.find_spec(m) for m in ("openvino", "onnx", "onnxscript"))
    assert (("openvino", "fp32") in found) == installed
    assert "compile" not in {engine for engine, _ in found}  # minutes, and slower than eager


def test_info_verify_tells_every_engine_and_remembers(only_eager, tmp_path):
    done = CliRunner().invoke(app, ["info", "--verify", "--resolution", "64x48", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "eager fp32: pass; " in done.stdout
    assert "eager bf16: pass; " in done.stdout
    (kept,) = (tmp_path / "cache" / "measured").iterdir()
    assert {m["resolution"] for m in json.loads(kept.read_text())["measured"]} == {"64x48"}
    done = CliRunner().invoke(app, ["info", "--device", "cpu"])
    assert "auto at 64x48: eager" in done.stdout


def test_build_engine_measures_and_says_what_auto_takes(only_eager):
    arguments = ["build-engine", "--size", "tiny", "--engine", "eager", "--resolution", "64x48"]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu", "--rounds", "1"])
    assert done.exit_code == 0, done.output
    assert "auto takes eager fp32: measured eager fp32" in done.stdout


def test_build_engine_measures_what_runs_without_measurements_too(only_eager):
    pytest.importorskip("openvino")
    said = CliRunner().invoke(app, ["info", "--device", "cpu"]).stdout
    usual = said.split("auto: ")[1].split(",")[0]
    assert usual.startswith("openvino ")
    arguments = ["build-engine", "--size", "nano", "--engine", "eager", "--resolution", "64x48"]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu", "--rounds", "1"])
    assert done.exit_code == 0, done.output
    assert f"{usual} " in done.stdout


def test_own_pairs_need_both_folders(tmp_path):
    done = CliRunner().invoke(app, ["info", "--verify", "--thermal", str(tmp_path)])
    assert "both --thermal and --rgb" in str(done.exception)


def test_export_refuses_sides_that_are_no_multiples_of_8(tmp_path):
    pytest.importorskip("onnx", reason="export: onnx not installed")
    pytest.importorskip("onnxscript", reason="export: onnxscript not installed")
    done = CliRunner().invoke(
        app, ["export", "--onnx", str(tmp_path / "x.onnx"), "--resolution", "60x48"]
    )
    assert "multiples of 8, found 60x48" in str(done.exception)
