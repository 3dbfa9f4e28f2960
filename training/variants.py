"""Networks for the ablation "without MCCA": same parameters and keys, another exchange.

MCCA adds to each stream what the masked visible and thermal features find in the fused ones
(``amg_fuse_ros.network.cross_attention``). What the paper puts in its place when it leaves MCCA
out is not described in what is public; two readings can be trained here:

- ``sum``: the masked features themselves go into the fused stream, f + v M + i (1 - M); visible
  and thermal stream get nothing. Mask and exchange stay, attention goes. This is what
  ``python -m training.ablations`` calls "without MCCA".
- ``none``: nothing is exchanged after the first level, and the mask plays no role in the network.

Modules change their class in place, as :func:`training.fast_convolution.accelerate` does it.
"""

import torch
from torch import Tensor, nn

from amg_fuse_ros.network import AMGFuse
from amg_fuse_ros.network.cross_attention import MaskedCrossAttention
from amg_fuse_ros.network.streams import Streams
from training.config import CROSS_ATTENTIONS


class _MaskedSum(MaskedCrossAttention):
    def forward(self, x: Streams, mask: Tensor) -> Streams:
        nothing = torch.zeros_like(x.f)
        return Streams(vi=nothing, ir=nothing, f=self.fused_only(x, mask))

    def fused_only(self, x: Streams, mask: Tensor) -> Tensor:
        return x.vi * mask + x.ir * (1 - mask)


class _Nothing(MaskedCrossAttention):
    def forward(self, x: Streams, mask: Tensor) -> Streams:
        nothing = self.fused_only(x, mask)
        return Streams(vi=nothing, ir=nothing, f=nothing)

    def fused_only(self, x: Streams, mask: Tensor) -> Tensor:
        del mask
        return torch.zeros_like(x.f)


def replace_cross_attention(network: nn.Module, kind: str) -> None:
    """Let the exchange between the streams work as ``kind`` says: mcca, sum or none.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in CROSS_ATTENTIONS:
        raise ValueError(f"cross_attention: expected one of {CROSS_ATTENTIONS}, found {kind!r}")
    classes = {"mcca": MaskedCrossAttention, "sum": _MaskedSum, "none": _Nothing}
    for module in network.modules():
        if isinstance(module, MaskedCrossAttention):
            module.__class__ = classes[kind]


def to_standard(network: AMGFuse, kind: str) -> None:
    """Make a network trained with ``kind`` compute the same as an ordinary AMG-Fuse, in place.

    Raises:
        ValueError: For ``sum``, which an ordinary network cannot express.
    """
    if kind == "sum":
        raise ValueError(
            "cross_attention: sum is an ablation that an ordinary network cannot express, its "
            "weights would be wrong anywhere else; expected mcca or none"
        )
    if kind == "none":
        # Projections of nothing but zeros add nothing: exact.
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, MaskedCrossAttention):
                    for stream in Streams._fields:
                        getattr(module, f"project_out_{stream}").weight.zero_()
    replace_cross_attention(network, "mcca")
