"""One thread, the newest job, and another thread where one hangs."""

import threading
from queue import Queue

import pytest

from amg_fuse_ros.ros.worker import MOST_ABANDONED, LatestWorker

PATIENCE_S = 60.0
"""So long a test waits for what must come; it fails then."""

AT_ONCE_S = 1e-3
"""A limit that a job which hangs has passed by the time anybody looks."""


class Bench:
    """A worker whose jobs are functions, and what others see of it."""

    def __init__(self, **options):
        self.delivered, self.errors, self.hangs, self.begun = Queue(), Queue(), Queue(), Queue()
        self.released = []
        self.worker = LatestWorker(self.work, self.errors.put, on_hang=self.note_hang, **options)

    def work(self, job):
        self.begun.put(threading.current_thread())
        result = job() if callable(job) else job
        return lambda: self.delivered.put(result)

    def note_hang(self, seconds):
        self.worker.hang_timeout_s = 0  # the next job shall have its time, however slow this is
        self.hangs.put(seconds)

    def hang(self, result="late"):
        """Let the worker begin a job that hangs until the event that this returns is set."""
        release = threading.Event()
        self.released.append(release)

        def job():
            release.wait(PATIENCE_S)
            return result

        self.worker.put(job)
        self.begun.get(timeout=PATIENCE_S)
        return release

    def give_up(self):
        """Let the guard give up the job that hangs, and no other."""
        self.worker.hang_timeout_s = AT_ONCE_S
        return self.hangs.get(timeout=PATIENCE_S)

    def do(self, job):
        self.worker.put(job)
        return self.delivered.get(timeout=PATIENCE_S)

    def close(self):
        for release in self.released:
            release.set()
        return self.worker.stop(PATIENCE_S)


@pytest.fixture
def bench():
    made = []

    def make(**options):
        made.append(Bench(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_jobs_are_done_in_another_thread_and_their_results_delivered_there(bench):
    b = bench()
    assert b.do("a") == "a"
    assert b.do(threading.current_thread) is b.begun.get() is b.begun.get()
    assert threading.current_thread() is not b.do(threading.current_thread)


def test_work_that_returns_nothing_delivers_nothing():
    done = Queue()
    worker = LatestWorker(done.put, done.put)
    worker.put(1)
    assert done.get(timeout=PATIENCE_S) == 1
    assert worker.stop(PATIENCE_S)


def test_only_the_newest_job_waits_and_who_overwrites_one_is_told(bench):
    b = bench()
    release = b.hang("first")
    assert b.worker.put("second") is False
    assert b.worker.put("third") is True
    release.set()
    assert b.delivered.get(timeout=PATIENCE_S) == "first"
    assert b.delivered.get(timeout=PATIENCE_S) == "third"


def test_a_job_that_waits_can_be_taken_back(bench):
    b = bench()
    release = b.hang("first")
    b.worker.put("second")
    b.worker.clear()
    release.set()
    assert b.delivered.get(timeout=PATIENCE_S) == "first"
    assert b.do("third") == "third"


def fail():
    raise RuntimeError("bad pair")


def test_the_worker_goes_on_after_a_job_that_failed(bench):
    b = bench()
    b.worker.put(fail)
    assert str(b.errors.get(timeout=PATIENCE_S)) == "bad pair"
    assert b.do("next") == "next"


def test_the_worker_goes_on_after_a_delivery_or_a_listener_that_failed(caplog):
    done = Queue()

    def work(job):
        return job

    def listen(error):
        done.put(error)
        raise ValueError("the listener itself")

    worker = LatestWorker(work, listen)
    worker.put(fail)
    assert str(done.get(timeout=PATIENCE_S)) == "bad pair"
    worker.put(lambda: done.put("next"))
    assert done.get(timeout=PATIENCE_S) == "next"
    assert worker.stop(PATIENCE_S)
    assert "the listener itself" in caplog.text


def test_stopping_waits_for_the_job_under_way_and_begins_no_other(bench):
    b = bench()
    release = b.hang("first")
    b.worker.put("second")
    assert b.worker.stop(0.0) is False
    release.set()
    assert b.close() is True
    assert b.delivered.get(timeout=PATIENCE_S) == "first"
    assert b.delivered.empty()


def test_no_job_is_given_up_without_a_limit_or_within_it(bench):
    for limit in (0.0, PATIENCE_S):
        b = bench(hang_timeout_s=limit)
        release = b.hang("slow")
        b.worker.put("next")
        release.set()
        assert b.delivered.get(timeout=PATIENCE_S) == "slow"
        assert b.delivered.get(timeout=PATIENCE_S) == "next"
        assert b.hangs.empty()


def test_when_a_job_hangs_another_thread_takes_over(bench):
    b = bench()
    first = b.do(threading.current_thread)
    b.hang()
    assert b.give_up() >= AT_ONCE_S
    second = b.do(threading.current_thread)
    assert second is not first
    assert first.is_alive()
    assert first.daemon
    assert b.worker.abandoned == 1
    assert not b.worker.stalled


def test_what_a_thread_that_was_given_up_returns_is_never_delivered(bench):
    b = bench()
    release = b.hang("late")
    b.give_up()
    hanging = b.worker._abandoned[0]
    release.set()
    hanging.join(PATIENCE_S)
    assert b.do("next") == "next"
    assert b.delivered.empty()
    assert b.worker.abandoned == 0


def test_what_a_thread_that_was_given_up_raises_is_told_to_nobody(bench):
    b = bench()
    release = threading.Event()

    def late():
        release.wait(PATIENCE_S)
        raise RuntimeError("cancelled")

    b.worker.put(late)
    b.begun.get(timeout=PATIENCE_S)
    b.give_up()
    hanging = b.worker._abandoned[0]
    release.set()
    hanging.join(PATIENCE_S)
    assert b.do("next") == "next"
    assert b.errors.empty()


def test_the_job_that_waited_behind_one_that_hangs_is_done_by_the_new_thread(bench):
    b = bench()
    b.hang()
    b.worker.put("waiting")
    b.give_up()
    assert b.delivered.get(timeout=PATIENCE_S) == "waiting"


def test_after_a_hang_another_work_function_goes_on_made_in_the_new_thread(bench):
    renewals = []

    def renew():
        renewals.append(threading.current_thread())
        mark = len(renewals)
        return lambda job: lambda: b.delivered.put((mark, threading.current_thread(), job))

    b = bench(renew=renew)
    b.do("first")
    assert renewals == []
    b.begun.get()
    b.hang()
    b.give_up()
    mark, thread, job = b.do("second")
    assert (mark, job) == (1, "second")
    assert renewals == [thread]
    assert b.do("third")[0] == 1


def test_the_old_work_function_is_never_called_again_where_the_new_one_cannot_be_made(bench):
    answers = [RuntimeError("no memory"), lambda job: lambda: b.delivered.put(("new", job))]

    def renew():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    b = bench(renew=renew)
    b.hang()
    b.give_up()
    b.worker.put("lost")
    assert str(b.errors.get(timeout=PATIENCE_S)) == "no memory"
    assert b.do("next") == ("new", "next")


def test_a_renewal_that_hangs_is_given_up_as_well(bench):
    release, begun = threading.Event(), threading.Event()
    answers = [lambda: (begun.set(), release.wait(PATIENCE_S)), lambda: None]

    def renew():
        answers.pop(0)()
        return b.work

    b = bench(renew=renew)
    b.released.append(release)
    b.hang()
    b.give_up()
    b.worker.put("lost")
    assert begun.wait(PATIENCE_S)
    b.give_up()
    assert b.do("next") == "next"


def test_who_is_told_of_a_hang_is_told_before_another_thread_takes_over(bench):
    order = Queue()

    def renew():
        order.put("renewed")
        return b.work

    b = bench(renew=renew)
    b.worker._on_hang = lambda seconds: (order.put("told"), b.note_hang(seconds))
    b.hang()
    b.worker.put("next")
    b.give_up()
    assert [order.get(timeout=PATIENCE_S) for _ in range(2)] == ["told", "renewed"]


def test_when_too_many_threads_hang_nothing_more_is_begun_until_one_of_them_ends(bench):
    b = bench(most_abandoned=2)
    first = b.hang()
    b.give_up()
    assert not b.worker.stalled
    b.hang()
    b.give_up()
    assert b.worker.stalled
    assert b.worker.abandoned == 2
    assert b.worker.put("waiting") is False
    assert b.worker.put("newer") is True
    first.set()
    assert b.delivered.get(timeout=PATIENCE_S) == "newer"
    assert not b.worker.stalled


def test_no_more_threads_than_allowed_ever_hang(bench):
    b = bench(name="counted")
    for _ in range(MOST_ABANDONED):
        b.hang()
        b.give_up()
    b.worker.put("waiting")
    assert b.worker.stalled
    own = [thread.name for thread in threading.enumerate() if thread.name.startswith("counted")]
    assert sorted(own) == ["counted"] * MOST_ABANDONED + ["counted guard"]
    assert b.worker.stop(0.0) is False


def test_a_job_that_is_excused_is_not_given_up_and_has_its_time_afterwards(bench):
    building, asked = threading.Event(), Queue()

    def excused():
        asked.put(b.hangs.qsize())
        return building.is_set()

    b = bench(excused=excused)
    building.set()
    release = b.hang("built")
    b.worker.hang_timeout_s = AT_ONCE_S
    assert [asked.get(timeout=PATIENCE_S) for _ in range(3)] == [0, 0, 0]
    b.worker.hang_timeout_s = 0
    release.set()
    assert b.delivered.get(timeout=PATIENCE_S) == "built"
    building.clear()
    b.hang()
    b.give_up()
    assert b.do("next") == "next"


def test_stopping_while_a_thread_hangs_says_so_and_starts_no_other(bench):
    b = bench()
    release = b.hang()
    b.give_up()
    assert b.worker.stop(0.0) is False
    hanging = b.worker._abandoned[0]
    release.set()
    hanging.join(PATIENCE_S)
    assert b.worker.stop(PATIENCE_S) is True
