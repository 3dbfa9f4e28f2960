"""``auto`` takes what was measured to be the fastest here, if its picture is right."""

import json

import numpy as np
import pytest
from small_network import small_network

from amg_fuse_ros.engine import create_engine
from amg_fuse_ros.engine.auto import AutoEngine
from amg_fuse_ros.engine.choice import (
    Choice,
    Measurement,
    anything_remembered,
    choices,
    choose,
    remember,
    remembered,
)
from amg_fuse_ros.engine.fidelity import shortfall

EAGER = Measurement("eager", "fp32", "32x24", 1.0, 52.0)
FASTER = Measurement("openvino", "fp32", "32x24", 0.5, 51.0)
BF16 = Measurement("openvino", "bf16", "32x24", 0.3, 47.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMG_FUSE_CACHE", str(tmp_path / "cache"))


def pair(height=24, width=32):
    visible = np.random.default_rng(0).random((height, width, 3), np.float32)
    return visible, visible[..., 0].copy()


def test_the_fastest_is_taken_and_the_reason_names_the_others():
    choice = choose([EAGER, FASTER, BF16])
    assert (choice.engine, choice.precision) == ("openvino", "bf16")
    assert "openvino bf16 300 ms, 47.0 dB" in choice.why
    assert "eager fp32 1000 ms" in choice.why


def test_a_precision_that_was_asked_for_is_kept():
    assert choose([EAGER, FASTER, BF16], "fp32").engine == "openvino"
    assert choose([EAGER, FASTER, BF16], "fp32").precision == "fp32"
    assert choose([EAGER, FASTER], "bf16") is None


@pytest.mark.parametrize(("precision", "psnr"), [("fp32", 49.9), ("bf16", 41.9), ("fp16", 0.0)])
def test_an_engine_below_its_floor_is_never_taken(precision, psnr):
    wrong = Measurement("openvino", precision, "32x24", 0.001, psnr)
    choice = choose([EAGER, wrong])
    assert choice.engine == "eager"
    assert "(too little)" in choice.why


def test_another_engine_is_not_taken_for_a_gain_that_noise_could_make():
    assert choose([EAGER, Measurement("openvino", "fp32", "32x24", 0.95, 52.0)]).engine == "eager"


def test_without_eager_there_is_no_choice():
    assert choose([FASTER]) is None
    assert choose([]) is None


def test_floors():
    assert shortfall("fp32", 45.0) is None
    assert "fp32 needs 45 dB" in shortfall("fp32", 44.9)
    assert "eager fp32 has 55.0 dB" in shortfall("fp32", 50.0, 55.0)
    assert shortfall("bf16", 42.0, 55.0) is None
    assert "bf16 needs 42 dB" in shortfall("bf16", 41.0)


def test_measurements_are_remembered_for_these_weights_and_this_device():
    network, other = small_network(), small_network(seed=1)
    assert not anything_remembered()
    remember(network, "cpu", [EAGER, FASTER])
    remember(network, "cpu", [BF16, Measurement("eager", "fp32", "32x24", 2.0, 52.0)])
    assert anything_remembered()
    assert {(m.engine, m.precision): m.seconds for m in remembered(network, "cpu")} == {
        ("eager", "fp32"): 2.0,
        ("openvino", "fp32"): 0.5,
        ("openvino", "bf16"): 0.3,
    }
    assert remembered(other, "cpu") == []
    assert choices(network, "cpu")[24, 32].precision == "bf16"


def test_another_version_of_an_engine_makes_measurements_void(monkeypatch):
    remember(small_network(), "cpu", [EAGER, FASTER])
    monkeypatch.setattr("amg_fuse_ros.engine.machine.installed", lambda _: "another version")
    assert remembered(small_network(), "cpu") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"measured": [{"engine": "eager"}]}', "null"])
def test_a_damaged_file_counts_as_nothing(content):
    file = remember(small_network(), "cpu", [EAGER])
    file.write_text(content)
    assert remembered(small_network(), "cpu") == []
    assert create_engine(small_network(), device="cpu").name == "eager"


def test_what_is_remembered_is_readable_json():
    content = json.loads(remember(small_network(), "cpu", [EAGER]).read_text())
    assert content["measured"][0]["engine"] == "eager"
    assert content["machine"]["processor"]


def test_auto_runs_the_choice_in_its_resolution_and_eager_in_others():
    bf16 = Measurement("eager", "bf16", "32x24", 0.3, 47.0)
    remember(small_network(), "cpu", [EAGER, bf16])
    engine = create_engine(small_network(), "auto", "cpu")
    fused = engine.fuse(*pair(23, 30))  # padded to 32x24
    assert (engine.name, engine.precision) == ("eager", "bf16")
    expected = create_engine(small_network(), "eager", "cpu", "bf16").fuse(*pair(23, 30))
    np.testing.assert_array_equal(fused, expected)
    engine.fuse(*pair(40, 32))
    assert engine.precision == "fp32"
    assert create_engine(small_network(), "auto", "cpu", "fp32").precision == "fp32"
    engine = create_engine(small_network(), "auto", "cpu", "fp32")
    engine.fuse(*pair())
    assert engine.precision == "fp32"


def test_eager_goes_on_when_the_chosen_engine_fails(caplog):
    def make(*_):
        raise RuntimeError("its library has gone")

    eager = create_engine(small_network(), "eager", "cpu")
    chosen = {(24, 32): Choice("openvino", "fp32", "measured")}
    engine = AutoEngine(eager, small_network(), chosen, make)
    np.testing.assert_array_equal(engine.fuse(*pair()), eager.fuse(*pair()))
    assert engine.name == "eager"
    assert "openvino failed, eager goes on: its library has gone" in caplog.text
    engine.fuse(*pair())
    assert caplog.text.count("failed") == 1
