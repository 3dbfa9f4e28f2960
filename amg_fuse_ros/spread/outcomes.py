"""Jobs to outcomes, wherever the work is done."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from amg_fuse_ros.spread.machine import cores
from amg_fuse_ros.spread.processes import ProcessWorker
from amg_fuse_ros.spread.team import Team, WorkerLostError

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """Where jobs are done."""

    count: int = 1
    """Workers; 1 without Ray is this process, where a crash is everybody's. 0 with Ray: one for
    each GPU of the cluster if it has any and they are wanted, else one for each CPU."""
    ray: str = ""
    """A Ray cluster: ``local``, ``auto`` or its address; empty for this machine without Ray."""
    gpus: bool = False
    """With Ray: ask for a GPU for each worker if the cluster has any; they may share one."""
    code: tuple[Path, ...] = ()
    """With Ray: packages (their folders) that travel to the workers beside ``amg_fuse_ros``."""


@dataclass(frozen=True)
class Outcome(Generic[Job, Result]):
    """What became of a job."""

    job: Job
    result: Result | None = None
    error: str = ""
    """Why there is no result; empty where there is one."""
    cause: BaseException | None = None
    """The exception that this tells."""


def spread(
    prepare: Callable[[], Callable[[Job], Result]], jobs: Sequence[Job], workers: Workers
) -> Generator[Outcome[Job, Result], None, None]:
    """Do jobs and yield what became of each as it is done, in no certain order.

    An exception of a job is its outcome. A worker that dies fails its job only, which is tried
    once more by another worker. Workers share this machine's cores: each computes with cores /
    workers threads. Leaving the generator (by ``close``, Ctrl-C, an exception) ends the workers at
    once, so jobs should write whole files or none.

    Args:
        prepare: Called once in each worker; gives what is called there with each job. Both it and
            the jobs must be picklable.
        jobs: What to do, begun in this order.
        workers: Where.

    Raises:
        SpreadError: No worker can work: Ray or its cluster is not there, or all of them died.
        Exception: What ``prepare`` raised.
    """
    if not jobs:
        return
    if workers.count == 1 and not workers.ray:
        work = prepare()
        for job in jobs:
            try:
                outcome = Outcome(job, work(job))
            except Exception as error:
                outcome = Outcome(job, error=_reason(error), cause=error)
            yield outcome
        return
    with team_of(prepare, workers, at_most=len(jobs)) as team:
        futures = {team.submit(job): job for job in jobs}
        for future in as_completed(futures):
            job = futures.pop(future)  # results may be large
            failure = future.exception()
            if failure is None:
                yield Outcome(job, future.result())
            elif team.broken is not None:
                raise team.broken
            else:
                yield Outcome(job, error=_reason(failure), cause=failure)


@contextmanager
def team_of(
    prepare: Callable[[], Callable[[Job], Result]], workers: Workers, *, at_most: int = 2**30
) -> Iterator[Team[Job, Result]]:
    """The workers themselves, as processes or actors even if there is one only.

    Args:
        prepare: As for `spread`.
        workers: Where.
        at_most: No more workers than this.

    Raises:
        SpreadError: Ray or its cluster is not there.
    """
    if not workers.ray:
        asked = workers.count or cores()
        # Whatever is left to do: other threads round otherwise, and a run that goes on should not.
        threads = max(1, cores() // asked)
        count = min(asked, at_most)
        with Team[Job, Result](lambda _: ProcessWorker(prepare, threads), count) as team:
            yield team
        return
    from amg_fuse_ros.spread.ray_cluster import RayWorker, connected

    with connected(workers.ray, workers.code) as ray:
        there = ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 1)), int(there.get("GPU", 0)) if workers.gpus else 0
        asked = workers.count or gpus or cpus
        count = min(asked, at_most)
        # No worker can be placed that asks for more than a host has.
        smallest = min((int(node["Resources"].get("CPU", 0)) or cpus) for node in ray.nodes())
        threads = max(1, min(cpus // asked, smallest))
        share = math.floor(1000 * min(1.0, gpus / count)) / 1000
        with Team[Job, Result](lambda _: RayWorker(ray, prepare, threads, share), count) as team:
            yield team


def _reason(error: BaseException) -> str:
    if isinstance(error, WorkerLostError):
        return f"{error} (tried twice)"
    # This package's own errors speak for themselves; of others the kind says more than the text.
    own = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    told = own or isinstance(error, (ValueError, OSError))
    return str(error) if told and str(error) else f"{type(error).__name__}: {error}"
