"""Where an engine fails, the next of its chain fuses the same pair, and people are told why."""

import copy
import gc
import re
import weakref

import numpy as np
import pytest
import torch
from small_network import small_network

from amg_fuse_ros.engine import EngineError, EngineUnavailableError, create_engine
from amg_fuse_ros.engine.choice import Measurement, remember
from amg_fuse_ros.engine.fallback import LAST_RESORT, FallbackEngine, Link, fallback_links
from amg_fuse_ros.network import AMGFuse

VISIBLE = np.random.default_rng(0).random((24, 32, 3), np.float32)
THERMAL = VISIBLE[..., 0].copy()


class Scripted:
    """An engine that does what it was told for each pair, and says that it was let go."""

    def __init__(self, name, device, precision, script):
        self.name, self.device, self.precision = name, device, precision
        self.script, self.pairs = list(script), []

    def fuse(self, visible, thermal):
        self.pairs.append((visible, thermal))
        what = self.script.pop(0) if self.script else None
        if isinstance(what, BaseException):
            raise copy.copy(what)  # a raised one holds the frames that it came through
        return visible.copy() if what is None else what


class Workshop:
    """Makes scripted engines by name, and remembers what was asked of it."""

    def __init__(self, **scripts):
        self.scripts, self.asked, self.made = scripts, [], {}

    def __call__(self, network, name, *_):
        assert isinstance(network, AMGFuse)
        self.asked.append(name)
        script = self.scripts.get(name, ())
        if isinstance(script, BaseException):
            raise script
        engine = Scripted(name, "cpu", "fp32", script)
        self.made[name] = weakref.ref(engine)
        return engine


def chain(workshop, *names, told=None):
    links = [Link(name) for name in names]
    tell = None if told is None else (lambda *what: told.append(what))
    return FallbackEngine(small_network, links, tell, workshop)


def with_nan():
    image = VISIBLE.copy()
    image[5, 7, 1] = np.nan
    return image


FAILURES = {
    "out of memory on a GPU": (torch.OutOfMemoryError("CUDA out of memory."), "out of memory"),
    "out of memory": (MemoryError(), "out of memory"),
    "the library's allocator": (RuntimeError("can't allocate memory: 4 bytes"), "out of memory"),
    "the driver": (RuntimeError("CUDA error: unspecified\nlaunch failure"), "CUDA error"),
    "its own words": (EngineError("the plan is of another GPU"), "the plan is of another GPU"),
    "anything": (KeyError("x"), "KeyError: 'x'"),
    "NaN": (with_nan(), "no numbers"),
    "infinity": (np.full_like(VISIBLE, np.inf), "no numbers"),
    "another shape": (VISIBLE[:-1], r"expected .*\(24, 32, 3\), found \(23, 32, 3\)"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_the_next_engine_fuses_the_pair_that_the_first_one_failed_on(what):
    failure, words = FAILURES[what]
    told = []
    engine = chain(Workshop(one=[None, failure]), "one", "two", told=told)
    engine.fuse(VISIBLE, THERMAL)
    assert (engine.name, engine.reason, told) == ("one", "", [])
    np.testing.assert_array_equal(engine.fuse(VISIBLE, THERMAL), VISIBLE)
    assert engine.name == "two"
    assert [(left, to) for left, to, _ in told] == [("one fp32 on cpu", "two fp32 on cpu")]
    assert re.search(words, told[0][2])
    assert engine.reason == f"one fp32 on cpu failed: {told[0][2]}"
    engine.fuse(VISIBLE, THERMAL)
    assert len(told) == 1


def test_a_wrong_pair_is_no_fault_of_the_engine():
    workshop = Workshop(one=[ValueError("thermal image: expected pixels")])
    engine = chain(workshop, "one", "two")
    with pytest.raises(ValueError, match="expected pixels"):
        engine.fuse(VISIBLE, THERMAL)
    assert engine.name == "one"
    assert workshop.asked == ["one"]


def test_an_interrupt_is_passed_on():
    workshop = Workshop(one=[KeyboardInterrupt()])
    engine = chain(workshop, "one", "two")
    with pytest.raises(KeyboardInterrupt):
        engine.fuse(VISIBLE, THERMAL)
    assert engine.name == "one"


def test_engines_are_made_when_their_turn_comes():
    workshop = Workshop(one=[RuntimeError("gone")])
    engine = chain(workshop, "one", "two", "three")
    assert workshop.asked == ["one"]
    engine.fuse(VISIBLE, THERMAL)
    assert workshop.asked == ["one", "two"]
    assert [link.name for link in engine.links] == ["two", "three"]


def test_the_failed_engine_is_let_go_before_the_next_one_is_made():
    workshop = Workshop(one=[RuntimeError("gone")])
    held = []

    def make(network, name, device, precision):
        if name == "two":
            gc.collect()
            held.append(workshop.made["one"]())
        return workshop(network, name, device, precision)

    engine = chain(make, "one", "two")
    engine.fuse(VISIBLE, THERMAL)
    assert held == [None]


def test_engines_that_cannot_run_here_are_left_out_and_named():
    told = []
    workshop = Workshop(
        one=[RuntimeError("gone")], two=EngineUnavailableError("engine two needs a GPU")
    )
    engine = chain(workshop, "one", "two", "three", told=told)
    engine.fuse(VISIBLE, THERMAL)
    assert told == [
        (
            "one fp32 on cpu",
            "three fp32 on cpu",
            "RuntimeError: gone; two auto on auto: engine two needs a GPU",
        )
    ]


def test_when_the_last_one_fails_too_its_error_says_so_and_the_next_pair_is_tried_with_it():
    told = []
    workshop = Workshop(one=[RuntimeError("gone")], two=[RuntimeError("also gone")])
    engine = chain(workshop, "one", "two", told=told)
    with pytest.raises(EngineError, match=r"two fp32 on cpu failed, no other engine .*also gone"):
        engine.fuse(VISIBLE, THERMAL)
    assert len(told) == 1
    np.testing.assert_array_equal(engine.fuse(VISIBLE, THERMAL), VISIBLE)
    assert engine.name == "two"


def test_when_nothing_that_follows_can_be_made_the_engine_that_failed_is_made_anew():
    workshop = Workshop(one=[RuntimeError("gone")], two=EngineUnavailableError("no GPU"))
    engine = chain(workshop, "one", "two")
    with pytest.raises(EngineError, match=r"one fp32 on cpu failed.*gone; two .*no GPU"):
        engine.fuse(VISIBLE, THERMAL)
    workshop.scripts["one"] = ()
    np.testing.assert_array_equal(engine.fuse(VISIBLE, THERMAL), VISIBLE)
    assert (workshop.asked[0], workshop.asked[-1]) == ("one", "one")
    assert set(workshop.asked[1:-1]) == {"two"}


def test_an_engine_that_cannot_run_here_falls_back_at_once():
    told = []
    workshop = Workshop(one=EngineUnavailableError("engine one needs a GPU"))
    engine = chain(workshop, "one", "two", told=told)
    assert engine.name == "two"
    assert told == [("one auto on auto", "two fp32 on cpu", "engine one needs a GPU")]


def test_without_others_an_engine_that_cannot_run_here_is_refused_as_ever():
    with pytest.raises(EngineUnavailableError, match="engine one needs a GPU"):
        chain(Workshop(one=EngineUnavailableError("engine one needs a GPU")), "one")
    with pytest.raises(EngineUnavailableError, match=r"needs a GPU; two .* a licence"):
        chain(
            Workshop(
                one=EngineUnavailableError("needs a GPU"),
                two=EngineUnavailableError("needs a licence"),
            ),
            "one",
            "two",
        )


def test_a_thread_that_comes_back_after_it_was_given_up_changes_nothing():
    told = []
    workshop = Workshop(one=[RuntimeError("cancelled")])
    engine = chain(workshop, "one", "two", told=told)
    engine.give_up()
    with pytest.raises(EngineError, match="cancelled"):
        engine.fuse(VISIBLE, THERMAL)
    assert told == []
    assert workshop.asked == ["one"]


def test_eager_goes_on_for_a_real_engine_whose_weights_hold_nan():
    networks = [small_network(), small_network()]
    networks[1].output_f.weight.data.fill_(float("nan"))
    links = [Link("eager", "cpu", "auto"), Link("eager", "cpu", "fp32")]
    engine = FallbackEngine(networks.pop, links)
    fused = engine.fuse(VISIBLE, THERMAL)
    expected = create_engine(small_network(), "eager", "cpu").fuse(VISIBLE, THERMAL)
    np.testing.assert_array_equal(fused, expected)
    assert "eager fp32 on cpu failed: values that are no numbers" in engine.reason


def test_an_engine_without_the_precision_asked_for_goes_on_in_its_own():
    def make(network, name, device, precision):
        if name == "one":
            return Scripted(name, device, precision, [RuntimeError("gone")])
        return create_engine(network, name, device, precision)

    engine = FallbackEngine(small_network, [Link("one", "cpu", "fp16"), *_eager("fp16")], make=make)
    engine.fuse(VISIBLE, THERMAL)
    assert (engine.name, engine.precision) == ("eager", "fp32")


def _eager(precision):
    return [Link("eager", "cpu", precision)]


FIRST = Link("tensorrt", "cuda", "fp16")


def test_names_are_read_with_commas_between_and_devices():
    assert fallback_links("", FIRST, small_network) == [FIRST]
    assert fallback_links(" , ", FIRST, small_network) == [FIRST]
    assert fallback_links("compile, eager:cpu ", FIRST, small_network) == [
        FIRST,
        Link("compile", "cuda", "fp16"),
        Link("eager", "cpu", "fp16"),
    ]


@pytest.mark.parametrize("text", ["warp", "eager,auto", "auto,eager", ":cpu", "eager openvino"])
def test_unknown_names_are_refused_with_the_known_ones(text):
    with pytest.raises(ValueError, match=r"fallback: expected engines among \['eager'"):
        fallback_links(text, FIRST, small_network)


def test_auto_is_eager_where_it_was_asked_for_and_then_on_the_cpu():
    assert fallback_links("auto", FIRST, small_network) == [
        FIRST,
        Link("eager", "cuda", "fp16"),
        LAST_RESORT,
    ]
    assert fallback_links("auto", LAST_RESORT, small_network) == [LAST_RESORT]


def test_auto_begins_with_what_was_measured_here_the_fastest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("AMG_FUSE_CACHE", str(tmp_path))
    rows = [
        Measurement("openvino", "fp32", "32x24", 0.5, 51.0),
        Measurement("onnx", "fp32", "32x24", 0.4, 51.0),
        Measurement("openvino", "bf16", "32x24", 0.1, 20.0),  # its picture is wrong
        Measurement("eager", "fp32", "32x24", 1.0, 52.0),
    ]
    remember(small_network(), "cpu", rows)
    first = Link("compile", "cpu")
    assert fallback_links("auto", first, small_network) == [
        first,
        Link("onnx", "cpu", "fp32"),
        Link("openvino", "cpu", "fp32"),
        LAST_RESORT,
        Link("eager", "cpu", "auto"),
    ]
