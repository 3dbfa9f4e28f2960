"""Jobs over processes: each has an outcome, whatever becomes of the workers."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from spread_work import Calculator, die_at_start, refuse

from amg_fuse_ros.spread import SpreadError, Workers, cores, spread
from amg_fuse_ros.spread.ray_cluster import import_ray

TWO = Workers(2)


@pytest.fixture
def prepare(tmp_path):
    return Calculator(tmp_path / "notes.txt")


def outcomes_of(prepare, jobs, workers=TWO):
    return {outcome.job: outcome for outcome in spread(prepare, jobs, workers)}


def is_alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("count", [1, 2])
def test_every_job_has_an_outcome_and_each_worker_prepares_once(prepare, count):
    outcomes = outcomes_of(prepare, list(range(20)), Workers(count))
    assert {job: outcome.result for job, outcome in outcomes.items()} == {
        job: 2 * job for job in range(20)
    }
    pids = prepare.notes.read_text().split()
    assert len(pids) == len(set(pids)) <= count
    assert (str(os.getpid()) in pids) == (count == 1)


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_that_fails_says_why_and_the_others_go_on(prepare, count):
    outcomes = outcomes_of(prepare, [1, "raise", 2], Workers(count))
    assert outcomes["raise"].result is None
    assert outcomes["raise"].error == "this job cannot be done"
    assert isinstance(outcomes["raise"].cause, ValueError)
    assert (outcomes[1].result, outcomes[2].result) == (2, 4)


def test_a_worker_that_dies_costs_its_job_and_no_other(prepare):
    outcomes = outcomes_of(prepare, [1, "die", *range(2, 9)])
    assert "SIGKILL" in outcomes["die"].error
    assert "tried twice" in outcomes["die"].error
    assert {job: o.result for job, o in outcomes.items() if job != "die"} == {
        job: 2 * job for job in range(1, 9)
    }


def test_a_job_whose_worker_died_by_accident_is_done_by_another(prepare):
    outcomes = outcomes_of(prepare, [1, "die once", 2])
    assert outcomes["die once"].result == "lived"


def test_a_result_that_cannot_be_sent_is_a_failure_of_its_job(prepare):
    outcomes = outcomes_of(prepare, ["unsendable", 1])
    assert "cannot be sent" in outcomes["unsendable"].error
    assert outcomes[1].result == 2


def test_workers_share_the_cores_and_do_not_take_them_all_each(prepare):
    threads = max(1, cores() // 2)
    for jobs in (["threads"], ["threads", 1]):  # also when fewer are needed: they round alike
        assert outcomes_of(prepare, jobs)["threads"].result == (threads, str(threads))


def test_what_keeps_every_worker_from_working_is_raised_as_it_is():
    with pytest.raises(FileNotFoundError, match="no weights here"):
        outcomes_of(refuse, [1, 2, 3])


def test_workers_that_die_at_their_start_are_not_started_for_ever():
    with pytest.raises(SpreadError, match=r"no worker could be kept alive.*SIGKILL"):
        outcomes_of(die_at_start, [1, 2, 3])


def test_who_stops_listening_stops_the_workers(prepare):
    with closing(spread(prepare, list(range(50)), TWO)) as outcomes:
        next(outcomes)
    pids = prepare.notes.read_text().split()
    assert pids
    assert not [pid for pid in pids if is_alive(pid)]


def test_no_jobs_start_no_workers(prepare):
    assert outcomes_of(prepare, []) == {}
    assert not prepare.notes.exists()


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpreadError, match="pip install ray"):
        import_ray()


def test_nothing_loads_ray_that_was_not_asked_to(prepare):
    code = (
        "import sys; from amg_fuse_ros import spread, offline\n"
        "print(list(spread.spread(dict, [1], spread.Workers(1))))\n"
        "assert 'ray' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
