"""What ``nano`` is trained for: the fusion of the clean pair, and the clean visible image."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from amg_fuse_ros.network.nano import NanoOutput
from training.data.pairs import Batch
from training.losses import color_loss, gradient_loss

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
"""Of the terms; the last two are the paper's."""

HIDDEN = 0.2
"""A visible image that differs from the clean one by so much counts as hidden there."""

WINDOW = 7
"""Pixels a side over which ``structure`` compares."""


def terms(output: NanoOutput, batch: Batch) -> dict[str, Tensor]:
    """The unweighted terms of a batch; the sources are the clean ones.

    ``truth``, ``edges`` and ``structure`` compare with the pseudo ground truth of the clean pair:
    pixel by pixel, in differences of neighbours, and by the structural similarity of luminance in
    square windows. ``weather`` is the first of these again, only where weather hides the visible
    image: drops and flakes cover few pixels, but it is they that flicker. ``restored`` is VI'
    against the clean visible image, where the mask takes from it; ``residual`` keeps R small, so
    that M and VI' have to explain F.
    """
    fused, restored, mask, residual = output
    taken = mask.detach()
    return {
        "truth": F.l1_loss(fused, batch.pseudo),
        "weather": _where_weather_fell(fused - batch.pseudo, batch),
        "edges": _edges(fused, batch.pseudo, 2) + _edges(fused, batch.pseudo, 3),
        "structure": 1 - _similarity(fused.mean(1, keepdim=True), batch.pseudo.mean(1, True)),
        "restored": ((restored - batch.visible).abs() * (0.25 + taken)).mean(),
        "residual": residual.abs().mean(),
        "gradient": gradient_loss(fused, batch.visible, batch.thermal),
        "color": color_loss(fused, batch.visible),
    }


def total(found: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum()


def _where_weather_fell(error: Tensor, batch: Batch) -> Tensor:
    hidden = (batch.visible_degraded - batch.visible).abs().mean(1, keepdim=True)
    share = (hidden / HIDDEN).clamp(max=1)
    return (error.abs() * share).mean() / (share.mean() + 0.05)


def _edges(fused: Tensor, truth: Tensor, axis: int) -> Tensor:
    return F.l1_loss(fused.diff(dim=axis), truth.diff(dim=axis))


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM (Wang et al., 2004) with a box for a window; values in [0, 1]."""
    joined = torch.cat((x, y, x * x, y * y, x * y), 1)
    mean_x, mean_y, xx, yy, xy = F.avg_pool2d(joined, WINDOW, 1).unbind(1)
    covariance = xy - mean_x * mean_y
    variances = (xx - mean_x * mean_x) + (yy - mean_y * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (numerator / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean()
