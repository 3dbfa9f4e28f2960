"""How far an image is from another: values and edges, the distance EMMA trains with."""

import torch
from torch import Tensor
from torch.nn import functional as F


def l1_and_gradient(image: Tensor, target: Tensor) -> Tensor:
    """Mean |image - target| plus the mean absolute difference of their Sobel gradients.

    Both directions of the gradient count, at the operator's unit gain (Sobel / 8) and with
    repeated borders. Scalar, from two B C H W tensors.
    """
    difference = image - target  # gradients are linear: those of the difference suffice
    return difference.abs().mean() + _sobel(difference).abs().mean()


def _sobel(x: Tensor) -> Tensor:
    """B C H W to (B C) 2 H W: derivative along W, then along H."""
    along_w = x.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    kernels = torch.stack((along_w, along_w.T))[:, None]
    planes = x.reshape(-1, 1, *x.shape[-2:])
    return F.conv2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), kernels)
