"""One job at a time in a thread of its own, and only the newest one."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class LatestWorker(Generic[Job]):
    """A worker thread with a mailbox of one: what a newer job overwrites is dropped.

    So nothing queues behind a slow engine, and whoever puts a job never waits.
    """

    def __init__(
        self,
        work: Callable[[Job], None],
        on_error: Callable[[Exception], None],
        name: str = "worker",
    ) -> None:
        """Start the thread.

        Args:
            work: Does one job, in the worker's thread.
            on_error: Told what ``work`` raised, in the worker's thread; the worker goes on.
            name: The thread's name.
        """
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._job: Job | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> bool:
        """Leave a job in the mailbox; from any thread, without waiting for work.

        Returns:
            Whether a job that had not been begun was overwritten, that is, dropped.
        """
        with self._condition:
            dropped = self._job is not None
            self._job = job
            self._condition.notify()
        return dropped

    def clear(self) -> None:
        """Take back the job that waits, if any; the one under way goes on."""
        with self._condition:
            self._job = None

    def stop(self, timeout_s: float) -> bool:
        """End after the job under way; the one that waits is not begun.

        Returns:
            Whether the thread has ended within ``timeout_s`` seconds.
        """
        with self._condition:
            self._stopping = True
            self._job = None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._job is None and not self._stopping:
                    self._condition.wait()
                if self._stopping:
                    return
                job, self._job = self._job, None
            assert job is not None
            try:
                self._work(job)
            except Exception as error:  # the next job may well succeed
                self._on_error(error)
            del job
