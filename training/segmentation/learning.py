"""Train a light segmentation network of torchvision's, and count what it says of test images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from training.metrics.folder import list_images
from training.schedule import warmup_cosine

Counts = NDArray[np.int64]
"""Pixels by true class (rows) and predicted class (columns)."""


@dataclass(frozen=True)
class SegmentationSettings:
    """How a network is trained.

    Raises:
        ValueError: A value is out of its range.
    """

    epochs: int = 8
    height: int = 192
    width: int = 256
    """Of the images while training; multiples of 32."""
    batch: int = 8
    learning_rate: float = 2e-3
    """Of AdamW at its highest; it falls along a cosine."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        sides_fit = self.height % 32 == 0 and self.width % 32 == 0 and min(self.sides) >= 32
        if not sides_fit or self.epochs < 1 or self.batch < 2:
            raise ValueError(
                "expected 1 or more epochs, a batch of 2 or more and sides that are multiples of "
                f"32; found {self.epochs}, {self.batch}, {self.sides}"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Segmented:
    """What a network said of one image."""

    name: str
    counts: Counts


def make_network(classes: int) -> nn.Module:
    """LR-ASPP on MobileNetV3-Large (Howard et al., 2019), fresh weights: B 3 H W to scores.

    Args:
        classes: How many, the background among them.
    """
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    network: nn.Module = lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=classes
    )
    return network


def train(
    images: Path, classes: Path, count: int, settings: SegmentationSettings, *, seed: int = 0
) -> nn.Module:
    """Train a network on a folder of images.

    Rare classes weigh more: 1 / ln(1.02 + share of the pixels) (Paszke et al., ENet, 2016).

    Args:
        images: Folder of images.
        classes: Folder of class numbers under the same stems.
        count: Of classes.
        settings: How.
        seed: Of the weights, the order, and mirroring.

    Raises:
        ValueError: There are fewer images than a batch takes, or one cannot be read.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, y = _load(images, classes, settings.sides)
    if len(x) < settings.batch:
        raise ValueError(f"{images}: {len(x)} images; expected {settings.batch} (batch) or more")
    shares = torch.bincount(y.flatten().long(), minlength=count).float() / y.numel()
    weights = (1 / torch.log(1.02 + shares)).to(settings.device)
    network = make_network(count).to(memory_format=torch.channels_last).to(settings.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    steps = settings.epochs * (len(x) // settings.batch)
    network.train()
    for step, batch in enumerate(_batches(len(x), settings, rng)):
        high = settings.learning_rate
        rate = warmup_cosine(step, steps=steps, warmup=steps // 10 + 1, high=high, low=high / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        shown, true = x[batch].to(settings.device), y[batch].to(settings.device)
        if rng.random() < 0.5:
            shown, true = shown.flip(-1), true.flip(-1)
        with torch.autocast(torch.device(settings.device).type, torch.bfloat16):
            scores = network(_normalised(shown))["out"]
        loss = F.cross_entropy(scores.float(), true.long(), weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # torchvision's running statistics follow batches by 1 % a step: after a training of minutes
    # they are still much of what the network began with.
    whole = x[: len(x) // settings.batch * settings.batch].split(settings.batch)
    with torch.inference_mode():
        update_bn((_normalised(part.to(settings.device)) for part in whole), network)
    return network.eval()


def look(network: nn.Module, images: Path, classes: Path, count: int) -> list[Segmented]:
    """Count what a network says of every pixel of a folder of images, at their own size.

    Raises:
        ValueError: There is none, or one cannot be read.
    """
    found = []
    device = next(network.parameters()).device
    for name, path in sorted(list_images(images).items()):
        shown, true = _read(path, classes / f"{name}.png", None)
        with torch.inference_mode():
            said = network(_normalised(shown[None].to(device)))["out"].argmax(1)[0].cpu()
        pairs = true.long() * count + said
        counts = torch.bincount(pairs.flatten(), minlength=count**2).reshape(count, count)
        found.append(Segmented(name, counts.numpy().astype(np.int64)))
    if not found:
        raise ValueError(f"{images}: no images")
    return found


def _batches(
    images: int, settings: SegmentationSettings, rng: np.random.Generator
) -> Iterator[Tensor]:
    for _ in range(settings.epochs):
        order = torch.from_numpy(rng.permutation(images))
        for number in range(images // settings.batch):
            yield order[number * settings.batch : (number + 1) * settings.batch]


def _load(images: Path, classes: Path, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    found = [
        _read(path, classes / f"{name}.png", sides)
        for name, path in sorted(list_images(images).items())
    ]
    if not found:
        raise ValueError(f"{images}: no images")
    return torch.stack([x for x, _ in found]), torch.stack([y for _, y in found])


def _read(image: Path, classes: Path, sides: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    """An image, 3 H W RGB, and its classes, H W, uint8, brought to a size if one is given."""
    shown = cv2.imread(str(image), cv2.IMREAD_COLOR)
    true = cv2.imread(str(classes), cv2.IMREAD_UNCHANGED)
    if shown is None or true is None or true.shape != shown.shape[:2]:
        raise ValueError(f"{image}: it or its classes ({classes}) cannot be read or do not match")
    if sides is not None:
        size = sides[::-1]
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
        true = cv2.resize(true, size, interpolation=cv2.INTER_NEAREST)
    colors = np.ascontiguousarray(shown[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(colors), torch.from_numpy(np.ascontiguousarray(true))


def _normalised(images: Tensor) -> Tensor:
    return (images.float() / 255 - 0.5) / 0.25


def intersection_over_union(counts: Sequence[Counts]) -> NDArray[np.float64]:
    """IoU of each class over all pixels of the images; NaN for one that does not occur."""
    whole = np.sum(counts, axis=0).astype(np.float64)
    both = np.diag(whole)
    either = whole.sum(axis=0) + whole.sum(axis=1) - both
    present = whole.sum(axis=1) > 0
    return np.where(present, np.divide(both, either, where=either > 0, out=0 * either), np.nan)
