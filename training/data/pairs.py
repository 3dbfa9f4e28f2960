"""Folders of clean thermal and visible pairs: find, read, split, sample."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.config import TrainingConfig
from training.data.degradations import degrade
from training.pseudo_truth.classical import fuse_classical

logger = logging.getLogger(__name__)

FloatImage = NDArray[np.float32]

THERMAL_NAMES = ("ir", "thermal", "infrared")
VISIBLE_NAMES = ("vi", "visible", "rgb")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class PairFiles:
    """One pair on disk. ``scene`` is shared by frames that look alike."""

    name: str
    scene: str
    thermal: Path
    visible: Path


def find_pairs(root: Path) -> list[PairFiles]:
    """All pairs under ``root``: ``root`` itself or its subfolders hold ir/ + vi/ (or alike).

    Names are matched without extension. Files without a partner are logged by name.

    Raises:
        FileNotFoundError: If no folder of pairs is found.
    """
    pairs = [pair for folder in [root, *sorted(root.glob("*/"))] for pair in _pairs_in(folder)]
    if not pairs:
        raise FileNotFoundError(
            f"{root}: expected folders {THERMAL_NAMES} and {VISIBLE_NAMES} with equal file names, "
            "here or one level below"
        )
    return pairs


def _pairs_in(folder: Path) -> Iterator[PairFiles]:
    thermal_dir = next((folder / n for n in THERMAL_NAMES if (folder / n).is_dir()), None)
    visible_dir = next((folder / n for n in VISIBLE_NAMES if (folder / n).is_dir()), None)
    if thermal_dir is None or visible_dir is None:
        return
    thermal, visible = _images(thermal_dir), _images(visible_dir)
    for stem in sorted(thermal.keys() ^ visible.keys()):
        logger.warning("%s: %s has no partner, left out", folder, stem)
    for stem in sorted(thermal.keys() & visible.keys()):
        name = f"{folder.name}/{stem}"
        yield PairFiles(name, _scene_of(folder.name, stem), thermal[stem], visible[stem])


def _images(folder: Path) -> dict[str, Path]:
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}


def _scene_of(dataset: str, stem: str) -> str:
    """Neighbouring frame numbers are taken for one scene: hundreds share one.

    Video data sets number their frames (LLVIP 010001.., RoadScene FLIR_00006..); splitting by
    these groups keeps near-duplicates on one side of a split.
    """
    digits = re.findall(r"\d+", stem)
    return f"{dataset}/{int(digits[-1]) // 100}" if digits else f"{dataset}/{stem}"


def read_pair(files: PairFiles) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a pair: visible RGB H W 3 and thermal H W, 8-bit.

    Raises:
        ValueError: If a file cannot be read or the sizes differ, naming it.
    """
    visible = cv2.imread(str(files.visible), cv2.IMREAD_COLOR)
    thermal = cv2.imread(str(files.thermal), cv2.IMREAD_GRAYSCALE)
    if visible is None or thermal is None:
        broken = files.visible if visible is None else files.thermal
        raise ValueError(f"{broken}: cannot be read as an image")
    if visible.shape[:2] != thermal.shape:
        raise ValueError(
            f"{files.name}: sizes differ, visible {visible.shape[:2]}, thermal {thermal.shape}"
        )
    return cv2.cvtColor(visible, cv2.COLOR_BGR2RGB).astype(np.uint8), thermal.astype(np.uint8)


def split_by_scene(
    pairs: Sequence[PairFiles], validation_share: float = 0.06
) -> tuple[list[PairFiles], list[PairFiles]]:
    """Training and validation pairs; no scene is on both sides, the same split every time."""
    scenes = sorted({p.scene for p in pairs})
    rng = np.random.default_rng(20_240_606)
    order = [scenes[i] for i in rng.permutation(len(scenes))]
    held_out: set[str] = set()
    count = 0
    for scene in order:
        if count >= validation_share * len(pairs):
            break
        size = sum(p.scene == scene for p in pairs)
        if size <= validation_share * len(pairs):  # a scene of half the data is for training
            held_out.add(scene)
            count += size
    return (
        [p for p in pairs if p.scene not in held_out],
        [p for p in pairs if p.scene in held_out],
    )


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
    uninterrupted one would, and processes that share a batch see its parts.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        config: TrainingConfig,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if config.batch % processes:
            raise ValueError(f"batch {config.batch} does not divide among {processes} processes")
        self.config = config
        self.rank = rank
        self.share = config.batch // processes
        self.images: list[tuple[PairFiles, NDArray[np.uint8], NDArray[np.uint8]]] = []
        for files in pairs:
            try:
                self.images.append((files, *read_pair(files)))
            except ValueError as error:
                logger.warning("left out: %s", error)
        if not self.images:
            raise ValueError("no readable pair to train on")
        counts: dict[str, int] = {}
        for files, _, _ in self.images:
            dataset = files.name.split("/")[0]
            counts[dataset] = counts.get(dataset, 0) + 1
        # The square root lifts small data sets without letting them dominate.
        weights = np.array([counts[f.name.split("/")[0]] ** -0.5 for f, _, _ in self.images])
        self.probabilities = weights / weights.sum()

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
        files, visible8, thermal8 = self.images[
            int(rng.choice(len(self.images), p=self.probabilities))
        ]
        visible, thermal = random_crop(visible8, thermal8, self.config, rng)
        bad_visible, bad_thermal, done = visible, thermal, "clean"
        if self.config.degrade:
            bad_visible, bad_thermal, names = degrade(visible, thermal, rng)
            done = ", ".join(names) or "clean"
        pseudo = fuse_classical(visible, thermal)
        return (visible, thermal, bad_visible, bad_thermal, pseudo), f"{files.name} ({done})"


def _to_batch(images: Iterable[FloatImage]) -> Tensor:
    """H W or H W C images of one size to B C H W."""
    stacked = np.stack([i if i.ndim == 3 else i[..., None] for i in images])
    return torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2), np.float32))


def random_crop(
    visible: NDArray[np.uint8],
    thermal: NDArray[np.uint8],
    config: TrainingConfig,
    rng: np.random.Generator,
) -> tuple[FloatImage, FloatImage]:
    """A random square of the pair at a random scale, flipped at random, as float32 in [0, 1]."""
    height, width = thermal.shape
    scale = max(rng.uniform(*config.rescale), config.crop / min(height, width))
    side = min(round(config.crop / scale), height, width)
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    window = np.s_[y : y + side, x : x + side]
    shape = (config.crop, config.crop)
    interpolation = cv2.INTER_AREA if side > config.crop else cv2.INTER_CUBIC
    crops = []
    flip = rng.random() < 0.5
    for image in (visible, thermal):
        crop = image[window]
        if side != config.crop:
            crop = cv2.resize(crop, shape, interpolation=interpolation).astype(np.uint8)
        crops.append((crop[:, ::-1] if flip else crop).astype(np.float32) / np.float32(255))
    return crops[0], crops[1]
