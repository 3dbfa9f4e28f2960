"""The dual-scale feed-forward of a CPU training step as one function with its own backward pass.

Operation by operation, its wide activations (4h channels at full resolution) are copied by every
ReLU, chunk and concatenation, forward and backward, and kept several times over. Here each ReLU
writes straight to where the next convolution reads, and only what the backward pass needs is kept.
The function is that of :class:`DualScaleFeedForward`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amg_fuse_ros.network.histogram_block import DualScaleFeedForward
from training.fast_convolution import add_pairs, convolve, gradients, is_fast, twice


def accelerate_feed_forward(network: nn.Module) -> None:
    """Let the feed-forwards of ``network`` use the fused function, in place; keys stay.

    Only for float32 on the CPU; elsewhere they compute as before.
    """
    for module in network.modules():
        if type(module) is DualScaleFeedForward:
            module.__class__ = _FastFeedForward


class _FastFeedForward(DualScaleFeedForward):
    """B C H W to B C H W."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_fast(x, self.project_in.weight):
            return super().forward(x)
        x = _Core.apply(
            self.project_in(x),
            self.dwconv3x3.weight,
            self.dwconv5x5.weight,
            self.dwconv3x3_1.weight,
            self.dwconv5x5_1.weight,
        )
        y: Tensor = self.project_out(x)
        return y


class _Core(torch.autograd.Function):
    """Everything between the two projections: B 2h H W to B 2h H W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w3: Tensor, w5: Tensor, w3_1: Tensor, w5_1: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        h = x.shape[1] // 2
        a, b = convolve(x, w3), convolve(x, w5)
        left, right = torch.empty_like(a), torch.empty_like(a)
        for source, place in ((a, slice(None, h)), (b, slice(h, None))):
            torch.clamp_min(source[:, :h], 0, out=left[:, place])
            torch.clamp_min(source[:, h:], 0, out=right[:, place])
        y = torch.empty_like(a)
        add_pairs(convolve(left, w3_1), out=y[:, :h])
        add_pairs(convolve(right, w5_1), out=y[:, h:])
        y.relu_()
        ctx.save_for_backward(x, left, right, y, w3, w5, w3_1, w5_1)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, left, right, y, w3, w5, w3_1, w5_1 = ctx.saved_tensors
        h = x.shape[1] // 2
        grad = torch.ops.aten.threshold_backward(
            grad.contiguous(memory_format=torch.channels_last), y, 0
        )
        grad_left, grad_w3_1 = gradients(left, w3_1, twice(grad[:, :h]))
        grad_right, grad_w5_1 = gradients(right, w5_1, twice(grad[:, h:]))
        grad_a, grad_b = torch.empty_like(x), torch.empty_like(x)
        for place, target in ((slice(None, h), grad_a), (slice(h, None), grad_b)):
            for g, z, part in (
                (grad_left, left, target[:, :h]),
                (grad_right, right, target[:, h:]),
            ):
                torch.ops.aten.threshold_backward(g[:, place], z[:, place], 0, grad_input=part)
        grad_x, grad_w3 = gradients(x, w3, grad_a)
        grad_x_b, grad_w5 = gradients(x, w5, grad_b)
        return grad_x.add_(grad_x_b), grad_w3, grad_w5, grad_w3_1, grad_w5_1
