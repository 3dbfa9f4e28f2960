"""``python -m training.nano.fit``: train the size nano, in resumable pieces.

python -m training.nano.fit --data DIR --out runs/nano --minutes 30
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from amg_fuse_ros.allocator import keep_big_blocks
from amg_fuse_ros.network.checkpoint import check_keys, read_tensors, save_tensors
from amg_fuse_ros.network.nano import CHANNELS, Nano, channels_of
from training.config import TrainingConfig
from training.data.pairs import Batch, PairDataset, find_pairs, manifest, split_by_scene
from training.nano.objective import terms, total
from training.run_folder import commit
from training.schedule import save_whole, update_average, warmup_cosine

RESCALE = (0.4, 1.5)
"""Crops at other focal lengths; below 0.7 they see more of a scene, and of its haze."""

WARMUP = 200
EMA_DECAY = 0.999
SAVE_EVERY_S = 60.0
TELL_EVERY = 100


def fit(
    data: Annotated[Path, typer.Option(help="Folder of clean pairs, see training.fit.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; one that exists goes on.")],
    steps: Annotated[int, typer.Option(help="Of the whole training.")] = 20_000,
    minutes: Annotated[float, typer.Option(help="Leave after so many; 0 stays to the end.")] = 0.0,
    batch: Annotated[int, typer.Option(help="Crops a step.")] = 16,
    crop: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 2e-3,
    init: Annotated[
        Path | None, typer.Option(help="Weights that a new run begins with, instead of none.")
    ] = None,
    channels: Annotated[
        tuple[int, int, int, int],
        typer.Option(help="Features at 1/2, 1/4, 1/8 and 1/16 of the resolution."),
    ] = CHANNELS,
    particles: Annotated[
        float, typer.Option(help="Weight of what is left of streaks and flakes.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of weights and samples.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that load.")] = 1,
    threads: Annotated[int, typer.Option(help="Of the training itself; 0: torch's choice.")] = 0,
) -> None:
    """Train nano from nothing, or go on with a run."""
    keep_big_blocks()
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    config = TrainingConfig(batch=batch, crop=crop, steps=steps, seed=seed, rescale=RESCALE)
    train, held_out = split_by_scene(find_pairs(data))
    dataset = PairDataset(train, config)
    network = Nano(channels)
    if init is not None:
        begin_with(network, init)
    network.train().to(memory_format=torch.channels_last)
    average = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=1e-4)
    out.mkdir(parents=True, exist_ok=True)
    step, before_s = _resume(out, network, average, optimizer)
    about = {"data": manifest(dataset.pairs), "crop": crop, "batch": batch}
    typer.echo(f"{len(dataset.pairs)} pairs, {len(held_out)} held out; from step {step} of {steps}")
    began = saved = time.monotonic()
    log = (out / "log.jsonl").open("a")
    for number, found in enumerate(_batches(dataset, step, workers), start=step):
        rate = warmup_cosine(
            number, steps=steps, warmup=WARMUP, high=learning_rate, low=0.005 * learning_rate
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        output = network(found.visible_degraded, found.thermal_degraded)
        parts = terms(output, found, particles=particles > 0)
        loss = total(parts, particles)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not norm.isfinite():
            raise RuntimeError(f"step {number}: the gradient is not finite ({found.names})")
        optimizer.step()
        update_average(average, network, EMA_DECAY, number)
        step = number + 1
        now = time.monotonic()
        if step % TELL_EVERY == 0:
            row = {k: round(v.item(), 5) for k, v in parts.items()}
            log.write(json.dumps({"step": step, "loss": loss.item(), "rate": rate, **row}) + "\n")
            log.flush()
        over = bool(minutes) and now - began > 60 * minutes
        if now - saved > SAVE_EVERY_S or over or step == steps:
            saved = now
            seconds = before_s + now - began
            _save(out, network, average, optimizer, step, seconds)
            export(out, average, {**about, "steps": step, "minutes": round(seconds / 60, 1)})
        if over:
            break
    typer.echo(f"step {step} of {steps}: {out / 'nano.safetensors'}")


def begin_with(network: Nano, weights: Path) -> None:
    """Take over the weights of a file; parts that it lacks stay as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged, holds none of nano's parts, or others of another shape.
    """
    state = {**network.state_dict(), **read_tensors(weights)}
    check_keys(state, network.state_dict(), "size 'nano'", weights)
    network.load_state_dict(state)


def export(out: Path, average: dict[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write the averaged weights with their card, in half precision (below 1 MB)."""
    card = {
        "size": "nano",
        "weights": "exponential average",
        **about,
        "commit": commit(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    save_tensors(average, out / "nano.safetensors", card, torch.float16)


def _batches(dataset: PairDataset, first: int, workers: int) -> Iterator[Batch]:
    rest = Subset(dataset, range(first, len(dataset)))
    yield from DataLoader(
        rest, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
    )


def _resume(
    out: Path, network: Nano, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Go on from the last checkpoint: the step, and the seconds spent so far.

    Raises:
        ValueError: If it is one of a network of another width.
    """
    path = out / "last.ckpt"
    if not path.is_file():
        return 0, 0.0
    state: dict[str, Any] = torch.load(path, weights_only=True)
    then, now = channels_of(state["network"]), channels_of(network.state_dict())
    if then != now:
        raise ValueError(
            f"{path}: expected --channels {' '.join(map(str, then))}, as the run began, "
            f"found {' '.join(map(str, now))}; use them or another --out"
        )
    network.load_state_dict(state["network"])
    average.update(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["seconds"])


def _save(
    out: Path,
    network: Nano,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> None:
    content = {
        "network": network.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    save_whole(content, out / "last.ckpt")


if __name__ == "__main__":
    typer.run(fit)
