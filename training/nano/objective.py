"""What ``nano`` is trained for: the fusion of the clean pair, and the clean visible image."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from amg_fuse_ros.network.nano import NanoOutput
from training.data.pairs import Batch
from training.losses import color_loss, gradient_loss, intensity_loss, ssim_loss

WEIGHTS: Mapping[str, float] = {
    "truth": 4.0,
    "edges": 8.0,
    "restored": 2.0,
    "residual": 0.1,
    "gradient": 2.0,
    "color": 2.0,
    "intensity": 1.0,
    "ssim": 1.0,
}
"""Of the terms; the last four are the paper's."""


def terms(output: NanoOutput, batch: Batch) -> dict[str, Tensor]:
    """The unweighted terms of a batch; the sources are the clean ones.

    ``truth`` and ``edges`` compare with the pseudo ground truth of the clean pair, pixel by pixel
    and in differences of neighbours; ``restored`` is VI' against the clean visible image, where
    the mask takes from it; ``residual`` keeps R small, so that M and VI' have to explain F.
    """
    fused, restored, mask, residual = output
    taken = mask.detach()
    return {
        "truth": F.l1_loss(fused, batch.pseudo),
        "edges": _edges(fused, batch.pseudo, 2) + _edges(fused, batch.pseudo, 3),
        "restored": ((restored - batch.visible).abs() * (0.25 + taken)).mean(),
        "residual": residual.abs().mean(),
        "gradient": gradient_loss(fused, batch.visible, batch.thermal),
        "color": color_loss(fused, batch.visible),
        "intensity": intensity_loss(fused, batch.visible, batch.thermal),
        "ssim": ssim_loss(fused, batch.visible, batch.thermal),
    }


def total(found: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum()


def _edges(fused: Tensor, truth: Tensor, axis: int) -> Tensor:
    return F.l1_loss(fused.diff(dim=axis), truth.diff(dim=axis))
