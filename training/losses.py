"""The paper's losses, equations 6 to 12, and the two terms that only the published code has.

All are unweighted means over batch and pixels of tensors in [0, 1]: fused F, visible VI and the
restored outputs B 3 H W, thermal IR B 1 H W, pseudo ground truth B 3 H W. The sources are the
clean ones unless the name says degraded. Every function is pure and differentiable.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from amg_fuse_ros.network.mask import feature_mask, fusion_mask

PSEUDO_MASK_EPSILON = 1e-6

# JPEG's conversion, on values in [0, 1].
_CB = (-0.168736, -0.331264, 0.5)
_CR = (0.5, -0.418688, -0.081312)


def gradient_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """Equation 10: mean |grad F - max(grad VI, grad IR)|, on channel means."""
    strongest = torch.maximum(sobel_magnitude(_grey(visible)), sobel_magnitude(_grey(thermal)))
    return F.l1_loss(sobel_magnitude(_grey(fused)), strongest)


def color_loss(fused: Tensor, visible: Tensor) -> Tensor:
    """Equation 11: mean |Cb(F) - Cb(VI)| + mean |Cr(F) - Cr(VI)|."""
    difference = fused - visible
    return _weigh(difference, _CB).abs().mean() + _weigh(difference, _CR).abs().mean()


def intensity_loss(fused: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """Mean |F - max(VI, IR)| on channel means (published code only)."""
    return F.l1_loss(_grey(fused), torch.maximum(_grey(visible), _grey(thermal)))


def ssim_loss(
    fused: Tensor,
    visible: Tensor,
    thermal: Tensor,
    *,
    average: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """1 - (w_VI SSIM(VI, F) + w_IR SSIM(IR, F)), on channel means (published code only).

    The weights are each source's share of the mean Sobel magnitude over the batch.

    Args:
        fused: Fused image F, B 3 H W.
        visible: Clean visible image, B 3 H W.
        thermal: Clean thermal image, B 1 H W.
        average: Where processes share a batch in equal parts: the mean of a tensor over them.
            With it the mean of their losses is exactly the loss of the whole batch.
    """
    f, vi, ir = _grey(fused), _grey(visible), _grey(thermal)
    strengths = torch.stack((sobel_magnitude(vi).mean(), sobel_magnitude(ir).mean()))
    if average is not None:
        strengths = average(strengths)
    share = strengths[0] / strengths.sum().clamp_min(1e-12)
    return 1 - (share * _ssim(vi, f) + (1 - share) * _ssim(ir, f))


def pseudo_mask(pseudo: Tensor, visible: Tensor, thermal: Tensor) -> Tensor:
    """M_Pse: equation 5 with the pseudo ground truth as F and the clean sources, B 3 H W."""
    return feature_mask(pseudo, visible, thermal, eps=PSEUDO_MASK_EPSILON)


def mgls_loss(
    f_vi: Tensor,
    f_ir: Tensor,
    pseudo: Tensor,
    visible: Tensor,
    thermal: Tensor,
    *,
    first_channel_only: bool = False,
) -> Tensor:
    """Equations 6 and 7: mean |f_vi - M_Pse VI| + mean |f_ir - (1 - M_Pse) IR|.

    Args:
        f_vi: The network's visible output, B 3 H W.
        f_ir: The network's thermal output, B 3 H W.
        pseudo: Pseudo ground truth, a fusion of the clean pair, B 3 H W.
        visible: Clean visible image, B 3 H W.
        thermal: Clean thermal image, B 1 H W.
        first_channel_only: Compare the thermal part on its first channel alone, as the published
            code does, instead of on all three.
    """
    mask = pseudo_mask(pseudo, visible, thermal)
    thermal_part = ((1 - mask) * thermal - f_ir).abs()
    if first_channel_only:
        thermal_part = thermal_part[:, :1]
    return F.l1_loss(f_vi, mask * visible) + thermal_part.mean()


def tdas_loss(
    fused: Tensor,
    visible_degraded: Tensor,
    thermal: Tensor,
    restorer: Callable[[Tensor], Tensor],
    *,
    published_form: bool = False,
) -> Tensor:
    """Equations 8 and 9: mean |VI_F - R(VI_F)| with VI_F = M_Deg VI_Deg.

    What the fused image takes from the degraded visible one must look to the restorer R as if
    there were nothing to restore. R's parameters are expected to be frozen; the gradient runs
    through its input.

    Args:
        fused: Fused image F, B 3 H W.
        visible_degraded: The visible image that the network was given, B 3 H W.
        thermal: The thermal image that the network was given, B 1 H W.
        restorer: R, B 3 H W to B 3 H W.
        published_form: M_Deg in the published code's form (see ``fusion_mask``).
    """
    mask = fusion_mask(fused, visible_degraded, thermal, published_form=published_form)
    visible_share = mask * visible_degraded
    return F.l1_loss(visible_share, restorer(visible_share))


def sobel_magnitude(grey: Tensor) -> Tensor:
    """|gx| + |gy| of the 3x3 Sobel operator with zero padding; B 1 H W to B 1 H W."""
    kernel = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack((kernel, kernel.T))[:, None]
    return F.conv2d(grey, kernels, padding=1).abs().sum(dim=1, keepdim=True)


def _grey(image: Tensor) -> Tensor:
    return image.mean(dim=1, keepdim=True)


def _weigh(rgb: Tensor, weights: tuple[float, float, float]) -> Tensor:
    return weights[0] * rgb[:, 0] + weights[1] * rgb[:, 1] + weights[2] * rgb[:, 2]


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al., 2004): 11x11 Gaussian, sigma 1.5, zero padding."""
    offsets = torch.arange(11, dtype=a.dtype, device=a.device) - 5
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = line / line.sum()

    def blur(x: Tensor) -> Tensor:
        rows = F.conv2d(x, line.view(1, 1, 1, 11), padding=(0, 5))
        return F.conv2d(rows, line.view(1, 1, 11, 1), padding=(5, 0))

    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = blur(a), blur(b)
    var_a = blur(a * a) - mean_a**2
    var_b = blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * cov + c2) / (var_a + var_b + c2)).mean()
