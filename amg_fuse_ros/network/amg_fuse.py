"""AMG-Fuse: thermal and visible image fusion in adverse weather, guided by an adaptive mask.

Attribute names are those of the authors' public state dict, so that their checkpoints load.
The fused stream runs histogram transformer blocks (HTB), the visible and thermal streams residual
blocks (RSB); after each level a mask-guided module (MFEM) lets the three exchange features.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, cat, nn

from amg_fuse_ros.network.blocks import (
    Downsample,
    PatchEmbed,
    ResBlock,
    Upsample,
    reflect_to_multiple,
    residual_stream_block,
)
from amg_fuse_ros.network.cross_attention import MaskedCrossAttention
from amg_fuse_ros.network.fusion_network import FusionNetwork, NetworkSize, check_pair
from amg_fuse_ros.network.histogram_block import HistogramBlock
from amg_fuse_ros.network.mask import feature_mask
from amg_fuse_ros.network.streams import Streams

SIZES = {
    size.name: size
    for size in (
        NetworkSize("full", 48, (4, 6, 6, 8), 2, (2, 4, 6, 8)),
        NetworkSize("tiny", 16, (1, 2, 2, 4), 2, (1, 2, 2, 4)),
    )
}

SIZE_MULTIPLE = 8
"""Height and width inside the network are multiples of this: three levels of halving."""


class FusionOutput(NamedTuple):
    """The network's three images, B 3 H W each, unclamped."""

    fused: Tensor
    """The fused image F; clamp it to [0, 1] to show it."""
    visible: Tensor
    """f_vi, what the network takes for the visible camera's share M VI (equation 6)."""
    thermal: Tensor
    """f_ir, what it takes for the thermal camera's share (1 - M) IR (equation 7)."""


class AMGFuse(FusionNetwork):
    """The network of the paper, in one of its sizes; see :meth:`from_size`."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__(size)
        c, blocks, heads = size.dim, size.blocks, size.heads

        self.patch_embed_vi = PatchEmbed(3, c)
        self.patch_embed_ir = PatchEmbed(1, c)
        self.patch_embed_f = PatchEmbed(3, c)  # never used, in the authors' files
        self._add_level("encoder_level1", c, blocks[0], heads[0])  # its HTBs are never used
        self._add_streams("down1_2", lambda: Downsample(c))
        self._add_level("encoder_level2", 2 * c, blocks[1], heads[1])
        self._add_streams("down2_3", lambda: Downsample(2 * c))
        self._add_level("encoder_level3", 4 * c, blocks[2], heads[2])
        self._add_streams("down3_4", lambda: Downsample(4 * c))
        self._add_level("latent", 8 * c, blocks[3], heads[3])
        self._add_streams("up4_3", lambda: Upsample(8 * c))
        self._add_streams("reduce_chan_level3", lambda: nn.Conv2d(8 * c, 4 * c, 1, bias=False))
        self._add_level("decoder_level3", 4 * c, blocks[2], heads[2])
        self._add_streams("up3_2", lambda: Upsample(4 * c))
        self._add_streams("reduce_chan_level2", lambda: nn.Conv2d(4 * c, 2 * c, 1, bias=False))
        self._add_level("decoder_level2", 2 * c, blocks[1], heads[1])
        self._add_streams("up2_1", lambda: Upsample(2 * c))
        self._add_level("decoder_level1", 2 * c, blocks[0], heads[0])
        self._add_level("refinement", 2 * c, size.refinement_blocks, heads[0])
        self._add_streams("output", lambda: nn.Conv2d(2 * c, 3, 3, padding=1, bias=False))

        channels = [c, 2 * c, 4 * c, 8 * c, 4 * c, 2 * c, 2 * c]
        level_heads = [*heads, heads[2], heads[1], heads[0]]
        # The last entries of both lists are never used; the authors' files hold them.
        self.mask_processors = nn.ModuleList(
            nn.Sequential(ResBlock(n), nn.Sigmoid()) for n in [*channels, 3]
        )
        self.CA_processors = nn.ModuleList(
            MaskedCrossAttention(n, h)
            for n, h in zip([*channels, 2 * c], [*level_heads, heads[0]], strict=True)
        )
        self.CA_processors.append(nn.Sequential(ResBlock(3)))

    @classmethod
    def from_size(cls, name: str) -> "AMGFuse":
        """Build the network with fresh weights.

        Args:
            name: ``"tiny"`` (4.9 M parameters, the real-time one) or ``"full"`` (60 M).

        Raises:
            ValueError: If there is no such size.
        """
        if name not in SIZES:
            raise ValueError(f"expected a network size among {sorted(SIZES)}, found {name!r}")
        return cls(SIZES[name])

    def forward(self, visible: Tensor, thermal: Tensor) -> FusionOutput:
        """Fuse a batch of pairs and return all three images.

        Args:
            visible: RGB, B 3 H W, in [0, 1].
            thermal: B 1 H W, in [0, 1].

        Any H and W are taken: the pair is extended to multiples of 8 by reflection at the bottom
        and the right, and the result is cropped.

        Raises:
            ValueError: If the shapes are not those.
        """
        d1 = self._mfem(6, self._decode_level1(visible, thermal))
        fused, out_vi, out_ir = (
            self._part(f"output_{s}", self._part(f"refinement_{s}", x))
            for s, x in (("f", d1.f), ("vi", d1.vi), ("ir", d1.ir))
        )
        h, w = visible.shape[-2:]
        return FusionOutput(fused[..., :h, :w], out_vi[..., :h, :w], out_ir[..., :h, :w])

    def fuse(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Return the fused image alone, B 3 H W, unclamped.

        Equal to ``forward(visible, thermal).fused`` without the parts that only the other two
        images need (a tenth of the multiplications).
        """
        x = self._decode_level1(visible, thermal)
        f = x.f + self.CA_processors[6].fused_only(x, self._mask(6, x))  # type: ignore[operator]
        fused = self._part("output_f", self._part("refinement_f", f))
        h, w = visible.shape[-2:]
        return fused[..., :h, :w]

    def _decode_level1(self, visible: Tensor, thermal: Tensor) -> Streams:
        """From the images to the features of decoder level 1, before its MFEM: B 2c H W."""
        check_pair(visible, thermal)
        v = self.patch_embed_vi(reflect_to_multiple(visible, SIZE_MULTIPLE))  # B c H W
        i = self.patch_embed_ir(reflect_to_multiple(thermal, SIZE_MULTIPLE))
        v, i = self._part("encoder_level1_vi", v), self._part("encoder_level1_ir", i)
        e1 = self._mfem(0, Streams(v, i, f=v + i))
        e2 = self._mfem(1, self._each("encoder_level2", self._each("down1_2", e1)))  # 2c H/2
        e3 = self._mfem(2, self._each("encoder_level3", self._each("down2_3", e2)))  # 4c H/4
        latent = self._mfem(3, self._each("latent", self._each("down3_4", e3)))  # 8c H/8

        x = _join(self._each("up4_3", latent), e3)
        x = self._each("reduce_chan_level3", x)
        d3 = self._mfem(4, self._each("decoder_level3", x))  # 4c H/4
        x = _join(self._each("up3_2", d3), e2)
        x = self._each("reduce_chan_level2", x)
        d2 = self._mfem(5, self._each("decoder_level2", x))  # 2c H/2
        x = _join(self._each("up2_1", d2), e1)
        return self._each("decoder_level1", x)  # 2c H, no reduction after this concatenation

    def _mfem(self, level: int, x: Streams) -> Streams:
        """Mask-guided feature exchange (figure 3, equations 3 and 5), B C H W per stream."""
        added = self.CA_processors[level](x, self._mask(level, x))
        return Streams(x.vi + added.vi, x.ir + added.ir, x.f + added.f)

    def _mask(self, level: int, x: Streams) -> Tensor:
        mask: Tensor = self.mask_processors[level](feature_mask(x.f, x.vi, x.ir))
        return mask

    def _each(self, part: str, x: Streams) -> Streams:
        """Apply the streams' modules of one part, each to its own stream."""
        return Streams(
            self._part(f"{part}_vi", x.vi),
            self._part(f"{part}_ir", x.ir),
            self._part(f"{part}_f", x.f),
        )

    def _part(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = getattr(self, name)(x)
        return y

    def _add_streams(self, part: str, make: Callable[[], nn.Module]) -> None:
        for stream in Streams._fields:
            self.add_module(f"{part}_{stream}", make())

    def _add_level(self, part: str, channels: int, blocks: int, heads: int) -> None:
        self.add_module(f"{part}_vi", residual_stream_block(channels))
        self.add_module(f"{part}_ir", residual_stream_block(channels))
        htb = nn.Sequential(*(HistogramBlock(channels, heads) for _ in range(blocks)))
        self.add_module(f"{part}_f", htb)


def _join(upsampled: Streams, skipped: Streams) -> Streams:
    """Concatenate the decoder's upsampled features with the encoder's, upsampled first."""
    return Streams(*(cat((a, b), dim=1) for a, b in zip(upsampled, skipped, strict=True)))
