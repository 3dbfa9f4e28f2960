"""The size ``nano``: equation 3 taken literally, for cameras' rates on a CPU.

No part of the paper. Its network exchanges masked features at seven levels; this one predicts once
what equation 3 names: the mask M, the restored visible image VI', and what little the two leave
over, R:

    F = M VI' + (1 - M) IR + R

VI' is the visible image plus a correction, so texture that needs no restoring passes at full
resolution whatever the network's own is. It works at half of it and below, in few dense 3x3
convolutions: these reach a CPU's matrix units, which depthwise ones and sorting do not.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.amg_fuse import SIZE_MULTIPLE
from amg_fuse_ros.network.blocks import reflect_to_multiple
from amg_fuse_ros.network.fusion_network import FusionNetwork, NetworkSize, check_pair

NANO = NetworkSize("nano", 16, (0, 0, 0, 0), 0, (0, 0, 0, 0))

Channels = tuple[int, int, int, int]

CHANNELS: Channels = (8, 24, 48, 96)
"""Of the features at 1/2, 1/4, 1/8 and 1/16 of the resolution."""

MULTIPLE = 16
MASK, CORRECTION, RESIDUAL = 1, 3, 1
"""Planes that the head gives: the mask, the correction of the visible image, the rest R."""


class NanoOutput(NamedTuple):
    """What equation 3 is made of; unclamped but for the mask."""

    fused: Tensor
    """B 3 H W."""
    restored: Tensor
    """The visible image as it would be without weather, B 3 H W."""
    mask: Tensor
    """B 1 H W, 0 to 1."""
    residual: Tensor
    """Of the luminance, B 1 H W."""


class Nano(FusionNetwork):
    """A U-Net between half and a sixteenth of the resolution, and equation 3 at the full one."""

    def __init__(self, channels: Channels = CHANNELS) -> None:
        """Make a network that is not trained.

        Args:
            channels: Of the features at 1/2, 1/4, 1/8 and 1/16 of the resolution.
        """
        super().__init__(NANO)
        a, b, c, d = channels
        self.stem = _conv(16, a)
        self.down1, self.encode1 = _conv(a, b, stride=2), Residual(b)
        self.down2, self.encode2 = _conv(b, c, stride=2), Residual(c)
        # Dilated, to know of what lies a hundred pixels off: haze is told from a scene's depth.
        self.down3 = _conv(c, d, stride=2)
        self.bottom = nn.Sequential(Residual(d, dilation=2), Residual(d, dilation=4))
        self.context = Context(d)
        self.up3, self.decode2 = Up(d, c), Residual(c)
        self.up2, self.decode1 = Up(c, b), Residual(b)
        self.up1, self.decode0 = Up(b, a), Residual(a)
        self.head = _conv(a, 4 * (MASK + CORRECTION + RESIDUAL))
        # It begins with the average of the two images, and learns what to change.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, visible: Tensor, thermal: Tensor) -> NanoOutput:
        """Fuse a batch of pairs.

        Args:
            visible: RGB, B 3 H W, in [0, 1].
            thermal: B 1 H W, in [0, 1].

        Any H and W are taken: the pair is extended by reflection at the bottom and the right, and
        the result is cropped.

        Raises:
            ValueError: If the shapes are not those.
        """
        check_pair(visible, thermal)
        h, w = visible.shape[-2:]
        # In two steps, so that engines that are built for multiples of 8 compute the same.
        vi, ir = (
            reflect_to_multiple(reflect_to_multiple(x, SIZE_MULTIPLE), MULTIPLE)
            for x in (visible, thermal)
        )
        planes = F.pixel_shuffle(self._features(vi, ir), 2)
        mask = torch.sigmoid(planes[:, :MASK])
        restored = vi + planes[:, MASK : MASK + CORRECTION]
        residual = planes[:, MASK + CORRECTION :]
        fused = ir + mask * (restored - ir) + residual
        fused, restored, mask, residual = (
            x[..., :h, :w] for x in (fused, restored, mask, residual)
        )
        return NanoOutput(fused, restored, mask, residual)

    def fuse(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """The fused image alone, B 3 H W, unclamped."""
        return self.forward(visible, thermal).fused

    def _features(self, vi: Tensor, ir: Tensor) -> Tensor:
        e0 = F.relu(self.stem(F.pixel_unshuffle(torch.cat((vi, ir), 1), 2)))
        e1 = self.encode1(F.relu(self.down1(e0)))
        e2 = self.encode2(F.relu(self.down2(e1)))
        e3 = self.context(self.bottom(F.relu(self.down3(e2))))
        d2 = self.decode2(e2 + self.up3(e3))
        d1 = self.decode1(e1 + self.up2(d2))
        d0 = self.decode0(e0 + self.up1(d1))
        y: Tensor = self.head(d0)
        return y


class Residual(nn.Module):
    """x + relu(conv(x))."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to the same."""
        return x + F.relu(self.conv(x))


class Context(nn.Module):
    """Adds to every pixel what the means over the whole image say: is all of it in haze?

    A white wall nearby looks like haze until one sees the rest. It begins by adding nothing.
    """

    def __init__(self, channels: int, hidden: int = 32) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to the same."""
        y: Tensor = x + self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return y


class Up(nn.Module):
    """Twice the resolution: each pixel's features give those of the four in its place.

    On a CPU a product and a shuffle are cheaper than bilinear interpolation.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to B C' 2H 2W."""
        return F.pixel_shuffle(self.conv(x), 2)


def channels_of(state: Mapping[str, Tensor]) -> Channels:
    """The channels of the network that a state dict belongs to.

    Raises:
        KeyError: If it is not one of a :class:`Nano`.
    """
    names = ("stem", "down1", "down2", "down3")
    a, b, c, d = (state[f"{name}.weight"].shape[0] for name in names)
    return a, b, c, d


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
