"""A team of workers that take jobs from one queue, whatever the workers are."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

TRIES = 2
"""How often a job is given to a worker that then dies, and how often a worker may die at its start.

More would let one poisonous recording, or one host without memory, take worker after worker along.
"""


class SpreadError(RuntimeError):
    """The workers cannot work at all; told for the person who asked for them."""


class WorkerLostError(Exception):
    """A worker ended before it answered: killed, out of memory, crashed; its host gone.

    Attributes:
        begun: Whether it may have been the job; not if the worker was gone before it came.
    """

    def __init__(self, reason: str, *, begun: bool = True) -> None:
        super().__init__(reason)
        self.begun = begun


class Worker(Protocol):
    """One worker, which has begun to start."""

    def ready(self) -> None:
        """Wait until it can take jobs.

        Raises:
            WorkerLostError: It ended while it started.
            Exception: Why none can work here, such as weights that are not there.
        """

    def do(self, job: Any) -> Any:
        """Do a job in the worker and return its result.

        Raises:
            WorkerLostError: The worker is no more.
            Exception: What the job raised.
        """

    def stop(self) -> None:
        """End the worker at once, also from another thread and whatever it is doing."""


@dataclass
class _Task:
    job: Any
    future: "Future[Any]"
    losses: int = 0


@dataclass
class _Seat:
    """A place in the team, and who sits there at the moment."""

    number: int
    worker: Worker | None = None
    thread: threading.Thread | None = field(default=None, repr=False)


class Team(Generic[Job, Result]):
    """Workers with one queue of jobs; use it in a ``with`` statement, whose end stops them at once.

    A thread for each worker waits for it, so a caller's thread never does: Ctrl-C is free to come.
    """

    def __init__(self, hire: Callable[[int], Worker], count: int) -> None:
        """Begin to start the workers; jobs may be submitted meanwhile.

        Args:
            hire: Begins to start the worker of a seat, 0 to ``count`` - 1.
            count: Workers.
        """
        self.size = count
        self._hire = hire
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._open: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._broken: BaseException | None = None
        self._seats = [_Seat(number) for number in range(count)]
        self._taken = count
        for seat in self._seats:
            seat.thread = threading.Thread(target=self._serve, args=(seat,), daemon=True)
            seat.thread.start()

    def __enter__(self) -> "Team[Job, Result]":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def submit(self, job: Job) -> "Future[Result]":
        """Put a job into the queue.

        Returns:
            Its result, or what it raised: `WorkerLostError` where two workers died of it, the
            reason where no worker can be had.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._broken is not None:
                future.set_exception(self._broken)
                return future
            self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._tasks.put(_Task(job, future))
        return future

    @property
    def broken(self) -> BaseException | None:
        """Why no job can be done any more; ``None`` while some can."""
        return self._broken

    def stop(self) -> None:
        """End all workers, whatever they are doing; jobs without a result are cancelled."""
        self._stopping = True
        self._give_up(SpreadError("the workers were stopped"))
        for seat in self._seats:
            self._tasks.put(None)
            if seat.worker is not None:
                seat.worker.stop()
        for seat in self._seats:
            if seat.thread is not None:
                seat.thread.join()

    def _serve(self, seat: _Seat) -> None:
        lost_at_start = 0
        try:
            while not self._is_over():
                seat.worker = self._hire(seat.number)
                try:
                    # Asked after the worker is known to `stop`, which else might miss it.
                    if self._is_over():
                        return
                    seat.worker.ready()
                    lost_at_start = 0
                    if self._work(seat.worker):
                        return
                except WorkerLostError as error:
                    lost_at_start += 1
                    if lost_at_start == TRIES:
                        self._leave(error)
                        return
                finally:
                    seat.worker.stop()
        except BaseException as error:  # whatever it is, those who wait must not wait for ever
            self._give_up(error)

    def _work(self, worker: Worker) -> bool:
        """Do jobs until there are no more (true) or the worker is lost (false)."""
        while not self._is_over():
            task = self._tasks.get()
            if task is None:
                return True
            if task.future.done():
                continue
            try:
                result = worker.do(task.job)
            except WorkerLostError as error:
                task.losses += error.begun
                if task.losses < TRIES and not self._stopping:
                    self._tasks.put(task)
                else:
                    _settle(task.future, error)
                return False
            except Exception as error:
                _settle(task.future, error)
            else:
                _settle(task.future, None, result)
        return True

    def _is_over(self) -> bool:
        return self._stopping

    def _leave(self, error: WorkerLostError) -> None:
        """One worker fewer; the last one out says why nothing will be done."""
        with self._lock:
            self._taken -= 1
            if self._taken:
                return
        self._give_up(SpreadError(f"no worker could be kept alive: {error}"))

    def _give_up(self, error: BaseException) -> None:
        with self._lock:
            self._broken = self._broken or error
            waiting = list(self._open)
        for future in waiting:
            _settle(future, error)


def _settle(future: "Future[Any]", error: BaseException | None, result: Any = None) -> None:
    # A job may be settled twice: given up in one thread while another brings its result.
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
    except Exception:  # InvalidStateError, which is not public in every version
        return
