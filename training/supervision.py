"""How far a fused image is from the pseudo ground truth of the clean pair; terms of this project's.

The paper's losses compare with masked sources. These compare with one image and see what those
leave nearly free: fine edges, structure, and the faint rest of streaks and flakes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

HIDDEN = 0.2
"""A visible image that differs from the clean one by so much counts as hidden there."""

WINDOW = 7
"""Pixels a side over which :func:`structure_error` compares."""

FINE = 8
"""Pixels a side; what varies within so many is a streak, a drop or a flake, the rest a veil."""

NEIGHBOURHOOD = 16
"""Pixels a side over which :func:`particles_left` asks how much of them is left."""


def edge_error(fused: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the differences of neighbours, across and down; B C H W both."""
    across, down = (F.l1_loss(fused.diff(dim=d), truth.diff(dim=d)) for d in (3, 2))
    return down + across


def structure_error(fused: Tensor, truth: Tensor) -> Tensor:
    """1 - mean SSIM of luminance (Wang et al., 2004) with a box for a window; B C H W in [0, 1]."""
    x, y = fused.mean(1, keepdim=True), truth.mean(1, keepdim=True)
    mean_x, mean_y, xx, yy, xy = _box(torch.cat((x, y, x * x, y * y, x * y), 1)).unbind(1)
    covariance = xy - mean_x * mean_y
    variances = (xx - mean_x * mean_x) + (yy - mean_y * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return 1 - (numerator / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean()


def hidden_error(error: Tensor, visible: Tensor, visible_degraded: Tensor) -> Tensor:
    """Mean of an error, B 3 H W, where weather hides the visible image; 0 without weather."""
    hidden = (visible_degraded - visible).abs().mean(1, keepdim=True)
    share = (hidden / HIDDEN).clamp(max=1)
    return (error.abs() * share).mean() / (share.mean() + 0.05)


def particles_left(error: Tensor, visible: Tensor, visible_degraded: Tensor) -> Tensor:
    """How much of falling weather's fine structure an error follows, 0 to about 1.

    In each neighbourhood the slope of the error over what weather added to the visible image,
    without its sign (streaks drawn dark flicker as well), weighted by how much was added; other
    errors, which do not follow the particles, cancel out. 0 for a sample without weather.

    Args:
        error: Fused image less its truth, B 3 H W.
        visible: The clean image, B 3 H W.
        visible_degraded: The same in weather.
    """
    added = _fine((visible_degraded - visible).mean(1, keepdim=True))
    kept = _local_mean(added * _fine(error.mean(1, keepdim=True))).abs().mean((1, 2, 3))
    return (kept / (_local_mean(added * added).mean((1, 2, 3)) + 1e-6)).mean()


def _box(x: Tensor) -> Tensor:
    """Means over windows, along one axis after the other: a quarter of the sums."""
    return F.avg_pool2d(F.avg_pool2d(x, (WINDOW, 1), 1), (1, WINDOW), 1)


def _fine(x: Tensor) -> Tensor:
    return x - F.interpolate(F.avg_pool2d(x, FINE), x.shape[-2:], mode="bilinear")


def _local_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, min(NEIGHBOURHOOD, *x.shape[-2:]))
