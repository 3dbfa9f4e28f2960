"""HTB, the histogram transformer block of the fused stream.

Dynamic-range histogram self-attention and its dual-scale feed-forward after Sun et al.,
"Restoring Images in Adverse Weather Conditions via Histogram Transformer", ECCV 2024, in the
form that AMG-Fuse uses. Shapes are B C H W, and N = H W.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.blocks import ChannelLayerNorm
from amg_fuse_ros.network.sorting import stable_sort

FFN_EXPANSION = 2.66


class HistogramBlock(nn.Module):
    """One transformer block: ``x + attn(norm1(x))``, then ``x + ffn(norm2(x))``."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels)
        self.attn = HistogramAttention(channels, heads)
        self.norm2 = ChannelLayerNorm(channels)
        self.ffn = DualScaleFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to B C H W."""
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.ffn(self.norm2(x))
        return y


class HistogramAttention(nn.Module):
    """Attention between pixels of like intensity: what sorts together attends together."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, channels * 5, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(
            channels * 5, channels * 5, 3, padding=1, groups=channels * 5, bias=False
        )
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to B C H W.

        The first C // 2 channels enter sorted along H, then along W, and the first C // 2
        channels of the *projected* result are put back by the same maps. The projection has
        mixed the channels by then; that is how the published network works.
        """
        half = x.shape[1] // 2
        columns, row_of = stable_sort(x[:, :half], dim=-2)
        ranked, column_of = stable_sort(columns)
        x = torch.cat((ranked, x[:, half:]), dim=1)

        qkv = self.qkv_dwconv(self.qkv(x))
        q1, k1, q2, k2, v = qkv.flatten(2).chunk(5, dim=1)  # five of B C N
        v, pixel_of = stable_sort(v)  # ascending in each channel
        q1, k1, q2, k2 = (t.gather(-1, pixel_of) for t in (q1, k1, q2, k2))

        bins = self._attend(q1, k1, v, split_bins, join_bins)
        frequencies = self._attend(q2, k2, v, split_frequencies, join_frequencies)
        out = _put_back(bins * frequencies, pixel_of, dim=-1).view_as(x)
        out = self.project_out(out)

        columns = _put_back(out[:, :half], column_of, dim=-1)
        return torch.cat((_put_back(columns, row_of, dim=-2), out[:, half:]), dim=1)

    def _attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        split: "Callable[[Tensor, int], Tensor]",
        join: "Callable[[Tensor, int], Tensor]",
    ) -> Tensor:
        """Attention in one reading of the sorted sequences; q, k, v and the result are B C N."""
        n = q.shape[-1]
        filler = -n % self.heads
        q, k, v = (split(F.pad(t, (0, filler)), self.heads) for t in (q, k, v))
        # A = normalize(q) normalize(k)^T; the norms scale rows and columns of that small matrix
        # rather than the long vectors, which is the same and saves two passes over them.
        norm_q = torch.linalg.vector_norm(q, dim=-1).clamp_min(1e-12).unsqueeze(-1)
        norm_k = torch.linalg.vector_norm(k, dim=-1).clamp_min(1e-12).unsqueeze(-2)
        exp = ((q @ k.transpose(-2, -1)) / (norm_q * norm_k) * self.temperature).exp()
        attention = exp / (exp.sum(dim=-1, keepdim=True) + 1)
        return join(attention.to(v.dtype) @ v, self.heads)[..., :n]


def split_bins(x: Tensor, heads: int) -> Tensor:
    """Bin reading: ``b (head c) (factor n) -> b head (c factor) n``, with factor = heads."""
    batch, _, n = x.shape
    return x.reshape(batch, heads, -1, n // heads)


def join_bins(x: Tensor, heads: int) -> Tensor:
    """Undo :func:`split_bins`."""
    batch, _, _, n = x.shape
    return x.reshape(batch, -1, n * heads)


def split_frequencies(x: Tensor, heads: int) -> Tensor:
    """Frequency reading: ``b (head c) (n factor) -> b head (c factor) n``, factor = heads."""
    batch, channels, n = x.shape
    x = x.reshape(batch, heads, channels // heads, n // heads, heads)
    return x.transpose(-2, -1).reshape(batch, heads, channels, n // heads)


def join_frequencies(x: Tensor, heads: int) -> Tensor:
    """Undo :func:`split_frequencies`."""
    batch, _, channels, n = x.shape
    x = x.reshape(batch, heads, channels // heads, heads, n)
    return x.transpose(-2, -1).reshape(batch, channels, n * heads)


def _put_back(sorted_values: Tensor, origin: Tensor, dim: int) -> Tensor:
    """Undo a sort: value j of ``sorted_values`` goes back to place ``origin[j]`` along ``dim``."""
    return torch.empty_like(sorted_values).scatter(dim, origin, sorted_values)


class DualScaleFeedForward(nn.Module):
    """Feed-forward with a 3x3 and a 5x5 branch; h = int(2.66 C) hidden channels.

    B C H W to B C H W. The second pair of convolutions has h groups of two input channels:
    output g reads channels 2g and 2g + 1 of the concatenation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        h = int(channels * FFN_EXPANSION)
        self.project_in = nn.Conv2d(channels, 2 * h, 1, bias=False)
        self.dwconv3x3 = nn.Conv2d(2 * h, 2 * h, 3, padding=1, groups=2 * h, bias=False)
        self.dwconv5x5 = nn.Conv2d(2 * h, 2 * h, 5, padding=2, groups=2 * h, bias=False)
        self.dwconv3x3_1 = nn.Conv2d(2 * h, h, 3, padding=1, groups=h, bias=False)
        self.dwconv5x5_1 = nn.Conv2d(2 * h, h, 5, padding=2, groups=h, bias=False)
        self.project_out = nn.Conv2d(2 * h, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to B C H W."""
        x = self.project_in(x)
        a1, a2 = F.relu(self.dwconv3x3(x)).chunk(2, dim=1)
        b1, b2 = F.relu(self.dwconv5x5(x)).chunk(2, dim=1)
        y1 = F.relu(self.dwconv3x3_1(torch.cat((a1, b1), dim=1)))
        y2 = F.relu(self.dwconv5x5_1(torch.cat((a2, b2), dim=1)))
        y: Tensor = self.project_out(torch.cat((y1, y2), dim=1))
        return y
