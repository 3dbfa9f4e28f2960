"""The network as one would write it down: the reference that the benchmarks compare with.

Every operation is the plain torch one, in the order of the paper and the published code: layer
norm by mean and variance, ``torch.sort``, sequences normalised before the product, two scatters
where one would do, grouped convolutions by the library, and all three images computed where only
the fused one is wanted. The function is the network's own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.amg_fuse import AMGFuse
from amg_fuse_ros.network.blocks import ChannelLayerNorm
from amg_fuse_ros.network.cross_attention import MaskedCrossAttention
from amg_fuse_ros.network.histogram_block import (
    HistogramAttention,
    join_bins,
    join_frequencies,
    split_bins,
    split_frequencies,
)


class _PlainLayerNorm(ChannelLayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        pixels = x.reshape(batch, channels, -1).transpose(1, 2)
        mean = pixels.mean(-1, keepdim=True)
        variance = pixels.var(-1, keepdim=True, unbiased=False)
        pixels = (pixels - mean) / torch.sqrt(variance + 1e-5)
        pixels = pixels * self.body.weight + self.body.bias
        return pixels.transpose(1, 2).reshape(batch, channels, height, width)


class _PlainHistogramAttention(HistogramAttention):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        half = channels // 2
        columns, row_of = x[:, :half].sort(dim=-2, stable=True)
        ranked, column_of = columns.sort(dim=-1, stable=True)
        x = torch.cat((ranked, x[:, half:]), dim=1)

        qkv = self.qkv_dwconv(self.qkv(x))
        q1, k1, q2, k2, v = (t.reshape(batch, channels, -1) for t in qkv.chunk(5, dim=1))
        v, pixel_of = v.sort(dim=-1, stable=True)
        q1, k1, q2, k2 = (t.gather(2, pixel_of) for t in (q1, k1, q2, k2))
        bins = self._in_reading(q1, k1, v, bins=True)
        frequencies = self._in_reading(q2, k2, v, bins=False)
        bins = torch.zeros_like(bins).scatter(2, pixel_of, bins)
        frequencies = torch.zeros_like(frequencies).scatter(2, pixel_of, frequencies)
        out = self.project_out((bins * frequencies).reshape(batch, channels, height, width))

        replaced = out[:, :half]
        replaced = torch.zeros_like(replaced).scatter(3, column_of, replaced)
        replaced = torch.zeros_like(replaced).scatter(2, row_of, replaced)
        return torch.cat((replaced, out[:, half:]), dim=1)

    def _in_reading(self, q: Tensor, k: Tensor, v: Tensor, *, bins: bool) -> Tensor:
        n = q.shape[-1]
        split, join = (split_bins, join_bins) if bins else (split_frequencies, join_frequencies)
        q, k, v = (split(F.pad(t, (0, -n % self.heads)), self.heads) for t in (q, k, v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        exp = (q @ k.transpose(-2, -1) * self.temperature).exp()
        attention = exp / (exp.sum(dim=-1, keepdim=True) + 1)
        return join(attention @ v, self.heads)[..., :n]


class _PlainCrossAttention(MaskedCrossAttention):
    def _channel_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        batch, channels, height, width = q.shape
        q, k, v = (t.reshape(batch, self.heads, channels // self.heads, -1) for t in (q, k, v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return (attention @ v).reshape(batch, channels, height, width)


class _PlainAMGFuse(AMGFuse):
    def fuse(self, visible: Tensor, thermal: Tensor) -> Tensor:
        return self(visible, thermal).fused


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    AMGFuse: _PlainAMGFuse,
    ChannelLayerNorm: _PlainLayerNorm,
    HistogramAttention: _PlainHistogramAttention,
    MaskedCrossAttention: _PlainCrossAttention,
}


def use_plain_formulation(network: nn.Module) -> None:
    """Let ``network`` compute by plain operations, in place; parameters and keys stay."""
    for module in network.modules():
        module.__class__ = _PLAIN.get(type(module), type(module))
