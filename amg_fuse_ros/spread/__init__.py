"""Spread jobs: in this process, over processes of this machine, or over a Ray cluster.

`spread` yields an `Outcome` for each job as it is done; `Team` is the workers themselves, for those
who want futures. A job that fails is reported and the others go on. A worker that is killed takes
no other job along: its job is tried once more by another, then reported.
"""

from amg_fuse_ros.spread.machine import cores, workers_that_fit
from amg_fuse_ros.spread.outcomes import Outcome, Workers, spread, team_of
from amg_fuse_ros.spread.team import SpreadError, Team, WorkerLostError

__all__ = [
    "Outcome",
    "SpreadError",
    "Team",
    "WorkerLostError",
    "Workers",
    "cores",
    "spread",
    "team_of",
    "workers_that_fit",
]
