"""The weighted loss of a configuration, and what to say when it is no longer a number."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from amg_fuse_ros.network import FusionOutput
from training.config import TrainingConfig
from training.data.pairs import Batch
from training.losses import (
    color_loss,
    gradient_loss,
    intensity_loss,
    mgls_loss,
    ssim_loss,
    tdas_loss,
)
from training.supervision import edge_error, particles_left, structure_error

Average = Callable[[Tensor], Tensor]
"""The mean of a tensor over all processes."""

EXPLODED = 100.0
"""A loss of so many times the running mean is not learned from."""
_NAMED = 5
"""So many culprits are enough to know."""
_CALM = 20
"""Steps until the running mean counts."""


def _alone(value: Tensor) -> Tensor:
    return value


class Objective:
    """Equation 12 and the published code's terms, weighted as the configuration says.

    Args:
        config: Weights, and the steps over which lambda falls.
        restorer: R of equation 9, frozen, on the device of the batches; needed for TDAS.
        average: Mean over the processes that share a batch; SSIM's weights are shares over the
            whole batch (:func:`training.losses.ssim_loss`).
        autocast: Context in which the restorer runs.

    Raises:
        ValueError: If TDAS is wanted and there is no restorer, or the other way round.
    """

    def __init__(
        self,
        config: TrainingConfig,
        restorer: nn.Module | None = None,
        average: Average = _alone,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        check_restorer(config, given=restorer is not None)
        self.config = config
        self.restorer = restorer
        self.average = average
        self.autocast = autocast

    def terms(self, output: FusionOutput, batch: Batch, step: int) -> dict[str, Tensor]:
        """The weighted terms for one batch at step ``step``, by name."""
        return self._terms(output, batch, step, self.average)

    def _terms(
        self, output: FusionOutput, batch: Batch, step: int, average: Average
    ) -> dict[str, Tensor]:
        w = self.config.losses
        fused, vi, ir = output.fused, batch.visible, batch.thermal
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "gradient": (w.gradient, lambda: gradient_loss(fused, vi, ir)),
            "color": (w.color, lambda: color_loss(fused, vi)),
            "intensity": (w.intensity, lambda: intensity_loss(fused, vi, ir)),
            "ssim": (w.ssim, lambda: ssim_loss(fused, vi, ir, average=average)),
            "pseudo": (w.pseudo, lambda: (fused - batch.pseudo).abs().mean()),
            "pseudo_edges": (w.pseudo_edges, lambda: edge_error(fused, batch.pseudo)),
            "pseudo_structure": (w.pseudo_structure, lambda: structure_error(fused, batch.pseudo)),
            "particles": (
                w.particles,
                lambda: particles_left(fused - batch.pseudo, vi, batch.visible_degraded),
            ),
            "tdas": (
                w.tdas,
                lambda: tdas_loss(
                    fused,
                    batch.visible_degraded,
                    batch.thermal_degraded,
                    self._restore,
                    published_form=w.tdas_published_form,
                ),
            ),
        }
        weighted = {name: weight * term() for name, (weight, term) in terms.items() if weight > 0}
        if w.mgls > 0 or w.mgls_final > 0:
            share = min(step / self.config.steps, 1.0)
            weighted["mgls"] = (w.mgls + (w.mgls_final - w.mgls) * share) * mgls_loss(
                output.visible,
                output.thermal,
                batch.pseudo,
                vi,
                ir,
                first_channel_only=w.mgls_first_channel_only,
            )
        return weighted

    def _restore(self, image: Tensor) -> Tensor:
        assert self.restorer is not None  # checked at the start
        with self.autocast():
            restored: Tensor = self.restorer(image)
        return restored.to(image.dtype)

    def blame(self, network: nn.Module, batch: Batch, step: int) -> str:
        """Which samples and terms of a batch give a loss or a gradient that is not finite.

        Goes through the batch sample by sample and term by term; where each is fine by itself the
        largest terms are named.
        """
        parameters = [p for p in network.parameters() if p.requires_grad]
        guilty: list[str] = []
        largest: list[tuple[float, str]] = []
        for i, name in enumerate(batch.names):
            if len(guilty) >= _NAMED:
                break
            one = _sample(batch, i)
            output = FusionOutput(*network(one.visible_degraded, one.thermal_degraded))
            for term, value in self._terms(output, one, step, _alone).items():
                grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
                finite_grads = all(bool(g.isfinite().all()) for g in grads if g is not None)
                if not torch.isfinite(value):
                    guilty.append(f"{name}: loss term {term}")
                elif not finite_grads:
                    guilty.append(f"{name}: gradient of the loss term {term}")
                else:
                    size = float(value.detach())
                    largest.append((size, f"{name}: {term} = {size:.4g}"))
        if guilty:
            return "not finite: " + "; ".join(guilty)
        return "largest: " + "; ".join(text for _, text in sorted(largest, reverse=True)[:3])


def _sample(batch: Batch, i: int) -> Batch:
    one = slice(i, i + 1)
    return Batch(
        batch.visible[one],
        batch.thermal[one],
        batch.visible_degraded[one],
        batch.thermal_degraded[one],
        batch.pseudo[one],
        batch.names[one],
    )


def check_restorer(config: TrainingConfig, *, given: bool) -> None:
    """Raise a ValueError where TDAS is weighted without a restorer, or the other way round."""
    if config.losses.tdas > 0 and not given:
        raise ValueError(
            f"losses.tdas is {config.losses.tdas:g}: expected a restorer's file (--restorer), "
            "found none. Train one with `python -m training.restorer fit`, or set losses.tdas "
            "to 0 (--set losses.tdas=0)"
        )
    if given and config.losses.tdas == 0:
        raise ValueError(
            "a restorer was given and losses.tdas is 0, so it would do nothing: leave it out, or "
            "weigh the term (--set losses.tdas=5)"
        )


class LossWatch:
    """Tells when a loss is no longer finite or far above what it was."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._seen = 0

    def diverged(self, loss: float) -> bool:
        """Look at one step's loss."""
        if not math.isfinite(loss):
            return True
        if self._seen >= _CALM and loss > EXPLODED * self._mean:
            return True
        self._seen += 1
        self._mean += (loss - self._mean) / min(self._seen, _CALM)
        return False


def freeze_unused(network: nn.Module, objective: Objective) -> list[str]:
    """Exclude from training what the loss does not depend on; returns the parameters' names.

    The authors' files hold modules that are never computed (``patch_embed_f``,
    ``encoder_level1_f``, ``CA_processors.7`` and ``.8``, ``mask_processors.7``), and ablations
    leave out others. Frozen, they cost data-parallel training nothing; otherwise it would wait
    for their gradients or have to search the graph in every step.
    """
    generator = torch.Generator().manual_seed(0)
    example = next(network.parameters())

    def image(channels: int) -> Tensor:
        drawn = torch.rand(1, channels, 16, 16, generator=generator, dtype=torch.float64)
        return drawn.to(example.device, example.dtype)

    batch = Batch(image(3), image(1), image(3), image(1), image(3), ("probe",))
    output = FusionOutput(*network(batch.visible_degraded, batch.thermal_degraded))
    terms = Objective(objective.config, objective.restorer).terms(output, batch, 0)
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    total = torch.stack(list(terms.values())).sum()
    parameters = [p for _, p in named]
    grads: Sequence[Tensor | None] = torch.autograd.grad(total, parameters, allow_unused=True)
    unused = []
    for (name, parameter), grad in zip(named, grads, strict=True):
        if grad is None:
            parameter.requires_grad_(False)
            unused.append(name)
    return unused
