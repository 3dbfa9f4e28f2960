"""The same over a real Ray cluster of this machine, with two workers."""

from pathlib import Path

import pytest
import spread_work
from command_line import files_in, write_pair
from spread_work import Calculator, refuse

from amg_fuse_ros.offline import Recipe, find_folders, fuse_folders
from amg_fuse_ros.spread import SpreadError, Workers, spread
from amg_fuse_ros.spread.ray_cluster import connected

pytest.importorskip("ray", reason="ray is not installed: pip install ray")

LOCAL = Workers(2, ray="local")


@pytest.fixture(scope="module")
def cluster():
    with connected("local", code=(Path(spread_work.__file__),)) as ray:
        yield ray


def test_jobs_are_done_by_actors_and_a_killed_one_costs_its_job_only(cluster, tmp_path):
    jobs = [1, "raise", "die", "die once", 2, 3]
    outcomes = {o.job: o for o in spread(Calculator(tmp_path / "notes.txt"), jobs, LOCAL)}
    assert [outcomes[job].result for job in (1, 2, 3, "die once")] == [2, 4, 6, "lived"]
    assert outcomes["raise"].error == "this job cannot be done"
    assert "the worker was lost" in outcomes["die"].error


def test_what_keeps_every_actor_from_working_is_raised_as_it_is(cluster):
    with pytest.raises(FileNotFoundError, match="no weights here"):
        list(spread(refuse, [1, 2], LOCAL))


def test_recordings_are_fused_as_by_one_process(cluster, tmp_path, random_weights):
    for recording in ("north", "south"):
        for seed, name in enumerate("ab"):
            folder = tmp_path / "night" / recording
            write_pair(folder / "thermal" / f"{name}.png", folder / "rgb" / f"{name}.png", seed)
    recipe = Recipe(str(random_weights), engine="eager", device="cpu", scale=0.5)
    found = find_folders([tmp_path / "night"], tmp_path / "out")
    night = fuse_folders(found, tmp_path / "out", recipe, LOCAL)
    assert (night.fused, night.problems) == (4, [])
    alone = fuse_folders(found, tmp_path / "alone", recipe, Workers(1))
    assert alone.fused == 4
    assert files_in(tmp_path / "out") == files_in(tmp_path / "alone")


def test_a_cluster_that_is_not_there_is_told_with_what_to_do(monkeypatch):
    import ray

    if ray.is_initialized():  # by the tests above
        ray.shutdown()
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
    with pytest.raises(SpreadError, match="ray start --head"):
        list(spread(refuse, [1], Workers(2, ray="auto")))
