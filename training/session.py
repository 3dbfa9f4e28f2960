"""How a run is carried out: device, processes, time; and the network it begins with."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from amg_fuse_ros.network import AMGFuse, load_weights
from training.acceleration import accelerate
from training.config import TrainingConfig
from training.data.pairs import PairFiles
from training.pseudo_truth import PseudoTruth
from training.schedule import warmup_cosine
from training.variants import replace_cross_attention


@dataclass(frozen=True)
class Inputs:
    """What a run is made from, besides its settings."""

    pairs: Sequence[PairFiles]
    """Clean pairs to train on."""
    validation: Sequence[PairFiles] = ()
    """Pairs of other scenes to choose the best weights by; may be empty."""
    initial_weights: Path | None = None
    """Weights file to start a new run from, instead of fresh weights."""
    restorer: Path | None = None
    """R of the TDAS term, see :func:`training.restorer.load_restorer`."""
    pseudo_truth: PseudoTruth | None = None
    """Makes the pseudo ground truth; the data set's own or the classical one otherwise."""


@dataclass(frozen=True)
class Session:
    """How a run is carried out; changes no result beyond rounding."""

    minutes: float | None = None
    """Time box; ``None`` trains to the end of the schedule."""
    accelerator: str = "auto"
    """``cpu``, ``cuda`` or ``auto``, as Lightning Fabric names them."""
    devices: int | str = "auto"
    strategy: str = "auto"
    precision: Any = "32-true"
    """Lightning Fabric's: ``32-true`` or ``bf16-mixed``."""
    workers: int = 1
    """Processes that prepare batches, for each training process; 0 prepares them in between."""
    save_every_s: float = 300.0
    record_every: int = 20
    """Steps between two lines of the log."""
    extend: bool = False
    """Go on with another length or other data than the run was started with."""


def make_fabric(session: Session) -> Fabric:
    """Device, precision and strategy; under torchrun one process a device, data parallel.

    Raises:
        ValueError: If there is no such device, precision or strategy.
    """
    devices, strategy, nodes = session.devices, session.strategy, 1
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and "LOCAL_WORLD_SIZE" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = processes // devices
        strategy = "ddp" if strategy == "auto" else strategy
    try:
        fabric = Fabric(
            accelerator=session.accelerator,
            devices=devices,
            strategy=strategy,
            num_nodes=nodes,
            precision=session.precision,
        )
    except RuntimeError as error:  # so Fabric says that a device is missing
        raise ValueError(f"accelerator {session.accelerator}: {error}") from error
    fabric.launch()
    return fabric


def make_network(config: TrainingConfig, initial_weights: Path | None = None) -> AMGFuse:
    """The network of a configuration on the CPU, seeded, ready to train.

    Raises:
        FileNotFoundError: If the initial weights are not there.
        WeightsError: If they are damaged or of another size.
    """
    torch.manual_seed(config.seed)
    if initial_weights is None:
        network = AMGFuse.from_size(config.size)
    else:
        loaded = load_weights(initial_weights, size=config.size)
        if not isinstance(loaded, AMGFuse):
            raise ValueError(f"{initial_weights}: nano is trained by training.nano.fit")
        network = loaded
    replace_cross_attention(network, config.cross_attention)
    accelerate(network)
    return network.train().to(memory_format=torch.channels_last)


def learning_rate(config: TrainingConfig, step: int, moments_since: int = 0) -> float:
    """Linear warm-up, then a cosine from ``learning_rate`` to ``final_learning_rate``.

    Where the optimiser's moments began anew at ``moments_since``, the rate rises from there again.
    """
    rate = warmup_cosine(
        step,
        steps=config.steps,
        warmup=config.warmup_steps,
        high=config.learning_rate,
        low=config.final_learning_rate,
    )
    if moments_since and config.warmup_steps:
        rate *= min(1.0, (step - moments_since + 1) / config.warmup_steps)
    return rate
