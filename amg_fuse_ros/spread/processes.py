"""Workers that are processes of this machine."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from amg_fuse_ros.spread.machine import limit_threads
from amg_fuse_ros.spread.team import WorkerLostError

KILL_TIMEOUT_S = 10.0
"""A process in the midst of a system call (a disk that is gone) may outlive even SIGKILL."""

READY, DONE, RAISED = "ready", "done", "raised"
Answer = tuple[str, Any, str]
"""One of the above; the result or the exception; the exception's traceback as text."""


class RemoteTracebackError(Exception):
    """The traceback of an exception in a worker, as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class ProcessWorker:
    """A process that makes its own function once and then calls it with job after job."""

    def __init__(self, prepare: Callable[[], Callable[[Any], Any]], threads: int) -> None:
        """Begin to start it.

        Args:
            prepare: Makes the function; sent to the process, so it must be picklable.
            threads: For the numeric libraries in it.
        """
        # Spawned, not forked: the caller may have run a network, and forked OpenMP pools hang.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # Bytes: what `prepare` imports must not be loaded before the threads are limited.
        arguments = (theirs, pickle.dumps(prepare), threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # so that this end reads the end of the pipe when the process is gone

    def ready(self) -> None:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        self._answer()

    def do(self, job: Any) -> Any:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        try:
            self._pipe.send(job)
        except OSError as error:
            raise self._lost(begun=False) from error
        return self._answer()

    def stop(self) -> None:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        if self._process.is_alive():
            self._process.kill()
            # A killed process still runs for a moment, and whoever leaves may delete its files.
            self._process.join(KILL_TIMEOUT_S)

    def _answer(self) -> Any:
        try:
            answer: Answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        return result_of(answer)

    def _lost(self, *, begun: bool = True) -> WorkerLostError:
        self._process.join()
        return WorkerLostError(_ended(self._process.exitcode), begun=begun)


def answer_of(call: Callable[..., Any], *arguments: Any) -> Answer:
    """What a worker sends home: the result of a call, or its exception with the traceback."""
    try:
        return DONE, call(*arguments), ""
    except Exception as error:
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))  # some can be sent and not be made again
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return RAISED, error, trace


def made_from(prepare: bytes) -> Any:
    """The function for the jobs, made in the worker."""
    return pickle.loads(prepare)()


def result_of(answer: Answer) -> Any:
    """The result that a worker sent; raises the exception that it sent."""
    kind, value, trace = answer
    if kind == RAISED:
        raise value from RemoteTracebackError(trace)
    return value


def _serve(pipe: Connection, prepare: bytes, threads: int) -> None:
    # Ctrl-C goes to every process of a terminal; the parent decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads(threads)
    made: Answer = answer_of(made_from, prepare)
    work = made[1]
    limit_threads(threads)  # for what only `prepare` loaded
    with contextlib.suppress(EOFError, OSError):
        pipe.send((READY, None, "") if made[0] == DONE else made)
        while made[0] == DONE:
            answer = answer_of(work, pipe.recv())
            try:
                pipe.send(answer)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                pipe.send((RAISED, TypeError(f"the result cannot be sent: {error}"), ""))


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers, and an orphan would work on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        try:
            name = signal.Signals(-exitcode).name
        except ValueError:
            name = f"signal {-exitcode}"
        hint = "; is there memory enough for so many workers?" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker ended by itself with code {exitcode}"
