"""The training loop of the small helpers: restorer and label-free fusion.

One process, one device, time-boxed and resumable at any step; what a step computes is a function
of the settings and the step's number, so an interrupted run ends where an uninterrupted one does.
"""

import json
import logging
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from training.config import TrainingConfig
from training.data.pairs import PairFiles, manifest
from training.schedule import (
    StopSignal,
    TrainingDivergedError,
    progress_bar,
    save_whole,
    update_average,
    warmup_cosine,
)

logger = logging.getLogger(__name__)

MONITOR_EVERY = 20
SAVE_EVERY_S = 120.0


class OnDevice(Protocol):
    """A batch: it knows how to move to a device."""

    def to(self, device: torch.device) -> "OnDevice":
        """The same batch with its tensors on ``device``."""
        ...


Batch = TypeVar("Batch", bound=OnDevice)


@dataclass(frozen=True)
class FitSettings:
    """Everything besides the data that decides what a run computes.

    Raises:
        ValueError: If a value makes no sense.
    """

    steps: int
    """Length of the learning-rate schedule; the run is finished after as many."""
    seed: int = 0
    crop: int = 128
    batch: int = 4
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 50
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    initial: str = ""
    """Hash of the weights that the run started from; empty for fresh ones."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.steps < 1:
            raise ValueError(f"expected batch and steps >= 1, found {self.batch}, {self.steps}")

    def sampling(self, *, degrade: bool = False) -> TrainingConfig:
        """What :class:`training.data.pairs.PairDataset` needs for crops of these settings."""
        return TrainingConfig(
            seed=self.seed,
            crop=self.crop,
            batch=self.batch,
            steps=self.steps,
            rescale=(0.6, 1.3),
            degrade=degrade,
        )

    def stage(self, step: int) -> tuple[int, int]:
        """Where in its stage of the training a step is: (step within the stage, its length)."""
        return step, self.steps

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up and cosine within its stage."""
        within, length = self.stage(step)
        return warmup_cosine(
            within,
            steps=length,
            warmup=self.warmup_steps,
            high=self.learning_rate,
            low=self.final_learning_rate,
        )


@dataclass
class Fitted:
    """What a run has come to: its steps and seconds so far, and the averaged weights."""

    step: int
    seconds: float
    average: dict[str, Tensor]


def describe(fitted: Fitted, settings: FitSettings, pairs: Sequence[PairFiles]) -> dict[str, Any]:
    """The part of a weights file's card that says how it was trained and on what."""
    return {
        "steps": fitted.step,
        "minutes": round(fitted.seconds / 60, 1),
        "settings": asdict(settings),
        "data": manifest(pairs),
    }


def state_path(out: Path) -> Path:
    """Where the state of a run lies that writes the weights file ``out``."""
    return out.with_name(out.stem + ".ckpt")


def fit(
    model: nn.Module,
    data: Dataset[Batch],
    terms: Callable[[Batch, int], Mapping[str, Tensor]],
    out: Path,
    settings: FitSettings,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Fitted:
    """Train ``model``, or go on with the run beside ``out``, until steps or minutes are spent.

    Writes the run's state (``.ckpt``) and its losses (``.jsonl``, a line every 20 steps) beside
    ``out``, never ``out`` itself. SIGTERM and SIGINT save before the function returns.

    Args:
        model: All that is trained, on ``device``; after the return it holds the last weights,
            not the averaged ones.
        data: Item s is the batch of step s; as many items as steps.
        terms: The weighted terms of the loss of a batch at a step, by name.
        out: The weights file that the caller is going to write.
        settings: A run that exists must have been started with the same.
        minutes: Time box; ``None`` trains to the end.
        device: Where the batches go.
        workers: Processes that prepare batches; 0 prepares them in between.

    Raises:
        ValueError: If the run was started with other settings, or its state cannot be read.
        TrainingDivergedError: If loss or gradient is not finite; the saved state stays as it was.
    """
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    fitted = _resume(state_path(out), settings, model, optimizer, average)
    before = fitted.seconds

    def save() -> None:
        state = {
            "settings": asdict(settings),
            "step": fitted.step,
            "seconds": fitted.seconds,
            "model": model.state_dict(),
            "average": average,
            "optimizer": optimizer.state_dict(),
        }
        save_whole(state, state_path(out))

    rest = Subset(data, range(fitted.step, settings.steps))
    loader = DataLoader(rest, batch_size=None, num_workers=workers)
    saved = time.monotonic()
    log_path = out.with_name(out.stem + ".jsonl")
    with StopSignal() as stop, progress_bar() as bar, log_path.open("a") as log:
        task = bar.add_task("fit", total=settings.steps, completed=fitted.step, loss="")
        for sampled in loader:
            batch, step = sampled.to(torch.device(device)), fitted.step
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
            values = _update(model, optimizer, terms(batch, step), step, settings.clip_norm)
            update_average(average, model, settings.ema_decay, settings.stage(step)[0])
            fitted.step += 1
            fitted.seconds = before + time.monotonic() - began
            bar.update(task, advance=1, loss=f"{sum(values.values()):.4f}")
            if step % MONITOR_EVERY == 0:
                log.write(json.dumps({"step": step, **values}) + "\n")
                log.flush()
            if stop.asked or (minutes is not None and time.monotonic() - began > minutes * 60):
                logger.info("stopped at step %d of %d", fitted.step, settings.steps)
                break
            if time.monotonic() - saved > SAVE_EVERY_S:
                save()
                saved = time.monotonic()
    save()
    return fitted


def _update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    terms: Mapping[str, Tensor],
    step: int,
    clip_norm: float,
) -> dict[str, float]:
    values = {name: float(value.detach()) for name, value in terms.items()}
    optimizer.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    if not torch.isfinite(norm):
        raise TrainingDivergedError(f"step {step}: loss or gradient is not finite, {values}")
    optimizer.step()
    return values


def _resume(
    path: Path,
    settings: FitSettings,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> Fitted:
    if not path.is_file():
        return Fitted(0, 0.0, average)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        then = state["settings"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path}: expected the state of a run, found a file that cannot be read ({error}); "
            "delete it to start anew"
        ) from error
    now = asdict(settings)
    if then != now:
        differing = {k: (then.get(k), v) for k, v in now.items() if then.get(k) != v}
        raise ValueError(
            f"{path}: the run was started with other settings (then, now): {differing}; "
            "repeat those, or choose another output file"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    average.update(state["average"])
    return Fitted(state["step"], state["seconds"], average)
