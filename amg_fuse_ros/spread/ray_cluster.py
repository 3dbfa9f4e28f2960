"""Workers that are actors of a Ray cluster.

The code of this checkout travels to the workers; what it imports (torch, OpenCV, rosbags) must be
installed there, and data, weights and results must lie under the same paths on every host.
"""

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from amg_fuse_ros.spread.machine import limit_threads
from amg_fuse_ros.spread.processes import RAISED, READY, Answer, answer_of, made_from, result_of
from amg_fuse_ros.spread.team import SpreadError, WorkerLostError

PACKAGE = Path(__file__).resolve().parents[1]


def import_ray() -> ModuleType:
    """The library, which is an optional extra.

    Raises:
        SpreadError: If it is not installed; says what to install.
    """
    try:
        import ray
    except ImportError as error:
        raise SpreadError(
            f"a Ray cluster needs the package ray, which cannot be imported ({error}); install it "
            "here and on the cluster: pip install ray"
        ) from error
    return ray


@contextmanager
def connected(address: str, code: tuple[Path, ...] = ()) -> Iterator[ModuleType]:
    """Connect to a cluster; leave it at the end unless the caller had been connected before.

    Args:
        address: ``local`` starts one on this machine, ``auto`` takes the one that runs here, else
            its address, ``HOST:6379`` or ``ray://HOST:10001``.
        code: Packages (their folders) that travel to the workers beside this one.

    Yields:
        The library.

    Raises:
        SpreadError: If the library or the cluster is not there.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    travelling = [str(path) for path in (PACKAGE, *code)]
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": travelling},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, gRPC's own
        raise SpreadError(
            f"no Ray cluster at {address!r}: {_first_line(error)} Start one with "
            "`ray start --head`, name its address (HOST:6379), or take --ray local"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


class RayWorker:
    """An actor that makes its own function once and then calls it with job after job."""

    def __init__(
        self,
        ray: ModuleType,
        prepare: Callable[[], Callable[[Any], Any]],
        threads: int,
        gpus: float = 0,
    ) -> None:
        """Begin to start it.

        Args:
            ray: The connected library.
            prepare: Makes the function; sent to the actor, so it must be picklable.
            threads: For the numeric libraries in it, and the CPUs that it asks the cluster for.
            gpus: That it asks the cluster for; without, it sees none.
        """
        self._ray = ray
        actor = ray.remote(num_cpus=threads, num_gpus=gpus, max_restarts=0)(_Actor)
        self._actor = actor.remote(pickle.dumps(prepare), threads)

    def ready(self) -> None:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        self._get(self._actor.ready)

    def do(self, job: Any) -> Any:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        return self._get(self._actor.do, job)

    def stop(self) -> None:
        """See :class:`amg_fuse_ros.spread.team.Worker`."""
        self._ray.kill(self._actor)

    def _get(self, method: Any, *arguments: Any) -> Any:
        try:
            answer: Answer = self._ray.get(method.remote(*arguments))
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()
            raise WorkerLostError(
                f"the worker was lost: {reason[0] if reason else error}"
            ) from error
        return result_of(answer)


class _Actor:
    def __init__(self, prepare: bytes, threads: int) -> None:
        limit_threads(threads)
        self._made = answer_of(made_from, prepare)
        limit_threads(threads)  # for what only `prepare` loaded

    def ready(self) -> Answer:
        return self._made if self._made[0] == RAISED else (READY, None, "")

    def do(self, job: Any) -> Answer:
        return answer_of(self._made[1], job)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
