"""Equal engines are there once, serve cameras in turn, and go with the last who uses them."""

import gc
import threading
import weakref
from queue import Queue

import numpy as np
import pytest
from small_network import small_network

from amg_fuse_ros.engine import EngineError, create_engine
from amg_fuse_ros.engine.shared import EnginePool, SharedEngine, Turns, _Owned

PATIENCE_S = 60.0
VISIBLE = np.random.default_rng(0).random((24, 32, 3), np.float32)
THERMAL = VISIBLE[..., 0].copy()
EAGER = ("eager", "cpu", "fp32")


class Slow:
    """An engine that waits in every pair until it is told to go on."""

    name, device, precision = "slow", "cpu", "fp32"

    def __init__(self):
        self.begun, self.go_on = Queue(), Queue()

    def fuse(self, visible, *_):
        self.begun.put(threading.current_thread())
        self.go_on.get(timeout=PATIENCE_S)
        return visible.copy()


def start(target):
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def wait_until_waiting(turns, number):
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.001)):
        if turns.waiting == number:
            return
        pause.wait(0.001)
    pytest.fail(f"{turns.waiting} wait, expected {number}")


def test_cameras_with_equal_wishes_hold_one_engine():
    pool = EnginePool()
    front, rear = (pool.take(small_network(), *EAGER) for _ in range(2))
    assert front.running is rear.running
    assert front is not rear
    assert (rear.name, rear.device, rear.precision) == ("eager", "cpu", "fp32")
    assert front.users == 2
    expected = create_engine(small_network(), *EAGER).fuse(VISIBLE, THERMAL)
    for camera in (front, rear):
        np.testing.assert_array_equal(camera.fuse(VISIBLE, THERMAL), expected)


@pytest.mark.parametrize(
    ("seed", "wish"), [(1, EAGER), (0, ("eager", "cpu", "bf16")), (0, ("auto", "cpu", "fp32"))]
)
def test_other_weights_or_wishes_are_another_engine(seed, wish):
    pool = EnginePool()
    one, other = pool.take(small_network(), *EAGER), pool.take(small_network(seed), *wish)
    assert one.running is not other.running


def test_the_content_of_the_weights_counts_not_where_they_came_from():
    pool, copy = EnginePool(), small_network(seed=1)
    copy.load_state_dict(small_network().state_dict())
    assert pool.take(small_network(), *EAGER).running is pool.take(copy, *EAGER).running


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_the_last_user_frees_the_engine(how):
    pool = EnginePool()
    holds = [pool.take(small_network(), *EAGER) for _ in range(2)]
    engine = weakref.ref(holds[0].running)
    for left in (1, 0):
        hold = holds.pop()
        if how == "closed":
            hold.close()
        del hold
        gc.collect()
        assert (engine() is not None) == bool(left)
    assert pool.take(small_network(), *EAGER).users == 1


def test_who_closed_a_hold_is_told_so():
    hold = EnginePool().take(small_network(), *EAGER)
    hold.close()
    hold.close()
    with pytest.raises(EngineError, match="closed"):
        hold.fuse(VISIBLE, THERMAL)


def test_cameras_that_come_at_once_make_one_engine():
    pool, together, found = EnginePool(), threading.Barrier(4), Queue()
    networks = [small_network() for _ in range(4)]

    def camera(network):
        together.wait(PATIENCE_S)
        found.put(pool.take(network, *EAGER))

    for network in networks:
        start(lambda network=network: camera(network))
    holds = [found.get(timeout=PATIENCE_S) for _ in networks]
    assert len({id(hold.running) for hold in holds}) == 1


def test_pairs_are_fused_one_at_a_time_in_the_order_in_which_they_came():
    engine = Slow()
    owned = _Owned(engine)
    done = Queue()

    def camera(name):
        hold = SharedEngine(owned)
        return start(lambda: (hold.fuse(VISIBLE, THERMAL), done.put(name)))

    camera("first")
    engine.begun.get(timeout=PATIENCE_S)
    for number, name in enumerate(("second", "third", "fourth"), start=1):
        camera(name)
        wait_until_waiting(owned.turns, number)
    for name in ("first", "second", "third", "fourth"):
        assert engine.begun.empty()
        engine.go_on.put(None)
        assert done.get(timeout=PATIENCE_S) == name
        if name != "fourth":
            engine.begun.get(timeout=PATIENCE_S)


def test_a_camera_that_comes_again_at_once_goes_behind_those_who_wait():
    turns, order = Turns(), Queue()
    assert turns.take()
    thread = start(lambda: (turns.take(), order.put("other"), turns.give()))
    wait_until_waiting(turns, 1)
    turns.give()
    turns.take()
    order.put("again")
    thread.join(PATIENCE_S)
    assert [order.get(), order.get()] == ["other", "again"]


def test_an_engine_that_failed_serves_the_next_camera():
    class Failing(Slow):
        def fuse(self, *_):
            raise RuntimeError("gone")

    owned = _Owned(Failing())
    for hold in (SharedEngine(owned), SharedEngine(owned)):
        with pytest.raises(RuntimeError, match="gone"):
            hold.fuse(VISIBLE, THERMAL)


def test_who_waits_for_an_engine_that_hangs_is_sent_away_when_it_is_given_up():
    engine = Slow()
    owned = _Owned(engine)
    front, rear = SharedEngine(owned), SharedEngine(owned)
    hanging = start(lambda: front.fuse(VISIBLE, THERMAL))
    engine.begun.get(timeout=PATIENCE_S)
    errors = Queue()

    def wait():
        try:
            rear.fuse(VISIBLE, THERMAL)
        except EngineError as error:
            errors.put(str(error))

    start(wait)
    wait_until_waiting(owned.turns, 1)
    front.abandon()
    assert "hangs in another one's thread" in errors.get(timeout=PATIENCE_S)
    assert front.is_abandoned
    assert rear.is_abandoned
    with pytest.raises(EngineError, match="hangs"):
        rear.fuse(VISIBLE, THERMAL)
    engine.go_on.put(None)
    hanging.join(PATIENCE_S)
    assert not hanging.is_alive()


def test_an_engine_that_was_given_up_is_not_given_out_again():
    pool = EnginePool()
    hanging = pool.take(small_network(), *EAGER)
    hanging.abandon()
    fresh = pool.take(small_network(), *EAGER)
    assert fresh.running is not hanging.running
    assert not fresh.is_abandoned
    assert pool.take(small_network(), *EAGER).running is fresh.running


def test_two_cameras_fuse_at_once_and_each_gets_its_own_picture():
    pool = EnginePool()
    pairs = [np.random.default_rng(seed).random((24, 32, 3), np.float32) for seed in range(2)]
    plain = create_engine(small_network(), *EAGER)
    expected = [plain.fuse(pair, pair[..., 0].copy()) for pair in pairs]
    found = [[], []]

    def camera(number):
        hold = pool.take(networks[number], *EAGER)
        for _ in range(5):
            found[number].append(hold.fuse(pairs[number], pairs[number][..., 0].copy()))

    networks = [small_network() for _ in pairs]
    threads = [start(lambda number=number: camera(number)) for number in range(2)]
    for thread in threads:
        thread.join(PATIENCE_S)
    for images, picture in zip(found, expected, strict=True):
        assert len(images) == 5
        for image in images:
            np.testing.assert_array_equal(image, picture)
