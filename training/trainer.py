"""The training loop: step, log, validate, checkpoint; one function, resumable at any step."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from amg_fuse_ros.network import AMGFuse, FusionOutput, load_weights
from training.config import TrainingConfig
from training.data.pairs import Batch, PairDataset, PairFiles
from training.fast_convolution import accelerate
from training.losses import color_loss, gradient_loss, intensity_loss, mgls_loss, ssim_loss
from training.schedule import (
    StopSignal,
    TrainingDivergedError,
    progress_bar,
    save_whole,
    update_average,
    warmup_cosine,
)

logger = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
MONITOR_EVERY = 20
CHECKPOINT_EVERY_S = 300.0


@dataclass
class Progressed:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0


def loss_terms(
    output: FusionOutput, batch: Batch, config: TrainingConfig, step: int
) -> dict[str, Tensor]:
    """The weighted terms of equation 12 (and the published code's) for one batch, by name."""
    w = config.losses
    vi, ir = batch.visible, batch.thermal
    lam = w.mgls + (w.mgls_final - w.mgls) * min(step / config.steps, 1.0)
    terms = {
        "gradient": (w.gradient, lambda: gradient_loss(output.fused, vi, ir)),
        "color": (w.color, lambda: color_loss(output.fused, vi)),
        "intensity": (w.intensity, lambda: intensity_loss(output.fused, vi, ir)),
        "ssim": (w.ssim, lambda: ssim_loss(output.fused, vi, ir)),
        "pseudo": (w.pseudo, lambda: (output.fused - batch.pseudo).abs().mean()),
        "mgls": (lam, lambda: mgls_loss(output.visible, output.thermal, batch.pseudo, vi, ir)),
    }
    return {name: weight * term() for name, (weight, term) in terms.items() if weight > 0}


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then a cosine from ``learning_rate`` to ``final_learning_rate``."""
    return warmup_cosine(
        step,
        steps=config.steps,
        warmup=config.warmup_steps,
        high=config.learning_rate,
        low=config.final_learning_rate,
    )


def train(
    config: TrainingConfig,
    pairs: Sequence[PairFiles],
    run: Path,
    *,
    minutes: float | None = None,
    initial_weights: Path | None = None,
    precision: Any = "32-true",
    workers: int = 1,
) -> Progressed:
    """Train, or go on with the run in ``run``, until its steps or its minutes are spent.

    Writes ``run.json`` (the settings, the pairs), ``log.jsonl`` (a line every 20 steps) and
    ``last.ckpt``. SIGTERM and SIGINT save before the function returns.

    Args:
        config: The settings; a run that exists must have been started with the same.
        pairs: Clean pairs to train on.
        run: Folder of the run, created when it is not there.
        minutes: Time box; ``None`` trains to the end of the schedule.
        initial_weights: Weights file to start a new run from, instead of fresh weights.
        precision: Lightning Fabric's precision, ``"32-true"`` or ``"bf16-mixed"``.
        workers: Processes that prepare batches.

    Raises:
        ValueError: If the run was started with other settings.
        TrainingDivergedError: If the loss is no longer finite; the last checkpoint stays as it was.
    """
    began = time.monotonic()
    fabric = Fabric(precision=precision)
    fabric.launch()
    torch.manual_seed(config.seed)
    network = load_weights(initial_weights) if initial_weights else AMGFuse.from_size(config.size)
    network = network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    accelerate(network)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    progressed = _resume(run, config, network, optimizer, average)
    _describe(run, config, pairs, initial_weights)

    dataset = PairDataset(pairs, config, rank=fabric.global_rank, processes=fabric.world_size)
    rest = Subset(dataset, range(progressed.step, config.steps))
    loader = DataLoader(rest, batch_size=None, num_workers=workers, prefetch_factor=4)
    model, optimizer = fabric.setup(network, optimizer)

    stop = StopSignal()
    last_saved = time.monotonic()
    spent_before = progressed.seconds
    with stop, progress_bar() as bar, (run / "log.jsonl").open("a") as log:
        task = bar.add_task("train", total=config.steps, completed=progressed.step, loss="")
        for sampled in loader:
            batch = sampled.to(fabric.device)
            step = progressed.step
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            output = model(batch.visible_degraded, batch.thermal_degraded)
            terms = loss_terms(output, batch, config, step)
            total = torch.stack(list(terms.values())).sum()
            _check_finite(total, terms, batch, step)
            optimizer.zero_grad()
            fabric.backward(total)
            norm = fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm)
            if not torch.isfinite(norm):
                raise TrainingDivergedError(
                    f"step {step}: the gradient is not finite, {batch.names}"
                )
            optimizer.step()
            update_average(average, network, config.ema_decay, step)

            progressed.step += 1
            progressed.seconds = spent_before + time.monotonic() - began
            bar.update(task, advance=1, loss=f"{float(total):.3f}")
            if step % MONITOR_EVERY == 0:
                values = {k: round(float(v), 5) for k, v in terms.items()}
                entry = {"step": step, "loss": float(total), "norm": float(norm), **values}
                log.write(json.dumps(entry) + "\n")
                log.flush()
            out_of_time = minutes is not None and time.monotonic() - began > minutes * 60
            if stop.asked or out_of_time or time.monotonic() - last_saved > CHECKPOINT_EVERY_S:
                save_checkpoint(run, config, network, optimizer, average, progressed)
                last_saved = time.monotonic()
            if stop.asked or out_of_time:
                logger.info("stopped at step %d of %d", progressed.step, config.steps)
                return progressed
    save_checkpoint(run, config, network, optimizer, average, progressed)
    return progressed


def save_checkpoint(
    run: Path,
    config: TrainingConfig,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    progressed: Progressed,
) -> None:
    """Write ``last.ckpt`` whole or not at all: a kill while writing leaves the former one."""
    state = {
        "config": config.to_dict(),
        "step": progressed.step,
        "seconds": progressed.seconds,
        "network": network.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    save_whole(state, run / CHECKPOINT)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The state that :func:`save_checkpoint` wrote into the folder ``run``."""
    state: dict[str, Any] = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)
    return state


def _resume(
    run: Path,
    config: TrainingConfig,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> Progressed:
    run.mkdir(parents=True, exist_ok=True)
    if not (run / CHECKPOINT).is_file():
        return Progressed()
    state = load_checkpoint(run)
    before, now = TrainingConfig.from_dict(state["config"]), config
    if before != now:
        old, new = before.to_dict(), now.to_dict()
        differing = {k: (old[k], new[k]) for k in old if old[k] != new[k]}
        raise ValueError(f"{run} was started with other settings (then, now): {differing}")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    average.update(state["average"])
    return Progressed(state["step"], state["seconds"])


def _describe(
    run: Path, config: TrainingConfig, pairs: Sequence[PairFiles], initial: Path | None
) -> None:
    description = {
        "config": config.to_dict(),
        "initial_weights": initial.name if initial else None,
        "torch": torch.__version__,
        "pairs": [p.name for p in pairs],
    }
    (run / "run.json").write_text(json.dumps(description, indent=1))


def _check_finite(total: Tensor, terms: dict[str, Tensor], batch: Batch, step: int) -> None:
    if not torch.isfinite(total):
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        raise TrainingDivergedError(f"step {step}: loss terms {bad} are not finite, {batch.names}")
