"""What the small restorer learns from: degraded visible crops, bare or behind a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from amg_fuse_ros.network.mask import SHARPNESS, fusion_mask
from training.data.degradations import DegradationSettings, degrade
from training.data.pairs import PairDataset, PairFiles
from training.loop import FitSettings

DEGRADATIONS = DegradationSettings(
    clean=0.3,  # a restorer must know what to leave alone
    low_light=0.0,  # behind a mask everything is darker: darkness is nothing to undo here
    thermal_attenuation=0.0,
    thermal_contrast=0.0,
    thermal_blur=0.0,
    thermal_stripes=0.0,
    thermal_halo=0.0,
    thermal_noise=0.0,
)

RECORDED = "(as recorded)"
"""How ``PairDataset`` ends the name of a sample with degraded images of the data set's own."""


@dataclass(frozen=True)
class RestorationBatch:
    """``degraded`` and ``clean``: B 3 H W, float32 in [0, 1], behind the same mask."""

    degraded: Tensor
    clean: Tensor

    def to(self, device: torch.device) -> "RestorationBatch":
        """The same batch with its tensors on ``device``."""
        return RestorationBatch(self.degraded.to(device), self.clean.to(device))


class RestorationDataset(Dataset[RestorationBatch]):
    """Batches by step number, each a pure function of the seed and the step.

    In the loss the restorer sees mask x visible (equation 8). A third of the samples comes
    without a mask, a third behind a smooth random one, a third behind that of a fused image.
    Where a data set brings degraded images of its own, most draws use them.

    Args:
        pairs: Clean pairs.
        settings: Crop, batch, steps and seed.
    """

    def __init__(self, pairs: Sequence[PairFiles], settings: FitSettings) -> None:
        has_recorded = any(files.degraded_visible is not None for files in pairs)
        self.pairs = PairDataset(pairs, settings.sampling(degrade=has_recorded), recorded_share=0.7)
        self.seed = settings.seed

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, step: int) -> RestorationBatch:
        batch = self.pairs[step]
        masks_of_pairs = fusion_mask(batch.pseudo, batch.visible, batch.thermal)
        degraded, masks = [], []
        for i, visible in enumerate(batch.visible):
            rng = np.random.default_rng([self.seed, step, i])
            if batch.names[i].endswith(RECORDED):
                degraded.append(batch.visible_degraded[i])
            else:
                degraded.append(_degrade(visible, rng))
            masks.append(_draw_mask(masks_of_pairs[i], rng))
        mask = torch.stack(masks)
        return RestorationBatch(torch.stack(degraded) * mask, batch.visible * mask)


def _degrade(visible: Tensor, rng: np.random.Generator) -> Tensor:
    """Degrade 3 H W at random."""
    image = np.ascontiguousarray(visible.permute(1, 2, 0).numpy())
    degraded = degrade(image, image[:, :, 0], rng, DEGRADATIONS).visible
    return torch.from_numpy(np.ascontiguousarray(degraded.transpose(2, 0, 1)))


def _draw_mask(of_pair: Tensor, rng: np.random.Generator) -> Tensor:
    kind = rng.integers(3)
    if kind == 0:
        return torch.ones_like(of_pair)
    if kind == 1:
        smooth = smooth_mask((of_pair.shape[-2], of_pair.shape[-1]), rng)
        return torch.from_numpy(smooth).expand_as(of_pair)
    return of_pair


def smooth_mask(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """A random mask of soft regions, H x W float32, in the range of equation 5's sigmoid."""
    cells = rng.integers(2, 9, size=2)
    coarse: NDArray[Any] = rng.uniform(-0.5, 1.5, size=cells).astype(np.float32)
    share = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return (1 / (1 + np.exp(-SHARPNESS * (share - 0.5)))).astype(np.float32)
