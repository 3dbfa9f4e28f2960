"""A process of its own for each candidate, which fuses a frame when told."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amg_fuse_ros.benchmark.candidates import EXACT, PLAIN, Candidate, Case
from amg_fuse_ros.engine import EngineError
from amg_fuse_ros.monitoring.memory import peak_mb, resident_mb
from amg_fuse_ros.resolution import Resolution

PAIRS = 3
"""Different pairs that are fused in turn."""


class Fused(NamedTuple):
    """How long one frame took."""

    seconds: float
    """In ``Fuser.fuse``."""
    around_engine: float
    """Of these, outside the engine."""


class Told(NamedTuple):
    """What a process says about itself."""

    precision: str
    device: str
    threads: int
    start_s: float
    """From its beginning to the engine made: imports, weights, engine."""
    resident_mb: float
    peak_mb: float


def _environment_of(candidate: Candidate) -> dict[str, str | None]:
    if candidate == PLAIN:
        # What torch finds in a process that nobody has tuned: OpenMP's own spin, glibc's malloc.
        tuned = (name for name in os.environ if name.startswith("MALLOC_"))
        return {"GOMP_SPINCOUNT": None, **dict.fromkeys(tuned)}
    # Float64 is not timed, and threads that spin for each other take minutes on a busy machine.
    return {"GOMP_SPINCOUNT": "0"} if candidate == EXACT else {}


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables for processes started meanwhile; ``None`` takes one away."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Worker:
    """The parent's end: gives orders, waits for answers."""

    def __init__(self, candidate: Candidate, case: Case) -> None:
        self.candidate = candidate
        # A forked process would share the parent's heap and what its OpenMP has read.
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(candidate, case, theirs), daemon=True)
        with _environment(_environment_of(candidate)):
            self._process.start()
        theirs.close()

    def fuse(self, resolution: Resolution, number: int) -> Fused:
        """Fuse pair ``number`` of the drawn ones."""
        self.order("fuse", resolution, number)
        return self.answer()

    def image(self, resolution: Resolution, number: int) -> NDArray[np.float32]:
        """The engine's own result for a pair: H W 3, in [0, 1]."""
        self.order("image", resolution, number)
        return self.answer()

    def tell(self) -> Told:
        """What the process is and holds."""
        self.order("tell")
        return self.answer()

    def environ(self) -> dict[str, str]:
        """The process's environment variables."""
        self.order("environ")
        return self.answer()

    def order(self, *order: Any) -> None:
        """Give an order without waiting for the answer."""
        try:
            self._orders.send(order)
        except BrokenPipeError as error:
            raise EngineError(f"{self.candidate} ended unexpectedly, see above") from error

    def answer(self) -> Any:
        """Wait for the answer to the oldest order.

        Raises:
            EngineError: If the candidate failed; the message says why.
        """
        try:
            answer = self._orders.recv()
        except EOFError as error:
            raise EngineError(f"{self.candidate} ended unexpectedly, see above") from error
        if isinstance(answer, Exception):
            raise EngineError(f"{self.candidate}: {answer}") from answer
        return answer

    def end(self) -> None:
        """End the process."""
        if self._process.is_alive():
            try:
                self._orders.send(None)
                self._process.join(timeout=20)
            except BrokenPipeError:
                pass
        if self._process.is_alive():
            self._process.terminate()


@contextmanager
def workers(candidates: list[Candidate], case: Case) -> Iterator[list[Worker]]:
    """A process for each candidate, ended with the context."""
    started: list[Worker] = []
    try:
        for candidate in candidates:
            started.append(Worker(candidate, case))
            started[-1].tell()  # one after the other: loading would slow the others' loading
        yield started
    finally:
        for worker in started:
            worker.end()


def serve(candidate: Candidate, case: Case, orders: Connection) -> None:
    """Follow orders until one is ``None``; an error is the answer to the order that met it."""
    try:
        follow = _get_ready(candidate, case)
    except Exception as error:
        orders.recv()
        orders.send(RuntimeError(str(error) or repr(error)))
        return
    while (order := orders.recv()) is not None:
        try:
            orders.send(follow(*order))
        except Exception as error:
            orders.send(RuntimeError(str(error) or repr(error)))


def _get_ready(candidate: Candidate, case: Case) -> Callable[..., Any]:
    began = time.perf_counter()
    import torch

    if case.threads:
        torch.set_num_threads(case.threads)
    from amg_fuse_ros.engine import create_engine
    from amg_fuse_ros.fusion import Fuser
    from amg_fuse_ros.imaging.thermal import to_unit_range
    from amg_fuse_ros.network import load_weights
    from amg_fuse_ros.scenes import sample_pairs
    from amg_fuse_ros.weights import shipped_weights

    network = load_weights(case.weights or shipped_weights(case.size), size=case.size)
    if candidate == PLAIN:
        from amg_fuse_ros.benchmark.plain_engine import PlainEngine

        fuser = Fuser(PlainEngine(network, case.device))
    else:
        fuser = Fuser(create_engine(network, candidate.engine, case.device, candidate.precision))
    start_s = time.perf_counter() - began

    @cache
    def pairs(resolution: Resolution) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        return sample_pairs(PAIRS, *resolution)

    def follow(what: str, *details: Any) -> Any:
        if what == "tell":
            engine, threads = fuser.engine, torch.get_num_threads()
            return Told(engine.precision, engine.device, threads, start_s, resident_mb(), peak_mb())
        if what == "environ":
            return dict(os.environ)
        resolution, number = details
        thermal, rgb = pairs(resolution)[number % PAIRS]
        if what == "image":
            return fuser.engine.fuse(rgb / np.float32(255), to_unit_range(thermal))
        began = time.perf_counter()
        frame = fuser.fuse(thermal, rgb)
        seconds = time.perf_counter() - began
        return Fused(seconds, seconds - frame.timings["engine"])

    return follow
