"""Convolutions of a CPU training step with forward and backward passes that it can afford.

In a training step of Tiny on the CPU, half of the time goes into the backward pass of the
histogram blocks' depthwise convolutions: the library's weight gradient is far from what the
arithmetic would take. Here the input gradient is one more depthwise convolution (with the turned
kernel) and the weight gradient a compiled loop over pixels, channels innermost. 1x1 convolutions
become matrix products on the pixels, which need no rearranging in the channels-last layout. The
functions are the same, parameters and keys stay.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.threads import in_parallel


def accelerate_convolutions(network: nn.Module) -> None:
    """Let the convolutions of ``network`` without bias use the fast passes, in place.

    1x1; depthwise, that is as many groups as channels; and paired, h groups of two inputs and one
    output. Only for float32 on the CPU; elsewhere the modules compute as before.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _keeps_the_size(module):
            if module.kernel_size == (1, 1):
                if module.groups == 1:
                    module.__class__ = _Pointwise
            elif module.groups == 1:
                continue
            elif module.in_channels == module.out_channels == module.groups:
                module.__class__ = _Depthwise
            elif module.in_channels == 2 * module.groups == 2 * module.out_channels:
                module.__class__ = _Paired


def _keeps_the_size(module: nn.Conv2d) -> bool:
    """Whether it is a convolution k x k, stride 1, zero padding k // 2, without bias."""
    k = module.kernel_size[0]
    return (
        module.bias is None
        and module.kernel_size == (k, k)
        and module.padding == (k // 2, k // 2)
        and module.padding_mode == "zeros"
        and k % 2 == 1
        and module.stride == module.dilation == (1, 1)
    )


def is_fast(x: Tensor, weight: Tensor) -> bool:
    """Whether the fast passes can be used for this input and weight."""
    autocast = torch.is_autocast_enabled("cpu")
    return x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not autocast


class _Pointwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        if not is_fast(x, self.weight):
            return super().forward(x)
        return _PointwiseFunction.apply(x, self.weight)


class _Depthwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        if not is_fast(x, self.weight):
            return super().forward(x)
        return _DepthwiseFunction.apply(x, self.weight)


class _Paired(nn.Conv2d):
    """A paired convolution is a depthwise one whose results are added two by two."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_fast(x, self.weight):
            return super().forward(x)
        return _PairedFunction.apply(x, self.weight)


class _PointwiseFunction(torch.autograd.Function):
    """1x1 convolution; weight O C 1 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        ctx.save_for_backward(pixels, weight)
        y = pixels @ weight.flatten(1).t()
        return y.view(batch, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        pixels, weight = ctx.saved_tensors
        batch, outputs, height, width = grad.shape
        grads = grad.permute(0, 2, 3, 1).reshape(-1, outputs)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grads @ weight.flatten(1)).view(batch, height, width, -1).permute(0, 3, 1, 2)
        return grad_x, (grads.t() @ pixels).view_as(weight)


class _DepthwiseFunction(torch.autograd.Function):
    """Depthwise k x k convolution, stride 1, zero padding k // 2; weight C 1 k k."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return convolve(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return gradients(x, weight, grad.contiguous(memory_format=torch.channels_last))


class _PairedFunction(torch.autograd.Function):
    """Convolution k x k with h groups of two inputs and one output; weight h 2 k k."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return add_pairs(convolve(x, weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return gradients(x, weight, twice(grad))


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Depthwise k x k convolution of B C H W, in channels-last layout.

    Args:
        x: In channels-last layout.
        weight: C kernels in any grouping: C 1 k k, or C/2 2 k k of a paired convolution, whose
            results are then still to be added (:func:`add_pairs`).
    """
    channels, k = x.shape[1], weight.shape[-1]
    y = F.conv2d(x, weight.reshape(channels, 1, k, k), padding=k // 2, groups=channels)
    return y.contiguous(memory_format=torch.channels_last)


def add_pairs(y: Tensor, out: Tensor | None = None) -> Tensor:
    """Channels 2g and 2g + 1 added: B 2h H W to B h H W."""
    return torch.add(y[:, 0::2], y[:, 1::2], out=out)


def twice(grad: Tensor) -> Tensor:
    """The gradient of :func:`add_pairs`: each channel twice, in channels-last layout."""
    pixels = grad.permute(0, 2, 3, 1)
    return pixels.unsqueeze(-1).expand(*pixels.shape, 2).flatten(3).permute(0, 3, 1, 2)


def gradients(x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`convolve` for input and weight; all in channels-last layout."""
    channels, k = x.shape[1], weight.shape[-1]
    turned = weight.reshape(channels, 1, k, k).flip(-1, -2)
    grad_x = F.conv2d(grad, turned, padding=k // 2, groups=channels)
    images, grads = (t.detach().permute(0, 2, 3, 1).numpy() for t in (x, grad))
    grad_weight = torch.from_numpy(_weight_gradient(images, grads, k))
    return grad_x, grad_weight.permute(2, 0, 1).reshape(weight.shape)


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
