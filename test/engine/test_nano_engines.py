"""The size nano on every engine that runs here, and which one is its usual."""

import numpy as np
import pytest
import torch
from small_pairs import smooth_pair

from amg_fuse_ros.engine import choice, create_engine
from amg_fuse_ros.engine.auto import AutoEngine
from amg_fuse_ros.engine.choice import Choice, usual
from amg_fuse_ros.engine.fidelity import psnr_db
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network import Nano, load_weights
from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.weights import shipped_weights

HEIGHT, WIDTH = 40, 56


def nano():
    return load_weights(shipped_weights("nano"))


@pytest.fixture(scope="module")
def pair():
    thermal, rgb = smooth_pair(HEIGHT, WIDTH - 3)  # no multiple of anything
    return (rgb / 255).astype(np.float32), (thermal / 255).astype(np.float32)


@pytest.fixture(scope="module")
def exact(pair):
    return create_engine(nano(), "eager", "cpu", "fp64").fuse(*pair)


@pytest.mark.parametrize(
    ("name", "precision", "least_db"),
    [
        ("eager", "fp32", 90),
        ("eager", "bf16", 42),
        ("openvino", "fp32", 90),
        ("openvino", "bf16", 42),
        ("onnx", "fp32", 90),
    ],
)
def test_every_engine_gives_nanos_picture(name, precision, least_db, pair, exact):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(name, "torch"))
    fused = create_engine(nano(), name, "cpu", precision).fuse(*pair)
    assert fused.shape == exact.shape
    assert psnr_db(fused, exact) > least_db


def test_openvino_is_the_usual_engine_of_nano_on_a_cpu_and_of_nothing_else(monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: True)
    assert (usual("nano", "cpu").engine, usual("nano", "cpu").precision) == ("openvino", "bf16")
    assert usual("nano", "cpu", "fp32").precision == "fp32"
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    assert usual("nano", "cpu").precision == "fp32"
    assert usual("nano", "cpu", "fp64") is None
    assert usual("nano", "cuda:0") is None
    assert usual("tiny", "cpu") is None


def test_eager_goes_on_where_the_usual_engine_fails(pair, caplog):
    class Failing:
        name, device, precision = "openvino", "cpu", "fp32"

        def fuse(self, *_):
            raise RuntimeError("no room")

    eager = create_engine(nano(), "eager", "cpu")
    engine = AutoEngine(
        eager, nano(), {}, lambda *_: Failing(), Choice("openvino", "fp32", "usual")
    )
    assert engine.name == "openvino"
    np.testing.assert_array_equal(engine.fuse(*pair), eager.fuse(*pair))
    np.testing.assert_array_equal(engine.fuse(*pair), eager.fuse(*pair))
    assert engine.name == "eager"
    assert caplog.text.count("openvino failed, eager goes on: no room") == 1


def test_a_warm_up_at_a_resolution_leaves_nothing_to_build(monkeypatch):
    openvino = pytest.importorskip("openvino")
    fuser = Fuser.from_options(device="cpu")
    assert fuser.size == "nano"
    fuser.warm_up(Resolution(WIDTH, HEIGHT))
    assert fuser.engine.name == "openvino"

    def refuse():
        raise AssertionError("built again")

    monkeypatch.setattr(openvino, "Core", refuse)
    thermal, rgb = smooth_pair(HEIGHT, WIDTH)
    frame = fuser.fuse(thermal, rgb)
    assert fuser.engine.name == "openvino"
    assert frame.image.shape == rgb.shape
    assert 0 <= frame.mask.min() <= frame.mask.max() <= 1


def test_other_widths_load_as_the_file_has_them(tmp_path):
    from amg_fuse_ros.network import save_weights

    path = tmp_path / "narrow.safetensors"
    save_weights(Nano((8, 16, 24, 32)), path, {})
    loaded = load_weights(path, size="nano")
    pair = torch.rand(1, 3, 20, 24), torch.rand(1, 1, 20, 24)
    assert loaded.fuse(*pair).shape == (1, 3, 20, 24)
    with pytest.raises(ValueError, match="expected weights of size 'tiny', found size 'nano'"):
        load_weights(path, size="tiny")
    state = {k: v for k, v in Nano().state_dict().items() if k != "down2.weight"}
    from amg_fuse_ros.network.checkpoint import save_tensors

    save_tensors(state, path, {})
    with pytest.raises(ValueError, match=r"1 missing \(down2.weight\)"):
        load_weights(path)
