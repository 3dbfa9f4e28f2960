"""What every training loop here needs: learning rate, averaged weights, saving, being stopped."""

import math
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number; the message says at which step, sample and term."""


def warmup_cosine(step: int, *, steps: int, warmup: int, high: float, low: float) -> float:
    """Learning rate: a linear rise over ``warmup`` steps to ``high``, then a cosine to ``low``."""
    if step < warmup:
        return high * (step + 1) / warmup
    share = (step - warmup) / max(steps - warmup, 1)
    return low + (high - low) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def update_average(average: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Move the exponential average of the weights after step ``step``, in place.

    The decay rises from 0.1 at step 0, so that the first, poor weights are soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - decay)


def save_whole(state: Any, path: Path) -> None:
    """``torch.save`` whole or not at all: a kill or a full disk leaves the former file.

    Raises:
        OSError: If it cannot be written; the message says so for people.
    """
    _write_whole(path, lambda file: torch.save(state, file))


def write_text_whole(text: str, path: Path) -> None:
    """Write a text file as :func:`save_whole` does, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    _write_whole(path, lambda file: file.write(text.encode()))


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch turns what write() raises into the latter
        with suppress(OSError):
            partial.unlink()
        cause = error if isinstance(error, OSError) else error.__context__ or error
        kept = "the former one is as it was" if path.is_file() else "there is none yet"
        raise OSError(f"{path}: cannot be written ({cause}), {kept}; is the disk full?") from error


def progress_bar() -> Progress:
    """A bar with steps, loss (the task's field ``loss``) and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )


class StopSignal:
    """Remembers SIGTERM and SIGINT while it is entered, so that the loop can save and leave."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopSignal":
        signals = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._ask) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
