"""Depthwise and paired convolutions with a backward pass that a CPU can afford.

In a training step of Tiny on the CPU, half of the time goes into the backward pass of the
histogram blocks' depthwise convolutions: the library's weight gradient is far from what the
arithmetic would take. Here the input gradient is one more depthwise convolution (with the turned
kernel) and the weight gradient a compiled loop over pixels, channels innermost. The function is
the same; ``accelerate`` swaps it into a network, parameters and keys stay as they are.
"""

import importlib.util
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.threads import in_parallel


def accelerate(network: nn.Module) -> None:
    """Let every depthwise and paired convolution of ``network`` use the fast backward pass.

    Depthwise means as many groups as channels; paired, h groups of two inputs and one output.
    Only for float32 on the CPU and where numba is installed; elsewhere the modules compute as
    before.
    """
    if importlib.util.find_spec("numba") is None:
        return
    for module in network.modules():
        if type(module) is nn.Conv2d and _keeps_the_size(module):
            if module.in_channels == module.out_channels == module.groups:
                module.__class__ = _Depthwise
            elif module.in_channels == 2 * module.groups == 2 * module.out_channels:
                module.__class__ = _Paired


def _keeps_the_size(module: nn.Conv2d) -> bool:
    """Whether it is a grouped convolution k x k, stride 1, zero padding k // 2, without bias."""
    k = module.kernel_size[0]
    return (
        module.groups > 1
        and module.bias is None
        and module.kernel_size == (k, k)
        and module.padding == (k // 2, k // 2)
        and module.padding_mode == "zeros"
        and k % 2 == 1
        and module.stride == module.dilation == (1, 1)
    )


def _is_fast(x: Tensor, weight: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32


class _Depthwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        if not _is_fast(x, self.weight):
            return super().forward(x)
        return _DepthwiseFunction.apply(x, self.weight)


class _Paired(nn.Conv2d):
    """A paired convolution is a depthwise one whose results are added two by two."""

    def forward(self, x: Tensor) -> Tensor:
        if not _is_fast(x, self.weight):
            return super().forward(x)
        k = self.kernel_size[0]
        y = _DepthwiseFunction.apply(x, self.weight.reshape(-1, 1, k, k))
        batch, channels, height, width = y.shape
        pixels = y.permute(0, 2, 3, 1).view(batch, height, width, channels // 2, 2)
        return pixels.sum(dim=-1).permute(0, 3, 1, 2)


class _DepthwiseFunction(torch.autograd.Function):
    """Depthwise k x k convolution, stride 1, zero padding k // 2; weight C 1 k k."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        y = F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=weight.shape[0])
        return y.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        k = weight.shape[-1]
        grad_x = F.conv2d(grad, weight.flip(-1, -2), padding=k // 2, groups=weight.shape[0])
        images, grads = (t.detach().permute(0, 2, 3, 1).numpy() for t in (x, grad))
        sums = _weight_gradient(images, grads, k)
        grad_weight = torch.from_numpy(sums).permute(2, 0, 1).unsqueeze(1)
        return grad_x, grad_weight.contiguous()


def _weight_gradient(
    images: NDArray[np.float32], grads: NDArray[np.float32], k: int
) -> NDArray[np.float32]:
    """The gradient of a k x k kernel, k k C, from inputs and output gradients, B H W C."""
    from training.depthwise_gradient import sum_rows

    parts: dict[int, NDArray[np.float32]] = {}

    def add(rows: slice) -> None:
        parts[rows.start] = sum_rows(images, grads, k, rows.start, rows.stop)

    in_parallel(images.shape[0] * images.shape[1], add)
    # In the order of the rows, not of the threads: the same sum every time.
    total: NDArray[np.float32] = sum((parts[row] for row in sorted(parts)), np.float32(0))
    return total
