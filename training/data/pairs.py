"""Batches of crops from thermal and visible pairs, degraded on the fly or as recorded."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.config import TrainingConfig
from training.data.adapters import PairFiles, find_pairs
from training.data.degradations import degrade
from training.data.fingerprints import fingerprint_pairs
from training.data.images import ByteImage, ImageStore, PairImages, read_pair
from training.data.splits import manifest, split_by_scene
from training.pseudo_truth.classical import ClassicalPseudoTruth
from training.pseudo_truth.protocol import PseudoTruth

__all__ = [
    "Batch",
    "PairDataset",
    "PairFiles",
    "find_pairs",
    "manifest",
    "random_crop",
    "read_pair",
    "split_by_scene",
]

logger = logging.getLogger(__name__)

FloatImage = NDArray[np.float32]

MEMORY_LIMIT = 2 << 30
DRAWS = 1000


@dataclass(frozen=True)
class Batch:
    """What a training step sees; clean sources for the losses, degraded ones for the network.

    visible, visible_degraded, pseudo: B 3 H W; thermal, thermal_degraded: B 1 H W; float32 in
    [0, 1]. ``names`` says for each sample the pair and its degradations.
    """

    visible: Tensor
    thermal: Tensor
    visible_degraded: Tensor
    thermal_degraded: Tensor
    pseudo: Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on ``device``."""
        return Batch(
            self.visible.to(device),
            self.thermal.to(device),
            self.visible_degraded.to(device),
            self.thermal_degraded.to(device),
            self.pseudo.to(device),
            self.names,
        )


class PairDataset(Dataset[Batch]):
    """Batches by step number: item ``s`` is the batch of optimiser step ``s``.

    A sample is a pure function of the seed and its global number, so a resumed run sees what an
    uninterrupted one would, and processes that share a batch see its parts. A pair that cannot be
    read is logged by name and left out, at the start or, when its files vanish later, whenever it
    is drawn: another is drawn in its place.

    OpenCV is set to one thread for the whole process: loading processes are forked from it, its
    threads would not come along and the first to wait for them would wait for ever.

    Args:
        pairs: What to train on.
        config: Seed, crop, batch and whether to degrade.
        rank: Number of this process among those that share a batch.
        processes: How many those are.
        recorded_share: Of the draws of a pair that comes with degraded images of its own, the
            share that uses these; the others degrade its clean images as any pair's. 1 is what
            the paper does with AWMM-100k.
        pseudo_truth: Makes the pseudo ground truth of every crop. ``None`` takes the data set's
            own where there is one and :class:`ClassicalPseudoTruth` elsewhere.
        memory_limit: Bytes of decoded images to keep in memory, over all loading processes
            together; pairs beyond it are read from disk each time.

    Raises:
        ValueError: If no pair is readable, or the batch does not divide among the processes.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        config: TrainingConfig,
        *,
        rank: int = 0,
        processes: int = 1,
        recorded_share: float = 0.5,
        pseudo_truth: PseudoTruth | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        if config.batch % processes:
            raise ValueError(f"batch {config.batch} does not divide among {processes} processes")
        cv2.setNumThreads(1)
        self.config = config
        self.rank = rank
        self.share = config.batch // processes
        self.recorded_share = recorded_share
        self.pseudo_truth = pseudo_truth
        self.pairs, _ = fingerprint_pairs(pairs)
        if not self.pairs:
            raise ValueError("no readable pair to train on")
        counts: dict[str, int] = {}
        for files in self.pairs:
            counts[files.dataset] = counts.get(files.dataset, 0) + 1
        # The square root lifts small data sets without letting them dominate.
        weights = np.array([counts[files.dataset] ** -0.5 for files in self.pairs])
        self.probabilities = weights / weights.sum()
        self._cumulative = np.cumsum(self.probabilities)
        self._cumulative /= self._cumulative[-1]
        likeliest = np.argsort(-self.probabilities, kind="stable")
        self.images = ImageStore(self.pairs, memory_limit, map(int, likeliest))
        self._reported: set[str] = set()

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> Batch:
        """The part of step ``step``'s batch that belongs to this process."""
        first = step * self.config.batch + self.rank * self.share
        samples = [self._sample(first + i) for i in range(self.share)]
        columns = zip(*(arrays for arrays, _ in samples), strict=True)
        visible, thermal, bad_visible, bad_thermal, pseudo = (_to_batch(c) for c in columns)
        names = tuple(name for _, name in samples)
        return Batch(visible, thermal, bad_visible, bad_thermal, pseudo, names)

    def _sample(self, number: int) -> tuple[tuple[FloatImage, ...], str]:
        rng = np.random.default_rng([self.config.seed, number])
        files, images = self._draw(rng)
        visible, thermal, *others = _crop_alike(
            [
                images.visible,
                images.thermal,
                *(i for i in (images.degraded_visible, images.degraded_thermal) if i is not None),
                *(i for i in (images.pseudo,) if i is not None),
            ],
            self.config,
            rng,
        )
        own_pseudo = others.pop() if images.pseudo is not None else None
        bad_visible, bad_thermal, done = visible, thermal, "clean"
        if self.config.degrade:
            if others and rng.random() < self.recorded_share:
                (bad_visible, bad_thermal), done = others, "as recorded"
            else:
                bad_visible, bad_thermal, names = degrade(visible, thermal, rng)
                done = ", ".join(names) or "clean"
        if self.pseudo_truth is not None:
            pseudo = self.pseudo_truth(visible, thermal)
        elif own_pseudo is not None:
            pseudo = own_pseudo
        else:
            pseudo = ClassicalPseudoTruth()(visible, thermal)
        return (visible, thermal, bad_visible, bad_thermal, pseudo), f"{files.name} ({done})"

    def _draw(self, rng: np.random.Generator) -> tuple[PairFiles, PairImages]:
        for _ in range(DRAWS):
            index = int(self._cumulative.searchsorted(rng.random(), side="right"))
            files = self.pairs[index]
            try:
                return files, self.images[index]
            except ValueError as error:
                if files.name not in self._reported:
                    self._reported.add(files.name)
                    logger.warning("left out as long as this lasts: %s", error)
        raise ValueError(
            f"none of {DRAWS} pairs drawn can be read any more, {files.name} for one; "
            "is the data still where it was?"
        )


def _to_batch(images: Iterable[FloatImage]) -> Tensor:
    """H W or H W C images of one size to B C H W."""
    stacked = np.stack([i if i.ndim == 3 else i[..., None] for i in images])
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2), np.float32))


def random_crop(
    visible: ByteImage,
    thermal: ByteImage,
    config: TrainingConfig,
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage]:
    """A random square of the pair at a random scale, flipped at random, as float32 in [0, 1]."""
    cropped_visible, cropped_thermal = _crop_alike([visible, thermal], config, rng)
    return cropped_visible, cropped_thermal


def _crop_alike(
    images: Sequence[ByteImage], config: TrainingConfig, rng: np.random.Generator
) -> list[FloatImage]:
    """The same random square of each image, as :func:`random_crop` takes it."""
    height, width = images[0].shape[:2]
    scale = max(rng.uniform(*config.rescale), config.crop / min(height, width))
    side = min(round(config.crop / scale), height, width)
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    window = np.s_[y : y + side, x : x + side]
    shape = (config.crop, config.crop)
    interpolation = cv2.INTER_AREA if side > config.crop else cv2.INTER_CUBIC
    flip = rng.random() < 0.5
    crops = []
    for image in images:
        crop = image[window]
        if side != config.crop:
            crop = cv2.resize(crop, shape, interpolation=interpolation).astype(np.uint8)
        crops.append((crop[:, ::-1] if flip else crop).astype(np.float32) / np.float32(255))
    return crops
