"""What a person sees of a run: progress bar, ``log.jsonl``, TensorBoard."""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from training.schedule import progress_bar, write_text_whole

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
BOARD = "tensorboard"


class Monitor:
    """Shows and records a run while it is entered; nothing it fails at stops the training.

    ``log.jsonl`` gets a line of JSON for each step recorded; lines of steps that are going to be
    done again are dropped first, so that a step appears once. TensorBoard is written where it is
    installed.

    Args:
        run: Folder of the run.
        steps: Length of the schedule.
        first_step: The step that comes next.
        enabled: Whether to do anything at all; one of several processes does.
    """

    def __init__(self, run: Path, steps: int, first_step: int, *, enabled: bool = True) -> None:
        self._run = run
        self._enabled = enabled
        self._failed = False
        self._bar = progress_bar()
        self._task = self._bar.add_task("train", total=steps, completed=first_step, loss="")
        self._board: Any = None
        if enabled:
            self._attempt(lambda: _drop_from(run / LOG, first_step))
            self._attempt(lambda: self._open_board(first_step))

    def __enter__(self) -> "Monitor":
        if self._enabled:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._enabled:
            self._bar.stop()
        if self._board is not None:
            self._attempt(self._board.close)

    def advance(self, loss: float) -> None:
        """One more step is done."""
        self._bar.update(self._task, advance=1, loss=f"{loss:.3f}")

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the numbers of a step, JSON-ready, under ``train/`` in TensorBoard."""
        self._write({"step": step, **values})
        self._scalars("train", step, values)

    def validated(self, step: int, scores: Mapping[str, float], images: Tensor) -> None:
        """Keep the scores and the pictures (N 3 H W in [0, 1]) after ``step`` steps."""
        self._write({"step": step, "validation": dict(scores)})
        self._scalars("validation", step, scores)
        board = self._board
        if board is not None:
            self._attempt(lambda: board.add_images("validation", images, step))

    def _write(self, entry: Mapping[str, Any]) -> None:
        if not self._enabled:
            return

        def append() -> None:
            with (self._run / LOG).open("a") as log:
                log.write(json.dumps(entry) + "\n")

        self._attempt(append)

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        board = self._board
        if board is None:
            return
        for name, value in values.items():
            self._attempt(lambda n=name, v=value: board.add_scalar(f"{group}/{n}", v, step))  # type: ignore[misc]

    def _open_board(self, first_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("tensorboard is not installed: %s has the numbers", self._run / LOG)
            return
        self._board = SummaryWriter(str(self._run / BOARD), purge_step=first_step)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if not self._failed:
                logger.warning("%s: cannot record (%s), training goes on", self._run, error)
            self._failed = True


def _drop_from(log: Path, step: int) -> None:
    """Drop the lines of ``step`` and later ones, and what a kill left of a half-written line."""
    if not log.is_file():
        return
    kept = []
    for line in log.read_text(errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            # A validation after n steps belongs to what step n - 1 left behind.
            if entry["step"] < step + ("validation" in entry):
                kept.append(line)
    write_text_whole("".join(f"{line}\n" for line in kept), log)
