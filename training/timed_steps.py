"""One full training step, as the trainer does it and in the plain formulation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.plain import use_plain_formulation
from training.config import TrainingConfig
from training.data.pairs import Batch
from training.objective import Objective, freeze_unused
from training.session import Session, make_fabric, make_network
from training.trainer import forward_backward


@dataclass(frozen=True)
class Case:
    """What is timed."""

    config: TrainingConfig
    accelerator: str = "cpu"
    precision: str = "32-true"
    """Of the accelerated step; the plain one is always float32."""
    threads: int = 0
    """CPU threads; 0 leaves torch's choice."""


Step = Callable[[], float]
"""One training step; returns its loss."""


def random_batch(config: TrainingConfig, device: torch.device) -> Batch:
    """A batch of noise in [0, 1], the same every time."""
    generator = torch.Generator().manual_seed(0)

    def image(channels: int) -> torch.Tensor:
        shape = (config.batch, channels, config.crop, config.crop)
        return torch.rand(shape, generator=generator).to(device)

    names = tuple(f"noise {i}" for i in range(config.batch))
    return Batch(image(3), image(1), image(3), image(1), image(3), names)


def plain_step(case: Case) -> Step:
    """A step of the plain formulation: forward, losses, backward, clipping, Adam."""
    torch.manual_seed(case.config.seed)
    device = torch.device("cuda" if case.accelerator in ("cuda", "gpu") else "cpu")
    network: nn.Module = AMGFuse.from_size(case.config.size).to(device)
    use_plain_formulation(network)
    objective = Objective(case.config)
    optimizer = torch.optim.Adam(network.parameters(), lr=case.config.learning_rate)
    batch = random_batch(case.config, device)

    def step() -> float:
        optimizer.zero_grad()
        output = network(batch.visible_degraded, batch.thermal_degraded)
        loss = torch.stack(list(objective.terms(output, batch, 0).values())).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), case.config.clip_norm or math.inf)
        optimizer.step()
        return float(loss.detach())

    return step


def accelerated_step(case: Case, restorer: nn.Module | None = None) -> Step:
    """The same step with the trainer's network, layout, precision and code.

    Args:
        case: What to do.
        restorer: R of the TDAS term where the settings weigh it, on the CPU.
    """
    fabric = make_fabric(Session(accelerator=case.accelerator, precision=case.precision))
    network = make_network(case.config)
    freeze_unused(network, Objective(case.config, restorer))
    adam = torch.optim.Adam(network.parameters(), lr=case.config.learning_rate)
    model, optimizer = fabric.setup(network, adam)
    restorer = restorer.to(fabric.device) if restorer else None
    objective = Objective(case.config, restorer, autocast=fabric.autocast)
    batch = random_batch(case.config, fabric.device)

    def step() -> float:
        optimizer.zero_grad()
        terms = forward_backward(fabric, model, objective, batch, 0)
        fabric.clip_gradients(model, optimizer, max_norm=case.config.clip_norm or math.inf)
        optimizer.step()
        return float(torch.stack(list(terms.values())).sum())

    return step
