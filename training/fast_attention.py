"""The histogram attention of a CPU training step: rows throughout, gradients straight into place.

The five sequences of a histogram block are sorted by the fifth. Written operation by operation,
each is gathered with long strides, and in the backward pass each is scattered into zeros of its
own before all are put together again. Here they are brought into rows once, gathered together,
and their gradients scattered straight into place. The function is the same.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amg_fuse_ros.network.histogram_block import (
    HistogramAttention,
    join_bins,
    join_frequencies,
    split_bins,
    split_frequencies,
)
from amg_fuse_ros.network.sorting import stable_sort
from amg_fuse_ros.network.threads import in_parallel


def accelerate_attention(network: nn.Module) -> None:
    """Let the histogram attentions of ``network`` work by rows, in place; keys stay."""
    for module in network.modules():
        if type(module) is HistogramAttention:
            module.__class__ = _FastHistogramAttention


class _FastHistogramAttention(HistogramAttention):
    """B C H W to B C H W; step by step what :class:`HistogramAttention` does."""

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        halves = (channels // 2, channels - channels // 2)
        # split rather than slices: their gradients are put together in one pass
        first, second = x.split(halves, dim=1)
        columns, row_of = _Sort.apply(first.transpose(-2, -1))
        ranked, column_of = _Sort.apply(columns.transpose(-2, -1))
        qkv = self.qkv_dwconv(self.qkv(torch.cat((ranked, second), dim=1)))

        q1, k1, q2, k2, v, pixel_of = _SortedSequences.apply(qkv)
        bins = self._attend(q1, k1, v, split_bins, join_bins)
        frequencies = self._attend(q2, k2, v, split_frequencies, join_frequencies)
        out = self.project_out(_PutBack.apply(bins * frequencies, pixel_of).view_as(x))

        first, second = out.split(halves, dim=1)
        columns = _PutBack.apply(first, column_of)
        rows = _PutBack.apply(columns.transpose(-2, -1), row_of).transpose(-2, -1)
        return torch.cat((rows, second), dim=1)


class _Sort(torch.autograd.Function):
    """Values and indices of a stable sort along the last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        values, origin = stable_sort(x)
        ctx.save_for_backward(origin)
        ctx.mark_non_differentiable(origin)
        return values, origin

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Tensor:
        (origin,) = ctx.saved_tensors
        return _scatter(grad, origin)


class _PutBack(torch.autograd.Function):
    """Undo a sort along the last axis: value j goes back to place ``origin[j]``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, origin: Tensor) -> Tensor:
        ctx.save_for_backward(origin)
        return _scatter(values, origin)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (origin,) = ctx.saved_tensors
        rows = _to_rows(grad) if grad.ndim == 4 else grad.contiguous()
        return rows.gather(-1, origin), None


class _SortedSequences(torch.autograd.Function):
    """B 5C H W to five sequences B C N in the order of the fifth, and that order."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor) -> tuple[Tensor, ...]:
        batch, channels, height, width = qkv.shape
        rows = _to_rows(qkv).view(batch, 5, channels // 5, height * width)
        v, origin = stable_sort(rows[:, 4])
        taken = rows[:, :4].gather(-1, origin.unsqueeze(1).expand(-1, 4, -1, -1))
        ctx.save_for_backward(origin)
        ctx.mark_non_differentiable(origin)
        ctx.shape = qkv.shape
        return (*taken.unbind(1), v, origin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (origin,) = ctx.saved_tensors
        batch, channels, n = origin.shape
        grad = grads[0].new_empty(batch, 5, channels, n)
        for part, sorted_grad in zip(grad.unbind(1), grads[:5], strict=True):
            part.scatter_(-1, origin, sorted_grad)
        return grad.view(ctx.shape)


def _to_rows(x: Tensor) -> Tensor:
    """B C H W in any layout to the same in rows, each channel's pixels in one piece.

    From the channels-last layout this transposes the matrix of pixels and channels of each image,
    for which torch has a blocked copy; its general one takes four times as long.
    """
    if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous()
    batch, channels = x.shape[:2]
    pixels = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
    rows = torch.empty_like(x, memory_format=torch.contiguous_format)
    matrices = rows.view(batch, channels, -1)

    @torch.no_grad()  # a thread begins with gradients enabled
    def transpose(images: slice) -> None:
        for i in range(images.start, images.stop):
            matrices[i].copy_(pixels[i].t())

    in_parallel(batch, transpose)
    return rows


def _scatter(values: Tensor, origin: Tensor) -> Tensor:
    placed = torch.empty_like(values, memory_format=torch.contiguous_format)
    return placed.scatter_(-1, origin, values)
