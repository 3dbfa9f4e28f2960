"""Engines are chosen by name; what cannot run here says what it needs."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch

from amg_fuse_ros.engine import ENGINES, EngineUnavailableError, create_engine
from amg_fuse_ros.network import AMGFuse, Nano

NEEDS = {
    "openvino": ("openvino", "onnx", "onnxscript"),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "tensorrt": ("torch_tensorrt", "tensorrt"),
}
QUICK = ("eager", "openvino", "onnx")


def skip_if_missing(name):
    missing = [m for m in NEEDS.get(name, ()) if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"engine {name}: {', '.join(missing)} not installed")
    if name == "compile" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("engine compile: no C++ compiler")


@pytest.fixture(scope="module")
def network():
    return AMGFuse.from_size("tiny").eval()


def test_auto_takes_eager_where_nothing_was_measured(network):
    engine = create_engine(network)
    assert engine.name == "eager"
    assert engine.precision == "fp32"
    assert engine.device == "cpu" or engine.device.startswith("cuda")


@pytest.mark.parametrize("name", ["eager", "openvino", "onnx", "compile"])
def test_an_engine_says_its_name_device_and_precision(network, name):
    skip_if_missing(name)
    engine = create_engine(network, name, "cpu", "fp32")
    assert (engine.name, engine.device, engine.precision) == (name, "cpu", "fp32")


@pytest.mark.parametrize("name", QUICK)
def test_every_engine_takes_an_image_and_gives_one_of_the_same_size(name):
    skip_if_missing(name)
    engine = create_engine(Nano().eval(), name, "cpu")
    visible = np.random.default_rng(0).random((20, 29, 3), np.float32)
    fused = engine.fuse(visible, visible[..., 0])
    assert (fused.shape, fused.dtype) == ((20, 29, 3), np.float32)
    assert fused.min() >= 0
    assert fused.max() <= 1


@pytest.mark.parametrize("name", [n for n, modules in NEEDS.items() if modules])
def test_an_engine_whose_packages_are_missing_says_what_to_install(network, name, monkeypatch):
    from amg_fuse_ros.engine import static

    monkeypatch.setattr(static.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(EngineUnavailableError, match=rf"engine {name} needs .*pip install"):
        create_engine(network, name)


def test_tensorrt_without_a_gpu_says_that_it_needs_one(network):
    with pytest.raises(EngineUnavailableError, match="needs an NVIDIA GPU"):
        create_engine(network, "tensorrt", "cpu")


def test_an_unknown_engine_is_refused_with_the_known_ones(network):
    with pytest.raises(ValueError, match=r"engine among \['auto', 'eager'.*found 'warp'"):
        create_engine(network, "warp")


@pytest.mark.parametrize("name", ["auto", *ENGINES])
@pytest.mark.parametrize("device", ["gpu", "", "mps", "cuda:-1", "cuda:first", "cpu,cuda"])
def test_an_unknown_device_is_refused_with_the_known_ones(network, name, device):
    with pytest.raises(ValueError, match=f"expected device auto, cpu, cuda or .*found '{device}'"):
        create_engine(network, name, device)


@pytest.mark.parametrize("name", ["auto", *ENGINES])
def test_an_unknown_precision_is_refused_with_the_known_ones(network, name):
    skip_if_missing(name)
    with pytest.raises(ValueError, match=r"'fp32', 'bf16', 'fp16', 'fp64'.*found 'int8'"):
        create_engine(network, name, "cpu", "int8")


@pytest.mark.parametrize("name", ["auto", "eager"])
def test_half_precision_on_the_cpu_is_refused_with_what_to_choose(network, name):
    with pytest.raises(
        EngineUnavailableError, match="fp16 needs a CUDA device; choose fp32 or bf16"
    ):
        create_engine(network, name, "cpu", "fp16")


@pytest.mark.parametrize("name", ["openvino", "onnx", "compile"])
def test_a_precision_that_an_engine_lacks_is_refused_with_those_it_has(network, name):
    skip_if_missing(name)
    with pytest.raises(EngineUnavailableError, match=f"engine {name} runs in fp32.*not in fp16"):
        create_engine(network, name, "cpu", "fp16")


@pytest.mark.parametrize("name", ["auto", "eager"])
def test_a_cuda_device_that_is_not_there_is_refused_with_what_to_do(network, name):
    with pytest.raises(
        EngineUnavailableError, match=r"'cuda:99', found \d+ CUDA devices; choose device: cpu, or"
    ):
        create_engine(network, name, "cuda:99")
