"""Fusers whose engines fail, hang, or are shared."""

import numpy as np
import pytest
from small_pairs import smooth_pair

from amg_fuse_ros.engine import EngineError, EngineUnavailableError, create_engine
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.imaging.thermal import GainSettings
from amg_fuse_ros.network import load_weights

EAGER = {"engine": "eager", "device": "cpu"}


def test_a_missing_gpu_falls_back_to_the_cpu_where_that_is_allowed(random_weights):
    told = []
    fuser = Fuser.from_options(
        weights=random_weights,
        engine="eager",
        device="cuda:99",
        fallback="auto",
        on_fallback=lambda *what: told.append(what),
    )
    assert (fuser.engine.name, fuser.engine.device) == ("eager", "cpu")
    assert len(told) == 1
    assert "expected the device 'cuda:99'" in fuser.fallback_reason
    assert fuser.fuse(*smooth_pair()).image.shape == (32, 40, 3)
    with pytest.raises(EngineUnavailableError, match="'cuda:99'"):
        Fuser.from_options(weights=random_weights, engine="eager", device="cuda:99")


def test_without_a_failure_a_fallback_changes_nothing(random_weights):
    plain = Fuser.from_options(weights=random_weights, **EAGER)
    careful = Fuser.from_options(weights=random_weights, **EAGER, fallback="openvino,eager:cpu")
    pair = smooth_pair()
    np.testing.assert_array_equal(careful.fuse(*pair).image, plain.fuse(*pair).image)
    assert careful.fallback_reason == plain.fallback_reason == ""


def test_an_unknown_fallback_is_refused_with_the_known_ones(random_weights):
    with pytest.raises(ValueError, match=r"fallback: expected engines among .*'warp'"):
        Fuser.from_options(weights=random_weights, **EAGER, fallback="warp")


def test_a_fuser_that_hangs_is_replaced_by_one_of_the_same_settings(random_weights):
    told = []
    options = {"scale": 0.5, "mask_form": "paper", "gain": GainSettings(polarity="black_hot")}
    fuser = Fuser.from_options(
        weights=random_weights,
        **EAGER,
        **options,
        steady=True,
        on_fallback=lambda *what: told.append(what),
    )
    expected = fuser.fuse(*smooth_pair())
    fuser.reset()
    replacement = fuser.replacement("no answer for 30 s")
    assert replacement.engine is not fuser.engine
    frame = replacement.fuse(*smooth_pair())
    np.testing.assert_array_equal(frame.image, expected.image)
    np.testing.assert_array_equal(frame.mask, expected.mask)
    assert told == [("eager fp32 on cpu", "eager fp32 on cpu", "no answer for 30 s")]
    assert replacement.fallback_reason == "eager fp32 on cpu failed: no answer for 30 s"
    assert replacement.replacement("again").fuse(*smooth_pair()).scale == 0.5


def test_the_replacement_runs_the_next_engine_of_the_chain(random_weights):
    fuser = Fuser.from_options(
        weights=random_weights, engine="eager", device="cpu", precision="bf16", fallback="auto"
    )
    replacement = fuser.replacement("no answer for 30 s")
    assert [str(link) for link in replacement.engine.links] == ["eager fp32 on cpu"]
    assert replacement.engine.precision == "fp32"


def test_only_a_fuser_made_from_options_can_be_replaced(random_weights):
    fuser = Fuser(create_engine(load_weights(random_weights), "eager", "cpu"))
    with pytest.raises(EngineError, match="made from options"):
        fuser.replacement("no answer for 30 s")


def test_cameras_of_one_process_share_an_engine_if_they_want_to(random_weights):
    plain = Fuser.from_options(weights=random_weights, **EAGER)
    front, rear = (
        Fuser.from_options(weights=random_weights, **EAGER, shared=True, scale=scale)
        for scale in (1.0, 0.5)
    )
    assert front.engine.running.running is rear.engine.running.running
    assert plain.engine.running is not front.engine.running.running
    np.testing.assert_array_equal(
        front.fuse(*smooth_pair()).image, plain.fuse(*smooth_pair()).image
    )
    assert rear.fuse(*smooth_pair()).scale == 0.5
    rear.close()
    assert front.engine.running.users == 1
    front.warm_up()


def test_when_a_shared_engine_hangs_in_one_camera_the_other_gets_a_new_one_too(random_weights):
    front, rear = (Fuser.from_options(weights=random_weights, **EAGER, shared=True) for _ in "fr")
    expected = rear.fuse(*smooth_pair()).image
    hanging = front.engine.running.running
    replacement = front.replacement("no answer for 30 s")
    np.testing.assert_array_equal(rear.fuse(*smooth_pair()).image, expected)
    assert rear.engine.running.running is replacement.engine.running.running is not hanging
