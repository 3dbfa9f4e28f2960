"""Depthwise and paired convolutions with a backward pass that a CPU can afford.

In a training step of Tiny on the CPU, half of the time goes into the backward pass of the
histogram blocks' depthwise convolutions: the library's weight gradient is far from what the
arithmetic would take. Here the input gradient is one more depthwise convolution (with the turned
kernel) and the weight gradient a compiled loop over pixels, channels innermost. The function is
the same; ``accelerate`` swaps it into a network, parameters and keys stay as they are.
"""

import threading
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.threads import in_parallel


def accelerate(network: nn.Module) -> None:
    """Let every depthwise and paired convolution of ``network`` use the fast backward pass.

    Depthwise means as many groups as channels; paired, h groups of two inputs and one output.
    Only for float32 on the CPU; elsewhere the modules compute as before.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and module.bias is None:
            if module.in_channels == module.out_channels == module.groups:
                module.__class__ = _Depthwise
            elif module.in_channels == 2 * module.groups == 2 * module.out_channels:
                module.__class__ = _Paired


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
        sums = np.zeros((k, k, weight.shape[0]), np.float32)
        lock = threading.Lock()

        def add(rows: slice) -> None:
            part = _weight_gradient(images, grads, k, rows.start, rows.stop)
            with lock:
                np.add(sums, part, out=sums)

        in_parallel(images.shape[0] * images.shape[1], add)
        grad_weight = torch.from_numpy(sums).permute(2, 0, 1).unsqueeze(1)
        return grad_x, grad_weight.contiguous()


@numba.njit(cache=True, fastmath=True, nogil=True)
def _weight_gradient(
    x: NDArray[np.float32], grad: NDArray[np.float32], k: int, first: int, last: int
) -> NDArray[np.float32]:
    """Sum grad[b, y, x, c] x[b, y + dy, x + dx, c] over the rows first..last of all images.

    ``x`` and ``grad`` are B H W C; the result is k k C.
    """
    _, height, width, channels = x.shape
    reach = k // 2
    sums = np.zeros((k, k, channels), np.float32)
    for row in range(first, last):
        b, y = row // height, row % height
        for dy in range(max(0, reach - y), min(k, height + reach - y)):
            source = x[b, y + dy - reach]
            for column in range(width):
                g = grad[b, y, column]
                low, high = max(0, reach - column), min(k, width + reach - column)
                for dx in range(low, high):
                    s = source[column + dx - reach]
                    total = sums[dy, dx]
                    for c in range(channels):
                        total[c] += g[c] * s[c]
    return sums
