"""How fast the network runs here, and how faithfully: engines against the plain formulation.

Each candidate has a process of its own; they take turns frame by frame, so that a change of the
machine's pace meets all of them. Ratios are what counts: absolute times differ from machine to
machine and hour to hour.
"""

from amg_fuse_ros.benchmark.candidates import PLAIN, Candidate, Case, parse_candidates
from amg_fuse_ros.benchmark.comparison import compare
from amg_fuse_ros.benchmark.regression import regressions
from amg_fuse_ros.benchmark.report import report
from amg_fuse_ros.benchmark.throughput import throughput
from amg_fuse_ros.engine.fidelity import psnr_db

__all__ = [
    "PLAIN",
    "Candidate",
    "Case",
    "compare",
    "parse_candidates",
    "psnr_db",
    "regressions",
    "report",
    "throughput",
]
