"""Engines are chosen by name; what cannot run here says what it needs."""

import numpy as np
import pytest

from amg_fuse_ros.engine import ENGINES, EngineUnavailableError, create_engine
from amg_fuse_ros.network import AMGFuse


@pytest.fixture(scope="module")
def network():
    return AMGFuse.from_size("tiny").eval()


def test_auto_takes_the_first_engine_that_works_here(network):
    engine = create_engine(network)
    assert engine.name in ENGINES
    assert engine.precision == "fp32"
    assert engine.device == "cpu" or engine.device.startswith("cuda")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_says_its_name_device_and_precision(network, name):
    engine = create_engine(network, name, "cpu", "fp32")
    assert (engine.name, engine.device, engine.precision) == (name, "cpu", "fp32")


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_takes_an_image_and_gives_one_of_the_same_size(network, name):
    engine = create_engine(network, name, "cpu")
    visible = np.random.default_rng(0).random((10, 13, 3), np.float32)
    fused = engine.fuse(visible, visible[..., 0])
    assert (fused.shape, fused.dtype) == ((10, 13, 3), np.float32)
    assert fused.min() >= 0
    assert fused.max() <= 1


def test_an_unknown_engine_is_refused_with_the_known_ones(network):
    with pytest.raises(ValueError, match=r"engine among \['auto', 'eager'.*found 'warp'"):
        create_engine(network, "warp")


@pytest.mark.parametrize("name", ["auto", "eager"])
@pytest.mark.parametrize("device", ["gpu", "", "mps", "cuda:-1", "cuda:first", "cpu,cuda"])
def test_an_unknown_device_is_refused_with_the_known_ones(network, name, device):
    with pytest.raises(ValueError, match=f"expected device auto, cpu, cuda or .*found '{device}'"):
        create_engine(network, name, device)


@pytest.mark.parametrize("name", ["auto", "eager"])
def test_an_unknown_precision_is_refused_with_the_known_ones(network, name):
    with pytest.raises(ValueError, match=r"'fp32', 'bf16', 'fp16', 'fp64'.*found 'int8'"):
        create_engine(network, name, "cpu", "int8")


@pytest.mark.parametrize("name", ["auto", "eager"])
def test_half_precision_on_the_cpu_is_refused_with_what_to_choose(network, name):
    with pytest.raises(
        EngineUnavailableError, match="fp16 needs a CUDA device; choose fp32 or bf16"
    ):
        create_engine(network, name, "cpu", "fp16")


@pytest.mark.parametrize("name", ["auto", "eager"])
def test_a_cuda_device_that_is_not_there_is_refused_with_what_to_do(network, name):
    with pytest.raises(
        EngineUnavailableError, match=r"'cuda:99', found \d+ CUDA devices; choose device: cpu, or"
    ):
        create_engine(network, name, "cuda:99")
