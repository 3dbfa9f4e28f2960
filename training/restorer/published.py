"""The restorer R of the paper at its published size: Restormer with histogram blocks.

The U-shape and the residual output are Restormer's (Zamir et al., "Restormer: Efficient
Transformer for High-Resolution Image Restoration", CVPR 2022); the transformer block is the one
of the fusion network's fused stream instead of Restormer's own. Keys are the authors'.
"""

import torch
from torch import Tensor, nn

from amg_fuse_ros.network.blocks import Downsample, PatchEmbed, Upsample, reflect_to_multiple
from amg_fuse_ros.network.histogram_block import HistogramBlock

DIM = 48
BLOCKS = (4, 6, 6, 8)
REFINEMENT_BLOCKS = 2
HEADS = (1, 2, 4, 8)


class Restorer(nn.Module):
    """R of equation 9: a degraded visible image to a clean one, 36 680 594 parameters."""

    def __init__(self) -> None:
        super().__init__()
        c = DIM
        self.patch_embed = PatchEmbed(3, c)
        self.encoder_level1 = _stage(c, 0)
        self.down1_2 = Downsample(c)
        self.encoder_level2 = _stage(2 * c, 1)
        self.down2_3 = Downsample(2 * c)
        self.encoder_level3 = _stage(4 * c, 2)
        self.down3_4 = Downsample(4 * c)
        self.latent = _stage(8 * c, 3)
        self.up4_3 = Upsample(8 * c)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1, bias=False)
        self.decoder_level3 = _stage(4 * c, 2)
        self.up3_2 = Upsample(4 * c)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1, bias=False)
        self.decoder_level2 = _stage(2 * c, 1)
        self.up2_1 = Upsample(2 * c)
        self.decoder_level1 = _stage(2 * c, 0)  # no reduction after the last concatenation
        self.refinement = _stage(2 * c, 0, REFINEMENT_BLOCKS)
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """RGB in [0, 1], B 3 H W of any size, to the same shape; not clamped."""
        height, width = x.shape[-2:]
        padded = reflect_to_multiple(x, 8)
        e1 = self.encoder_level1(self.patch_embed(padded))
        e2 = self.encoder_level2(self.down1_2(e1))
        e3 = self.encoder_level3(self.down2_3(e2))
        d = self.latent(self.down3_4(e3))
        d = self.reduce_chan_level3(torch.cat((self.up4_3(d), e3), dim=1))
        d = self.decoder_level3(d)
        d = self.reduce_chan_level2(torch.cat((self.up3_2(d), e2), dim=1))
        d = self.decoder_level2(d)
        d = self.decoder_level1(torch.cat((self.up2_1(d), e1), dim=1))
        y: Tensor = self.output(self.refinement(d)) + padded
        return y[..., :height, :width]


def _stage(channels: int, level: int, blocks: int | None = None) -> nn.Sequential:
    """The transformer blocks of a level (0 is full resolution)."""
    count = BLOCKS[level] if blocks is None else blocks
    return nn.Sequential(*(HistogramBlock(channels, HEADS[level]) for _ in range(count)))
