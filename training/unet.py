"""A compact U-Net of dense convolutions, for the helpers of training that a CPU must train.

The small restorer, the label-free fusion and its pseudo-sensing networks are all this network
with other channels.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from amg_fuse_ros.network.blocks import ResBlock, reflect_to_multiple


class CompactUNet(nn.Module):
    """Residual blocks at several scales; skips are added, not concatenated.

    The last convolution starts at zero, so a fresh network gives zeros: whoever adds its output
    to something starts from that something.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        widths: Channels at full, half, quarter ... resolution.
        blocks: Residual blocks at each of these, in the encoder and again in the decoder; those
            of the coarsest scale come once.
    """

    def __init__(
        self, in_channels: int, out_channels: int, widths: Sequence[int], blocks: Sequence[int]
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"expected as many widths as blocks, found {widths} and {blocks}")
        scales = list(zip(widths, blocks, strict=True))
        steps = list(pairwise(widths))
        self.multiple = 2 ** len(steps)
        self.entry = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_residual_blocks(c, n) for c, n in scales)
        self.downs = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps
        )
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2))
            for fine, coarse in steps
        )
        self.decoders = nn.ModuleList(_residual_blocks(c, n) for c, n in scales[:-1])
        self.exit = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(cast("Tensor", self.exit.bias))

    def forward(self, x: Tensor) -> Tensor:
        """B ``in_channels`` H W of any size to B ``out_channels`` H W."""
        height, width = x.shape[-2:]
        x = self.entry(reflect_to_multiple(x, self.multiple))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=False):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.encoders[-1](x)
        for up, decoder in zip(reversed(self.ups), reversed(self.decoders), strict=True):
            x = decoder(up(x) + skips.pop())
        y: Tensor = self.exit(x)
        return y[..., :height, :width]


def _residual_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(channels) for _ in range(count)))
