"""MCCA, the mask-guided channel cross-attention of a mask-guided feature exchange module."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.streams import Streams


class MaskedCrossAttention(nn.Module):
    """Channel attention from the masked sources to the fused features.

    The visible features are weighted with the mask M and the thermal ones with 1 - M; both ask
    (queries) what the fused features hold (keys, values). Attention is between channels, so its
    matrices are small whatever the image size. Shapes are B C H W.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q_vi = _pointwise(channels, channels)
        self.q_dwconv_vi = _depthwise(channels)
        self.q_ir = _pointwise(channels, channels)
        self.q_dwconv_ir = _depthwise(channels)
        self.kv = _pointwise(channels, 2 * channels)
        self.kv_dwconv = _depthwise(2 * channels)
        self.project_out_vi = _pointwise(channels, channels)
        self.project_out_ir = _pointwise(channels, channels)
        self.project_out_f = _pointwise(channels, channels)
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            _pointwise(2 * channels, channels // 16),
            nn.ReLU(),
            _pointwise(channels // 16, 2),
            nn.Sigmoid(),
        )

    def forward(self, x: Streams, mask: Tensor) -> Streams:
        """Return what is to be added to each stream, given features and mask of equal shape."""
        out_vi, out_ir = self._attend(x, mask)
        return Streams(
            vi=self.project_out_vi(out_vi),
            ir=self.project_out_ir(out_ir),
            f=self.project_out_f(self._mix(out_vi, out_ir)),
        )

    def fused_only(self, x: Streams, mask: Tensor) -> Tensor:
        """Return the addition to the fused stream alone, without computing the other two."""
        added: Tensor = self.project_out_f(self._mix(*self._attend(x, mask)))
        return added

    def _attend(self, x: Streams, mask: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self.kv_dwconv(self.kv(x.f)).chunk(2, dim=1)
        q_vi = self.q_dwconv_vi(self.q_vi(x.vi * mask))
        q_ir = self.q_dwconv_ir(self.q_ir(x.ir * (1 - mask)))
        return self._channel_attention(q_vi, k, v), self._channel_attention(q_ir, k, v)

    def _channel_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(normalize(q) normalize(k)^T temperature) v, in each head; B C H W."""
        shape = q.shape
        q, k, v = (t.reshape(shape[0], self.heads, -1, shape[2] * shape[3]) for t in (q, k, v))
        # As in the histogram attention, the norms scale the small matrix: exact, and cheaper.
        norm_q = torch.linalg.vector_norm(q, dim=-1).clamp_min(1e-12).unsqueeze(-1)
        norm_k = torch.linalg.vector_norm(k, dim=-1).clamp_min(1e-12).unsqueeze(-2)
        affinity = (q @ k.transpose(-2, -1)) / (norm_q * norm_k) * self.temperature
        return (F.softmax(affinity, dim=-1).to(v.dtype) @ v).reshape(shape)

    def _mix(self, out_vi: Tensor, out_ir: Tensor) -> Tensor:
        """Weigh the two results with alpha, two scalars per image, and add them."""
        alpha = self.se(torch.cat((out_vi, out_ir), dim=1))  # B 2 1 1
        return alpha[:, 0:1] * out_vi + alpha[:, 1:2] * out_ir


def _pointwise(channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 1, bias=False)


def _depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
