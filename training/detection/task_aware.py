"""Train a fusion for a detector: its own objective, and what a frozen detector has against it.

Task-driven fusion as the field does it (Liu et al., TarDAL, CVPR 2022, and others train both
together; here the detector is frozen, which keeps it a fair judge of the other inputs). For the
size nano, from weights that exist.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from amg_fuse_ros.network import load_weights
from amg_fuse_ros.network.checkpoint import fingerprint, save_tensors
from amg_fuse_ros.network.nano import Nano
from training.data.adapters import PairFiles, find_pairs
from training.data.degradations import degrade
from training.data.images import read_pair
from training.data.pairs import Batch
from training.data.splits import split_by_scene
from training.detection.labels import LabelReport, find_class_names, labels_of, read_labels
from training.detection.parts import PairSettings
from training.detection.yolo_training import DetectionLoss
from training.nano.objective import terms, total
from training.pseudo_truth.classical import fuse_classical
from training.run_folder import commit
from training.schedule import update_average, warmup_cosine

logger = logging.getLogger(__name__)

EMA_DECAY = 0.99
TELL_EVERY = 20


@dataclass(frozen=True)
class TaskSettings:
    """How a fusion is trained for a detector.

    Raises:
        ValueError: A value is out of its range.
    """

    weight: float = 0.05
    """Of the detector's loss beside the fusion's own objective; 0 switches it off."""
    steps: int = 200
    batch: int = 8
    height: int = 192
    width: int = 256
    """Of the whole pictures that it is trained on; multiples of 32."""
    learning_rate: float = 2e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weight < 0 or self.steps < 1 or self.batch < 1 or self.learning_rate <= 0:
            raise ValueError(
                "expected a weight of 0 or more, 1 or more steps, a batch of 1 or more and a "
                f"learning rate above 0; found {self}"
            )
        if min(self.height, self.width) < 32 or self.height % 32 or self.width % 32:
            raise ValueError(
                f"expected sides in multiples of 32, found {self.height} and {self.width}"
            )


def fit(
    data: Path, weights: Path, detector: Path, out: Path, pairs: PairSettings, task: TaskSettings
) -> dict[str, float]:
    """Go on training nano for a detector; the averaged weights are written with a card.

    Args:
        data: Labelled pairs to train on; the scenes held out for validation are left out, as
            `recorded_parts` draws them.
        weights: Of nano, to begin with.
        detector: A ``.pt`` that knows ``pairs.classes``; it is unpickled.
        out: The weights file to write.
        pairs: Classes and the share held out.
        task: How.

    Returns:
        Mean of the terms over the last `TELL_EVERY` steps, ``detector`` among them.

    Raises:
        FileNotFoundError: A file, labelled pairs or class names are not there.
        ValueError: A file is of another kind, or the loss is not finite.
    """
    network = load_weights(weights)
    if not isinstance(network, Nano):
        raise ValueError(f"{weights}: only the size nano can be trained for a detector so far")
    judge = DetectionLoss(detector, pairs.classes)
    labelled = [files for files in find_pairs(data) if labels_of(files).is_file()]
    if not labelled:
        raise FileNotFoundError(f"{data}: no labelled pairs; expected labels/ beside the images")
    usable, _ = split_by_scene(labelled, pairs.validation_share)

    network.train().requires_grad_(requires_grad=True)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), task.learning_rate, weight_decay=1e-4)
    told: list[dict[str, float]] = []
    began = time.monotonic()
    for step, (batch, boxes) in enumerate(_batches(usable, pairs, task)):
        high = task.learning_rate
        rate = warmup_cosine(step, steps=task.steps, warmup=20, high=high, low=high / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        output = network(batch.visible_degraded, batch.thermal_degraded)
        found = terms(output, batch)
        loss = total(found)
        if task.weight > 0:
            found["detector"] = judge(output.fused.clamp(0, 1), boxes)
            loss = loss + task.weight * found["detector"]
        if not loss.isfinite():
            raise ValueError(f"step {step}: the loss is not finite ({', '.join(batch.names)})")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        update_average(average, network, EMA_DECAY, step)
        told.append({name: value.item() for name, value in found.items()})
        if (step + 1) % TELL_EVERY == 0:
            logger.info("step %d: %s", step + 1, _mean(told[-TELL_EVERY:]))
    card = {
        "size": "nano",
        "begun_with": fingerprint(load_weights(weights).state_dict()),
        "detector_weight": task.weight,
        "steps": task.steps,
        "samples": task.steps * task.batch,
        "pairs": len(usable),
        "commit": commit(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(average, out, card, torch.float16)
    logger.info("%d steps in %.0f s", task.steps, time.monotonic() - began)
    return _mean(told[-TELL_EVERY:])


def _batches(
    pairs: Sequence[PairFiles], settings: PairSettings, task: TaskSettings
) -> Iterator[tuple[Batch, list[Tensor]]]:
    rng = np.random.default_rng(task.seed)
    names = {files: find_class_names(labels_of(files).parent.parent) for files in pairs}
    for _ in range(task.steps):
        chosen = [pairs[int(i)] for i in rng.integers(0, len(pairs), task.batch)]
        samples = [_sample(files, names[files], settings, task, rng) for files in chosen]
        visible, thermal, seen, heat, pseudo = (
            torch.cat([images[i] for images, _, _ in samples]) for i in range(5)
        )
        batch_names = tuple(name for _, _, name in samples)
        batch = Batch(visible, thermal, seen, heat, pseudo, batch_names)
        yield batch, [boxes for _, boxes, _ in samples]


def _sample(
    files: PairFiles,
    names: Sequence[str],
    settings: PairSettings,
    task: TaskSettings,
    rng: np.random.Generator,
) -> tuple[list[Tensor], Tensor, str]:
    """The images of a `Batch` for one pair, its boxes, and what was done to it."""
    size = task.width, task.height
    visible, thermal = (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for image in read_pair(files)
    )
    found = read_labels(labels_of(files), names, settings.classes, LabelReport())
    boxes = torch.tensor(
        [(settings.classes.index(b.name), b.cx, b.cy, b.width, b.height) for b in found]
    ).reshape(-1, 5)
    if rng.random() < 0.5:
        visible, thermal = visible[:, ::-1].copy(), thermal[:, ::-1].copy()
        boxes[:, 1] = 1 - boxes[:, 1]
    degraded = degrade(visible, thermal, rng)
    images = [
        torch.from_numpy(np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)))[None]
        for image in (
            visible,
            thermal,
            degraded.visible,
            degraded.thermal,
            fuse_classical(visible, thermal),
        )
    ]
    return images, boxes, f"{files.name} ({', '.join(degraded.names) or 'clean'})"


def _mean(told: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(row[name] for row in told) / len(told), 4) for name in told[0]}
