"""What a configured node fuses with: a frame maker, the worker that runs it, and its successors."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from amg_fuse_ros.engine.progress import is_building
from amg_fuse_ros.ros.camera import Job
from amg_fuse_ros.ros.health import Health
from amg_fuse_ros.ros.worker import LatestWorker
from amg_fuse_ros.setting import Settings

if TYPE_CHECKING:  # torch takes seconds to import
    from amg_fuse_ros.fusion import Fuser
    from amg_fuse_ros.ros.frames import FrameMaker

STOP_TIMEOUT_S = 1.0


class Fusing:
    """Makes frames of the newest jobs in a thread of its own, until it is closed.

    Where an engine hangs, a maker with the next one takes over.
    """

    def __init__(
        self,
        fuser: "Fuser",
        make_maker: Callable[["Fuser"], "FrameMaker"],
        settings: Settings,
        health: Health,
        period: Callable[[], object],
    ) -> None:
        """Start.

        Args:
            fuser: The first one.
            make_maker: Makes the maker that uses a fuser.
            settings: The node's.
            health: Told of failures and hangs.
            period: The node's time of activity, ``None`` while it has none: a frame that was begun
                in another one is not published.
        """
        self.maker = make_maker(fuser)
        self._make_maker, self._settings, self._period = make_maker, settings, period
        self._lock = Lock()
        self._closed = False
        self._worker: LatestWorker[Job] = LatestWorker(
            self._make_frame,
            health.note_failure,
            "fusion",
            hang_timeout_s=float(settings["hang_timeout_s"]),
            on_hang=health.note_hang,
            renew=self._take_over,
            excused=is_building,
        )

    @property
    def stalled(self) -> bool:
        """Whether the engine hung so often that nothing more is begun."""
        return self._worker.stalled

    def put(self, job: Job) -> bool:
        """Leave a job; whether it replaces one that had not been begun."""
        return self._worker.put(job)

    def clear(self) -> None:
        """Take back the job that waits, if any."""
        self._worker.clear()

    def heed_settings(self) -> None:
        """Put the worker's live settings into effect; the maker heeds its own."""
        self._worker.hang_timeout_s = float(self._settings["hang_timeout_s"])

    def stop(self) -> None:
        """Begin nothing more; the frame under way is waited for, but not for long."""
        self._worker.stop(STOP_TIMEOUT_S)

    def close(self) -> None:
        """Stop, and let the fuser go: after the frame under way where that takes longer."""
        with self._lock:
            self._closed = True
        self.stop()
        self.maker.close()

    def _make_frame(self, job: Job) -> Callable[[], None] | None:
        period = self._period()
        publish = self.maker(job)
        return publish if period is not None and self._period() is period else None

    def _take_over(self) -> Callable[[Job], Callable[[], None] | None]:
        former = self.maker
        former.retired = True
        reason = f"no result within {float(self._settings['hang_timeout_s']):g} s"
        maker = self._make_maker(former.fuser.replacement(reason))
        maker.follow(former)
        with self._lock:
            if not self._closed:
                self.maker = maker
                return self._make_frame
        maker.close()
        raise RuntimeError("the node was cleaned up while another engine was made")
