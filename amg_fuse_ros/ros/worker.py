"""One job at a time in a thread of its own, only the newest one, and none for ever."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

Job = TypeVar("Job")
Told = TypeVar("Told")

Deliver = Callable[[], object]
Work = Callable[[Job], Deliver | None]
"""Does a job, and returns what hands its result on, if there is any."""

EXCUSED_S = 1800.0
"""A job that is excused, because an engine is being built, may take so long."""

MOST_ABANDONED = 3
"""Each holds its engine with the buffers, a gigabyte at 640x480."""

logger = logging.getLogger(__name__)


class LatestWorker(Generic[Job]):
    """A worker thread with a mailbox of one: what a newer job overwrites is dropped.

    So nothing queues behind a slow engine, and whoever puts a job never waits.

    A thread that hangs in a native library cannot be ended. It is abandoned: what it still
    returns or raises is discarded, and another thread takes over with what ``renew`` gives, so
    that nothing which the hanging one holds, a library's lock for instance, is waited for again.
    A library that hangs while it holds Python's own lock stops all threads, this guard too.
    """

    def __init__(
        self,
        work: Work[Job],
        on_error: Callable[[Exception], None],
        name: str = "worker",
        *,
        hang_timeout_s: float = 0.0,
        on_hang: Callable[[float], None] | None = None,
        renew: Callable[[], Work[Job]] | None = None,
        excused: Callable[[], bool] | None = None,
        most_abandoned: int = MOST_ABANDONED,
    ) -> None:
        """Start the thread.

        Args:
            work: Does a job, in the worker's thread. What others can see of it, such as
                publishing, belongs into the function that it returns: that is called next, in
                the same thread, but not if the job was given up.
            on_error: Told what ``work``, its result or ``renew`` raised, in the worker's thread;
                the worker goes on.
            name: The thread's name.
            hang_timeout_s: A job that takes longer is given up; 0 waits for ever. What ``work``
                returned has no limit.
            on_hang: Told after how many seconds a job was given up, in a thread of its own,
                before another thread takes over.
            renew: Gives the work function after a hang, in the new thread, when its first job is
                there. If it raises, that job is lost and the next one asks again. Without it the
                same function goes on.
            excused: Whether a job may take longer at the moment, up to ``EXCUSED_S``; must return
                at once.
            most_abandoned: When so many threads hang no job is begun until one of them ends.
        """
        self._work, self._on_error, self._name = work, on_error, name
        self._on_hang, self._renew, self._excused = on_hang, renew, excused
        self._most_abandoned = most_abandoned
        self._condition = threading.Condition()
        self._hang_timeout_s = hang_timeout_s
        self._stopping = False
        self._job: Job | None = None
        self._began: float | None = None
        """When the job under way began, if there is one and it is not given up."""
        self._turn = 0
        """Counts the threads; only the newest may deliver."""
        self._abandoned: list[threading.Thread] = []
        self._vacant = False
        self._thread = self._next_thread(renewed=False)
        self._guard = threading.Thread(target=self._watch, name=f"{name} guard", daemon=True)
        self._thread.start()
        self._guard.start()

    @property
    def hang_timeout_s(self) -> float:
        """Seconds after which a job is given up, 0 for never; holds for the one under way, too."""
        return self._hang_timeout_s

    @hang_timeout_s.setter
    def hang_timeout_s(self, value: float) -> None:
        with self._condition:
            self._hang_timeout_s = value
            self._condition.notify_all()

    @property
    def abandoned(self) -> int:
        """How many threads hang."""
        with self._condition:
            return len(self._abandoned)

    @property
    def stalled(self) -> bool:
        """Whether so many threads hang that no job is begun any more."""
        return self.abandoned >= self._most_abandoned

    def put(self, job: Job) -> bool:
        """Leave a job in the mailbox; from any thread, without waiting for work.

        Returns:
            Whether a job that had not been begun was overwritten, that is, dropped.
        """
        with self._condition:
            dropped = self._job is not None
            self._job = job
            self._condition.notify_all()
        return dropped

    def clear(self) -> None:
        """Take back the job that waits, if any; the one under way goes on."""
        with self._condition:
            self._job = None

    def stop(self, timeout_s: float) -> bool:
        """End after the job under way; the one that waits is not begun.

        Returns:
            Whether all threads have ended within ``timeout_s`` seconds, hanging ones among them.
        """
        with self._condition:
            self._stopping = True
            self._job = None
            self._condition.notify_all()
            thread = self._thread
        thread.join(timeout_s)
        return not thread.is_alive() and self.abandoned == 0

    def _next_thread(self, renewed: bool) -> threading.Thread:
        self._turn += 1
        return threading.Thread(
            target=self._run, args=(self._turn, renewed), name=self._name, daemon=True
        )

    def _run(self, turn: int, to_be_renewed: bool) -> None:
        work = self._work
        while (job := self._take()) is not None:
            deliver: Deliver | None
            try:
                if to_be_renewed and self._renew is not None:
                    work = self._renew()
                to_be_renewed = False
                deliver = work(job)
            except Exception as error:  # the next job may well succeed
                deliver = partial(self._tell, self._on_error, error)
            if not self._finish(turn):
                return
            try:
                if deliver is not None:
                    deliver()
            except Exception as error:
                self._tell(self._on_error, error)
            del job, deliver

    def _tell(self, listener: Callable[[Told], None], what: Told) -> None:
        try:
            listener(what)
        except Exception:  # it must not end the thread
            logger.exception("%s: somebody who was told of a failure failed", self._name)

    def _take(self) -> Job | None:
        """Wait for a job; ``None`` when it is time to end."""
        with self._condition:
            while self._job is None and not self._stopping:
                self._condition.wait()
            job, self._job = self._job, None
            if job is not None:
                self._began = monotonic()
                self._condition.notify_all()
            return job

    def _finish(self, turn: int) -> bool:
        """Note that the job is done; whether its result counts, or it was given up before."""
        with self._condition:
            if turn == self._turn:
                self._began = None
                return True
            self._abandoned.remove(threading.current_thread())
            self._fill_vacancy()
            return False

    def _fill_vacancy(self) -> None:
        """Start the thread that takes over, unless there is one or too many hang."""
        if self._vacant and not self._stopping and len(self._abandoned) < self._most_abandoned:
            self._vacant = False
            self._thread = self._next_thread(renewed=True)
            self._thread.start()

    def _watch(self) -> None:
        """Give up jobs that take too long, until the worker stops."""
        while (seconds := self._wait_for_hang()) is not None:
            if self._on_hang is not None:
                self._tell(self._on_hang, seconds)
            with self._condition:
                self._fill_vacancy()

    def _wait_for_hang(self) -> float | None:
        """Wait until a job is given up, and for how many seconds it went on; ``None`` at the end.

        An excuse puts the limit off by its full length: after a build the job has that long.
        """
        began: float | None = None
        since = 0.0
        with self._condition:
            while not self._stopping:
                if self._began is None or self._hang_timeout_s <= 0:
                    began = None
                    self._condition.wait()
                    continue
                if began != self._began:
                    began = since = self._began
                now = monotonic()
                left = since + self._hang_timeout_s - now
                if left > 0:
                    self._condition.wait(left)
                elif self._excused is not None and now - began < EXCUSED_S and self._excused():
                    since = now
                else:
                    self._began = None
                    self._turn += 1  # whatever the thread returns is out of date
                    self._abandoned.append(self._thread)
                    self._vacant = True
                    return now - began
        return None
