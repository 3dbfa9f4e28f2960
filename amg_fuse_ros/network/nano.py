"""The size ``nano``: equation 3 taken literally, for cameras' rates on a CPU.

No part of the paper. Its network exchanges masked features at seven levels; this one predicts once
what equation 3 names: the mask M, the restored visible image VI', and what little the two leave
over, R:

    F = M VI' + (1 - M) IR + R

VI' is the visible image plus a correction, so texture that needs no restoring passes at full
resolution whatever the network's own is. It works at half of it and below, in few dense 3x3
convolutions: these reach a CPU's matrix units, which depthwise ones and sorting do not.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amg_fuse_ros.network.amg_fuse import NetworkSize, check_pair
from amg_fuse_ros.network.blocks import reflect_to_multiple

NANO = NetworkSize("nano", 24, (1, 1, 1, 1), 0, (1, 1, 1, 1))
"""Width at half resolution; the other fields belong to the paper's sizes."""

CHANNELS = (24, 48, 96, 96)
"""Of the features at 1/2, 1/4, 1/8 and 1/16 of the resolution."""

MULTIPLE = 16
MASK, CORRECTION, RESIDUAL = 1, 3, 3
"""Planes that the head gives: the mask, the correction of the visible image, the rest R."""


class NanoOutput(NamedTuple):
    """What equation 3 is made of, all B C H W; unclamped but for the mask."""

    fused: Tensor
    restored: Tensor
    mask: Tensor
    residual: Tensor


class Nano(nn.Module):
    """A U-Net between half and a sixteenth of the resolution, and equation 3 at the full one."""

    size = NANO

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = CHANNELS
        self.stem = _conv(16, a)
        self.down1, self.encode1 = _conv(a, b, stride=2), Residual(b)
        self.down2, self.encode2 = _conv(b, c, stride=2), Residual(c)
        # Dilated, to know of what lies eighty pixels off: haze is told from a scene's depth.
        self.down3, self.bottom = _conv(c, d, stride=2), Residual(d, dilation=2)
        self.up3, self.decode2 = nn.Conv2d(d, c, 1), Residual(c)
        self.up2, self.decode1 = nn.Conv2d(c, b, 1), Residual(b)
        self.up1, self.decode0 = nn.Conv2d(b, a, 1), Residual(a)
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
        vi, ir = (reflect_to_multiple(x, MULTIPLE) for x in (visible, thermal))
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
        e3 = self.bottom(F.relu(self.down3(e2)))
        d2 = self.decode2(e2 + _twice(self.up3(e3)))
        d1 = self.decode1(e1 + _twice(self.up2(d2)))
        d0 = self.decode0(e0 + _twice(self.up1(d1)))
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


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
