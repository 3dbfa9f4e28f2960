"""What can be timed, and under which conditions."""

from dataclasses import dataclass

from amg_fuse_ros.engine import ENGINES
from amg_fuse_ros.network import make_network
from amg_fuse_ros.resolution import Resolution
from amg_fuse_ros.verification import available

PRECISIONS = ("fp32", "bf16", "fp16", "fp64")


@dataclass(frozen=True)
class Candidate:
    """An engine in a precision; shown as ``eager fp32``."""

    engine: str
    precision: str = "auto"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


PLAIN = Candidate("plain", "fp32")
"""The plain formulation in eager torch: what the others are compared with."""

EXACT = Candidate("eager", "fp64")
"""What fidelity is measured against."""


@dataclass(frozen=True)
class Case:
    """What all candidates have in common."""

    resolutions: tuple[Resolution, ...] = (Resolution(640, 480),)
    weights: str = ""
    """Weights file; empty takes the shipped ones of ``size``."""
    size: str = "tiny"
    device: str = "auto"
    threads: int = 0
    """CPU threads; 0 leaves torch's choice."""


def parse_candidates(text: str, device: str = "auto") -> list[Candidate]:
    """Read a list as ``eager,eager:bf16,openvino``.

    Args:
        text: Engines, each with a precision after a colon or without; ``"all"`` takes what
            :func:`amg_fuse_ros.verification.available` gives.
        device: Where they shall run.

    Raises:
        ValueError: If an engine or precision is unknown.
    """
    if text.strip() == "all":
        network = make_network("nano")
        return [Candidate(*kind) for kind in available(network, device)]
    found = []
    for item in text.split(","):
        engine, _, precision = item.strip().partition(":")
        if engine not in (*ENGINES, PLAIN.engine):
            raise ValueError(f"expected engines among {['all', *ENGINES]}, found {engine!r}")
        if precision and precision not in PRECISIONS:
            raise ValueError(f"expected a precision among {PRECISIONS}, found {precision!r}")
        found.append(Candidate(engine, precision or "fp32"))
    return found
