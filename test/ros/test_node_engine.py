"""An engine that fails or hangs does not take the node with it."""

import threading
from queue import Queue

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from node_harness import PATIENCE_S, nodes_in_this_process, rgb_image, thermal_image

from amg_fuse_ros.engine.fallback import FallbackEngine
from amg_fuse_ros.fusion import Fuser
from amg_fuse_ros.network import load_weights
from amg_fuse_ros.ros.loading import load_fuser

pytestmark = pytest.mark.ros


@pytest.fixture
def run(random_weights):
    """Runs a node in this process, with the rig that belongs to it."""
    with nodes_in_this_process(random_weights) as run:
        yield run


class Failing:
    """An engine that gives up after its first pairs."""

    name, device, precision = "failing", "cpu", "fp32"

    def __init__(self, good: int) -> None:
        self.good = good

    def fuse(self, visible, thermal):  # noqa: ARG002
        self.good -= 1
        if self.good < 0:
            raise MemoryError("no memory left on the card")
        return visible.copy()


class Hanging:
    """An engine that does not come back until it is released."""

    name, device, precision = "hanging", "cpu", "fp32"

    def __init__(self, release: threading.Event) -> None:
        self.release = release
        self.begun = threading.Event()

    def fuse(self, visible, thermal):  # noqa: ARG002
        self.begun.set()
        assert self.release.wait(60)
        return np.zeros_like(visible)


def test_where_an_engine_fails_the_next_one_goes_on_and_a_warning_stays(run, random_weights):
    def load(settings, logger):
        fuser = load_fuser(settings, logger)
        assert isinstance(fuser.engine, FallbackEngine)
        fuser.engine._engine = Failing(2)
        return fuser

    rig = run("/falling", load, engine="eager", engine_fallback="eager:cpu")
    stamps = set()

    def many():
        stamps.update(m.header.stamp.nanosec for m in rig.fused)
        return len(stamps) > 4 and "fault: engine" in rig.diagnostics()

    assert rig.play(many, thermal_image, rgb_image), rig.diagnostics()
    assert "no memory left on the card" in rig.diagnostics()["fault: engine"]
    assert rig.diagnostics()["level"] == "1"
    assert rig.diagnostics()["failed"] == "0"


def test_where_no_engine_is_left_the_rgb_image_passes_through_as_an_error(run):
    rig = run("/lost", lambda *_: Fuser(Failing(0), steady=True))

    def told():
        return bool(rig.reports) and "no memory left" in rig.diagnostics()["message"]

    assert rig.play(told, thermal_image, rgb_image)
    assert rig.diagnostics()["level"] == "2"
    del rig.masks[:]
    assert rig.play(lambda: bool(rig.masks), thermal_image, rgb_image)
    assert np.frombuffer(rig.masks[-1].data, np.float32).min() == 1.0


def test_an_engine_that_hangs_is_given_up_and_another_takes_over(run, random_weights):
    release = threading.Event()

    def load(settings, logger):
        fuser = load_fuser(settings, logger)
        fuser.engine._engine = Hanging(release)
        return fuser

    load_weights(random_weights)  # what takes over loads within the test's patience
    rig = run("/hanging", load, hang_timeout_s=1.5)  # what takes over must be quicker
    try:
        assert rig.play(lambda: bool(rig.fused), thermal_image, rgb_image)
        assert rig.play(
            lambda: rig.diagnostics()["hung"] != "0" and rig.diagnostics()["fused"] != "0",
            thermal_image,
            rgb_image,
        )
        first = rig.fused[0]
        release.set()
        start = len(rig.fused)
        assert rig.play(lambda: len(rig.fused) > start + 3, thermal_image, rgb_image)
        newest = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in rig.fused]
        assert newest == sorted(newest)  # the late result was not published
        assert any(np.frombuffer(first.data, np.uint8))
    finally:
        release.set()


def test_a_node_that_is_cleaned_up_while_another_engine_is_made_stays_cleaned_up(run):
    release, asked, made = threading.Event(), threading.Event(), threading.Event()

    def load(settings, logger):
        fuser = load_fuser(settings, logger)
        fuser.engine._engine = Hanging(release)
        replacement = fuser.replacement

        def slow(reason):
            asked.set()
            assert release.wait(60)
            made.set()
            return replacement(reason)

        fuser.replacement = slow
        return fuser

    rig = run("/replaced", load, hang_timeout_s=0.5)
    try:
        assert rig.play(asked.is_set, thermal_image, rgb_image)
        assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
        assert rig.change_state(Transition.TRANSITION_CLEANUP)
    finally:
        release.set()
    assert rig.wait(made.is_set)
    fusion = [thread for thread in threading.enumerate() if thread.name == "fusion"]
    assert rig.wait(lambda: not any(thread.is_alive() for thread in fusion))
    assert rig.set_parameter("device", "cpu") == (True, "")  # refused while it is configured
    reports = len(rig.reports)
    assert rig.wait(lambda: len(rig.reports) > reports + 1)
    assert rig.diagnostics()["state"] == "unconfigured"


def test_a_node_that_is_cleaned_up_while_a_frame_is_made_closes_its_fuser_after_that(run):
    release, after_the_frame = threading.Event(), Queue()
    engine = Hanging(release)

    def load(*_):
        fuser = Fuser(engine, steady=True)
        fuser.close = lambda: after_the_frame.put(release.is_set())
        return fuser

    rig = run("/leaving", load, hang_timeout_s=0.0)
    try:
        assert rig.play(engine.begun.is_set, thermal_image, rgb_image)
        assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
        assert rig.change_state(Transition.TRANSITION_CLEANUP)
        assert rig.state() == "unconfigured"
        assert after_the_frame.empty()
    finally:
        release.set()
    assert after_the_frame.get(timeout=PATIENCE_S)
    assert rig.fused == []
