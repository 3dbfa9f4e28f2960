"""The convolutional parts that all three streams share: RSB, down- and upsampling, layer norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """Residual block: ``x + conv3x3(relu(conv3x3(x)))``, both convolutions with bias.

    B C H W in, B C H W out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus its convolved residual, same shape."""
        residual: Tensor = self.block(x)
        return x + residual


def residual_stream_block(channels: int) -> nn.Sequential:
    """RSB, the block of the visible and the thermal stream: a ResBlock, then ReLU."""
    return nn.Sequential(ResBlock(channels), nn.ReLU())


class PatchEmbed(nn.Module):
    """Image to features by one 3x3 convolution: B ``in_channels`` H W to B ``dim`` H W."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Project the image to features."""
        y: Tensor = self.proj(x)
        return y


class Downsample(nn.Module):
    """B C H W to B 2C H/2 W/2: convolution to C/2, then pixel unshuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width, double the channels."""
        y: Tensor = self.body(x)
        return y


class Upsample(nn.Module):
    """B C H W to B C/2 2H 2W: convolution to 2C, then pixel shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels * 2, 3, padding=1, bias=False), nn.PixelShuffle(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Double height and width, halve the channels."""
        y: Tensor = self.body(x)
        return y


class _Affine(nn.Module):
    """Weight and bias of a layer norm, kept apart because the authors' keys say ``norm1.body``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of each pixel (biased variance, eps 1e-5), B C H W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = _Affine(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every pixel's channel vector."""
        pixels = x.permute(0, 2, 3, 1)
        weight, bias = self.body.weight, self.body.bias
        return F.layer_norm(pixels, weight.shape, weight, bias, eps=1e-5).permute(0, 3, 1, 2)


def reflect_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend B C H W at the bottom and the right by reflection to multiples of ``multiple``.

    Unlike ``F.pad`` this also holds where the padding is longer than the image: the reflection
    goes back and forth. Crop the result with ``[..., :H, :W]``.
    """
    for axis in (-2, -1):
        size = x.shape[axis]
        target = -(-size // multiple) * multiple
        if target != size:
            period = max(2 * (size - 1), 1)
            position = torch.arange(target, device=x.device) % period
            x = x.index_select(axis, torch.minimum(position, period - position))
    return x
