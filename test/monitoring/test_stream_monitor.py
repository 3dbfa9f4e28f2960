"""A stream is watched: missing, standing, jumping, changing."""

import numpy as np
import pytest
from hand_clock import Watch
from hypothesis import given
from hypothesis import strategies as st

from amg_fuse_ros.monitoring import Event, Limits, StreamMonitor, StreamState, content_digest

SECOND = 1_000_000_000


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def monitor(watch):
    return StreamMonitor("thermal", Limits(missing_s=1.0, frozen_s=2.0), watch)


def feed(monitor, watch, seconds, *, stamps_stand=False, content_stands=False, start=None):
    """Ten images a second."""
    events = []
    for number in range(round(10 * seconds)):
        watch.now += 0.1
        stamp = monitor.stamp_ns if stamps_stand else round(watch.now * SECOND)
        stamp = stamp if start is None else start + round(number * 0.1 * SECOND)
        digest = 7 if content_stands else round(watch.now * 1000)
        events += monitor.note(stamp, "32x24 mono8", digest)
    return events


def test_a_stream_is_waited_for_before_it_is_missed(monitor, watch):
    assert monitor.state is StreamState.WAITING
    watch.now += 0.9
    assert monitor.state is StreamState.WAITING
    watch.now += 0.2
    assert monitor.state is StreamState.MISSING
    assert not monitor.usable
    assert not monitor.ever_came


def test_a_stream_that_comes_back_is_good_at_once(monitor, watch):
    assert feed(monitor, watch, 1) == []
    assert monitor.state is StreamState.GOOD
    watch.now += 5
    assert monitor.state is StreamState.MISSING
    assert monitor.silent_s == pytest.approx(5)
    assert feed(monitor, watch, 0.1) == []
    assert monitor.state is StreamState.GOOD


def test_the_first_image_and_one_after_a_silence_make_no_steady_stream(monitor, watch):
    steady = []
    for pause in (0.1, 0.1, 0.1, 5.0, 0.1):
        watch.now += pause
        feed(monitor, watch, 0.1)
        steady.append(monitor.steady)
    assert steady == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ({"stamps_stand": True}, StreamState.STAMPS_STAND),
        ({"content_stands": True}, StreamState.CONTENT_STANDS),
    ],
)
def test_a_stream_that_stands_is_given_up_after_a_while_and_taken_again(
    monitor, watch, what, state
):
    feed(monitor, watch, 1)
    feed(monitor, watch, 1.9, **what)
    assert monitor.usable
    feed(monitor, watch, 0.5, **what)
    assert monitor.state is state
    assert not monitor.usable
    feed(monitor, watch, 0.1)
    assert monitor.state is StreamState.GOOD


def test_a_closed_shutter_is_no_fault(monitor, watch):
    feed(monitor, watch, 1)
    feed(monitor, watch, 0.7, content_stands=True)
    assert monitor.state is StreamState.GOOD


def test_standing_can_be_allowed(watch):
    monitor = StreamMonitor("thermal", Limits(frozen_s=0), watch)
    feed(monitor, watch, 60, content_stands=True, stamps_stand=True)
    assert monitor.state is StreamState.GOOD


def test_a_still_picture_after_a_silence_has_to_stand_anew(monitor, watch):
    feed(monitor, watch, 1, content_stands=True)
    watch.now += 5
    feed(monitor, watch, 1, content_stands=True)
    assert monitor.state is StreamState.GOOD


def test_stamps_that_go_back_a_little_are_out_of_order_and_much_a_jump(monitor, watch):
    feed(monitor, watch, 1)
    stamp = monitor.stamp_ns
    assert monitor.note(stamp - SECOND // 10, "32x24 mono8", 1) == (Event.OUT_OF_ORDER,)
    assert monitor.note(stamp - 10 * SECOND, "32x24 mono8", 2) == (Event.JUMP_BACK,)


def test_stamps_that_run_ahead_of_the_arrivals_jumped(monitor, watch):
    feed(monitor, watch, 1)
    watch.now += 0.1
    assert monitor.note(monitor.stamp_ns + 3600 * SECOND, "32x24 mono8", 1) == (Event.JUMP_AHEAD,)


@given(speed=st.floats(0.01, 10), period=st.floats(0.005, 2.0))
def test_a_bag_played_at_any_usual_speed_does_not_jump(speed, period):
    watch = Watch()
    monitor = StreamMonitor("rgb", clock=watch)
    for number in range(20):
        watch.now += period / speed
        assert monitor.note(round(number * period * SECOND), "32x24 rgb8", number) == ()


def test_another_size_or_encoding_is_an_event(monitor):
    monitor.note(1, "32x24 mono8", 1)
    assert monitor.note(2, "64x48 mono16", 2) == (Event.NEW_FORMAT,)
    assert (monitor.former_format, monitor.format) == ("32x24 mono8", "64x48 mono16")


def test_unreadable_images_are_said_until_none_has_come_for_a_while(monitor, watch):
    feed(monitor, watch, 1)
    monitor.could_not_be_read("the data are cut off")
    feed(monitor, watch, 0.8)
    assert monitor.state is StreamState.UNREADABLE
    assert monitor.problem == "the data are cut off"
    assert monitor.usable  # the next one may be whole
    feed(monitor, watch, 0.4)
    assert monitor.state is StreamState.GOOD
    assert monitor.problem == ""


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_the_digest_tells_exposures_of_a_noisy_camera_apart(height, width, seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (97 * height, width), np.uint8)
    other = first + rng.integers(1, 4, first.shape, np.uint8)
    assert content_digest(first.tobytes()) == content_digest(bytearray(first.tobytes()))
    assert content_digest(first.tobytes()) != content_digest(other.tobytes())


def test_the_digest_takes_empty_and_truncated_data():
    assert content_digest(b"") != content_digest(b"\0")
    assert content_digest(b"\0" * 98) != content_digest(b"\0" * 97)
