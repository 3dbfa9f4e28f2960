"""What ``nano`` is trained for: the fusion of the clean pair, and the clean visible image."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from amg_fuse_ros.network.nano import NanoOutput
from training.data.pairs import Batch
from training.losses import color_loss, gradient_loss
from training.supervision import edge_error, hidden_error, particles_left, structure_error

WEIGHTS: Mapping[str, float] = {
    "truth": 4.0,
    "weather": 2.0,
    "edges": 8.0,
    "structure": 1.0,
    "restored": 2.0,
    "residual": 0.1,
    "gradient": 3.0,
    "color": 4.0,
}
"""Of the terms; the last two are the paper's. Those of particles are off by default."""


def terms(output: NanoOutput, batch: Batch, *, particles: bool = False) -> dict[str, Tensor]:
    """The unweighted terms of a batch; the sources are the clean ones.

    ``truth``, ``edges`` and ``structure`` compare with the pseudo ground truth of the clean pair:
    pixel by pixel, in differences of neighbours, and by the structural similarity of luminance in
    square windows. ``weather`` is the first of these again, only where weather hides the visible
    image. ``restored`` is VI' against the clean visible image, where the mask takes from it;
    ``residual`` keeps R small, so that M and VI' have to explain F.

    With ``particles`` two more ask what share of each streak and flake is still in F and in VI'.
    """
    fused, restored, mask, residual = output
    vi, degraded, truth = batch.visible, batch.visible_degraded, batch.pseudo
    taken = mask.detach()
    found = {
        "truth": F.l1_loss(fused, truth),
        "weather": hidden_error(fused - truth, vi, degraded),
        "edges": edge_error(fused, truth),
        "structure": structure_error(fused, truth),
        "restored": ((restored - vi).abs() * (0.25 + taken)).mean(),
        "residual": residual.abs().mean(),
        "gradient": gradient_loss(fused, vi, batch.thermal),
        "color": color_loss(fused, vi),
    }
    if particles:
        found["particles"] = particles_left(fused - truth, vi, degraded)
        found["restored_particles"] = particles_left(restored - vi, vi, degraded)
    return found


def total(found: Mapping[str, Tensor], particles: float = 0.0) -> Tensor:
    """The weighted sum; ``particles`` is the weight of that term, half of it that of VI'."""
    weights = {**WEIGHTS, "particles": particles, "restored_particles": particles / 2}
    return torch.stack([weights[name] * value for name, value in found.items()]).sum()
