"""Scores on held-out scenes under weather that is the same every time.

A checkpoint is judged by the fused image of a degraded pair against the clean pair, on four of
the seven metrics: Q^AB/F (edges), SSIM (structure), VIF (information) and Q_CB (contrast as seen).
Left out are Q_MI, which a copy of one camera wins, Q_G, nearly the same as Q^AB/F, and Q_M, whose
wavelet bands follow single pixels of noise. The four lie in one range (0.2 to 0.6 for a decent
fusion), so their plain mean is the score; no single one of them decides. It compares checkpoints
of like training and says nothing absolute: a mere copy of a clean camera image would reach 0.6.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amg_fuse_ros.network import fusion_mask
from training.data.degradations import DegradationSettings, degrade
from training.data.images import PairImages, read_images
from training.data.pairs import PairFiles
from training.metrics import METRICS
from training.metrics import score as score_image

SCORED = ("qabf", "ssim", "vif", "q_cb")
LIMIT = 12
SIDE = 256
_LEAST_SIDE = 48
_WEATHERS = ("rain", "snow", "haze")

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class _Sample:
    """visible and visible_degraded H W 3, thermal and thermal_degraded H W, float32 in [0, 1]."""

    name: str
    visible: FloatImage
    thermal: FloatImage
    visible_degraded: FloatImage
    thermal_degraded: FloatImage


class Validator:
    """Scores networks on the same degraded crops each time.

    From each pair the middle is taken, at most ``side`` pixels square. Degraded images of the
    data set's own are used where there are any; other pairs get rain, snow and haze in turn, by
    generators seeded with their names.

    Args:
        pairs: Held-out pairs.
        limit: How many of them to use, evenly spread; ``None`` for all.
        side: Largest side of the crops in pixels, a multiple of 8.
        keys: The metrics to compute, ``SCORED`` among them.

    Raises:
        ValueError: If no pair is readable and at least 48 pixels high and wide.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        *,
        limit: int | None = LIMIT,
        side: int = SIDE,
        keys: Sequence[str] = SCORED,
    ) -> None:
        count = len(pairs) if limit is None else min(limit, len(pairs))
        chosen = [pairs[i * len(pairs) // count] for i in range(count)]
        self.keys = keys
        self.samples = []
        for number, files in enumerate(chosen):
            images = read_images(files)
            if min(images.thermal.shape) >= _LEAST_SIDE:
                weather = _WEATHERS[number % len(_WEATHERS)]
                self.samples.append(_sample(files.name, images, weather, side))
        if not self.samples:
            raise ValueError(
                f"expected held-out pairs of at least {_LEAST_SIDE} pixels a side, found none "
                f"among {len(pairs)}"
            )

    @torch.inference_mode()
    def fuse(
        self,
        network: nn.Module,
        weights: Mapping[str, Tensor] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> list[FloatImage]:
        """The fused images, H W 3 in [0, 1].

        Args:
            network: The network, on any device.
            weights: A state dict to use instead of the network's own.
            autocast: Context in which the network runs.
        """
        example = next(network.parameters())
        fused = []
        for sample in self.samples:
            pair = (sample.visible_degraded, sample.thermal_degraded)
            inputs = tuple(_to_tensor(image).to(example.device, example.dtype) for image in pair)
            with autocast():
                if weights is None:
                    output = network(*inputs)
                else:
                    output = torch.func.functional_call(network, dict(weights), inputs)
            fused.append(_to_image(output[0].float().clamp(0, 1)))
        return fused

    def score(self, fused: Sequence[FloatImage]) -> dict[str, float]:
        """Mean scores of the fused images against the clean pairs, and their ``score``."""
        rows = []
        for sample, image in zip(self.samples, fused, strict=True):
            sources = (sample.thermal, sample.visible, image)
            images = [(i * 255.0).astype(np.float64) for i in sources]
            if self.keys == SCORED:
                rows.append({key: METRICS[key](*images, value_range=255) for key in SCORED})
            else:
                rows.append(score_image(*images, value_range=255))
        means = {key: float(np.mean([row[key] for row in rows])) for key in self.keys}
        return {"score": float(np.mean([means[key] for key in SCORED])), **means}

    def pictures(self, fused: Sequence[FloatImage], limit: int = 4) -> Tensor:
        """A strip for each of the first samples: inputs, fused image, mask, clean visible image.

        Returns:
            N 3 SIDE 5*SIDE in [0, 1], smaller crops at the top left.
        """
        strips = []
        for sample, image in zip(self.samples[:limit], fused, strict=False):
            tiles = [sample.visible_degraded, sample.thermal_degraded, image, sample.visible]
            visible, thermal, result, clean = (_to_tensor(tile) for tile in tiles)
            mask = fusion_mask(result, visible, thermal)
            row = [t.expand(1, 3, -1, -1) for t in (visible, thermal, result, mask, clean)]
            strips.append(torch.cat(row, dim=-1))
        height, width = (max(s.shape[axis] for s in strips) for axis in (-2, -1))
        canvas = torch.zeros(len(strips), 3, height, width)
        for target, strip in zip(canvas, strips, strict=True):
            target[:, : strip.shape[-2], : strip.shape[-1]] = strip[0]
        return canvas


def _sample(name: str, images: PairImages, weather: str, side: int) -> _Sample:
    visible, thermal = _middle(images.visible, side), _middle(images.thermal, side)
    if images.degraded_visible is not None and images.degraded_thermal is not None:
        bad = (_middle(images.degraded_visible, side), _middle(images.degraded_thermal, side))
        return _Sample(name, visible, thermal, *bad)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    settings = replace(
        DegradationSettings(),
        clean=0.0,
        weather=1.0,
        second_weather=0.0,
        low_light=0.0,
        weather_weights={weather: 1.0},
        severity=(0.4, 0.9),
    )
    degraded = degrade(visible, thermal, rng, settings)
    return _Sample(name, visible, thermal, degraded.visible, degraded.thermal)


def _middle(image: NDArray[np.uint8], side: int) -> FloatImage:
    """The middle of an image, at most ``side`` square, its sides multiples of 8."""
    height, width = (min(length - length % 8, side) for length in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    window = image[top : top + height, left : left + width]
    return np.ascontiguousarray(window, np.float32) / np.float32(255)


def _to_tensor(image: FloatImage) -> Tensor:
    """H W or H W C to 1 C H W."""
    planes = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]


def _to_image(tensor: Tensor) -> FloatImage:
    """1 C H W to H W C."""
    return np.ascontiguousarray(tensor[0].permute(1, 2, 0).cpu().numpy(), np.float32)
