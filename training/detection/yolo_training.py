"""The one module of training that touches ultralytics (AGPL-3.0): trains and tests.

It is imported when it is needed. Nothing is downloaded, nothing asked of or told to its makers, and
its settings go to a folder of this process instead of the user's. Facts about it are from its
version 8.4: a trainer computes in float32 on a CPU and brings each batch to the device inside its
own autocast context; a validator keeps for each image which of the ten IoU thresholds (0.5 to 0.95)
each detection meets.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

THRESHOLDS = 10
"""IoU thresholds: 0.5 to 0.95 in steps of 0.05."""
MOST_DETECTIONS = 100
"""In an image, so that kept results stay small; the pictures hold 40 objects at most."""


@dataclass(frozen=True)
class YoloSettings:
    """How a detector is trained.

    Raises:
        ValueError: A value is out of its range.
    """

    epochs: int = 8
    side: int = 256
    """Of the square that images are brought into, in pixels; a multiple of 32."""
    batch: int = 16
    width: float = 0.125
    """Share of the channels of ultralytics' yolo11.yaml; its own smallest has 0.25."""
    learning_rate: float = 2e-3
    """Of AdamW at its highest; it falls along a cosine."""
    precision: str = "bf16"
    """``"bf16"`` or ``"fp32"``: in what convolutions compute while training."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.side < 32 or self.side % 32:
            raise ValueError(
                "expected 1 or more epochs, a batch of 2 or more and a side that is a multiple of "
                f"32; found {self.epochs}, {self.batch}, {self.side}"
            )
        if not 0 < self.width <= 1 or not self.learning_rate > 0:
            raise ValueError(
                "expected a width above 0 and up to 1 and a learning rate above 0; found "
                f"{self.width}, {self.learning_rate}"
            )
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"precision is {self.precision!r}; expected bf16 or fp32")


@dataclass(frozen=True)
class ImageOutcome:
    """What a detector found in one image, compared with its labels.

    Attributes:
        name: The image's file name.
        met: Detections by `THRESHOLDS`: whether each is right at each threshold, bool.
        scores: Of each detection, 0 to 1.
        found: Class numbers of the detections.
        labelled: Class numbers of the labelled objects.
    """

    name: str
    met: NDArray[np.bool_]
    scores: NDArray[np.float64]
    found: NDArray[np.int64]
    labelled: NDArray[np.int64]


def train(
    dataset: Path, out: Path, settings: YoloSettings, *, seed: int = 0, start: Path | None = None
) -> Path:
    """Train a YOLO on the ``train`` part of a data set.

    Args:
        dataset: Description as `training.detection` writes it.
        out: Folder for what ultralytics leaves; what is there is removed.
        settings: How.
        seed: Of fresh weights and of the order and changes of the images.
        start: A ``.pt`` file of this function to begin with; it is unpickled, so take your own
            only. ``None``: fresh weights.

    Returns:
        The file of the averaged weights after the last epoch.

    Raises:
        FileNotFoundError: ``start`` or the data set is not there.
        ValueError: ultralytics cannot read ``start``, or cannot train on the data set.
    """
    for path in (dataset, start):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    _library()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    overrides = {
        "model": str(start or _described(settings.width, out)),
        "data": str(dataset),
        "project": str(out.parent.resolve()),
        "name": out.name,
        "exist_ok": True,
        "epochs": settings.epochs,
        "imgsz": settings.side,
        "batch": settings.batch,
        "nbs": settings.batch,
        "optimizer": "AdamW",
        "lr0": settings.learning_rate,
        "warmup_epochs": min(1.0, settings.epochs / 4),
        "warmup_bias_lr": 0.0,
        "cos_lr": True,
        "close_mosaic": max(1, settings.epochs // 4),
        "amp": False,
        "device": settings.device,
        "seed": seed,
        "val": False,
        "plots": False,
        "cache": "ram",
        "workers": 0,
        "verbose": False,
    }
    with _in_words(f"{start or 'a new network'} on {dataset}"):
        trainer = _trainer(settings.precision)(overrides=overrides)
        # Its last look at the validation part would take the weights in half precision.
        trainer.final_eval = lambda: None
        trainer.train()
    weights = out / "weights" / "last.pt"
    if not weights.is_file():
        raise ValueError(f"{out}: ultralytics left no weights there")
    return weights


def look(weights: Path, dataset: Path, side: int, *, part: str = "test") -> list[ImageOutcome]:
    """Let a detector look at a part of a data set.

    Args:
        weights: A ``.pt`` of `train`, or an exported ONNX file.
        dataset: The data set's description.
        side: Of the square that images are brought into.
        part: ``"test"`` or ``"val"``.

    Returns:
        One outcome for each image, by name.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: ultralytics cannot read a file, or the network's classes are others than the
            data set's.
    """
    for path in (weights, dataset):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    _library()
    validator_class = import_module("ultralytics.models.yolo.detect").DetectionValidator
    kept: list[ImageOutcome] = []
    expected = {int(k): str(v) for k, v in yaml.safe_load(dataset.read_text())["names"].items()}

    class Keeping(validator_class):  # type: ignore[misc,valid-type]
        def init_metrics(self, model: Any) -> None:
            if (names := {int(k): str(v) for k, v in model.names.items()}) != expected:
                raise ValueError(f"the network knows {names}, the data set {expected}")
            super().init_metrics(model)
            update = self.metrics.update_stats

            def keep(stats: Mapping[str, Any]) -> None:
                kept.append(
                    ImageOutcome(
                        str(stats["im_name"]),
                        np.asarray(stats["tp"], bool).reshape(-1, THRESHOLDS),
                        np.asarray(stats["conf"], np.float64),
                        np.asarray(stats["pred_cls"], np.int64),
                        np.asarray(stats["target_cls"], np.int64),
                    )
                )
                update(stats)

            self.metrics.update_stats = keep

    with tempfile.TemporaryDirectory() as folder, _in_words(f"{weights} on {dataset}"):
        arguments = {
            "model": str(weights),
            "data": str(dataset),
            "split": part,
            "task": "detect",
            "imgsz": side,
            "batch": 16,
            "max_det": MOST_DETECTIONS,
            "device": "cpu",
            "plots": False,
            "verbose": False,
            "workers": 0,
            "project": folder,
            "name": "look",
        }
        Keeping(args=arguments)()
    return sorted(kept, key=lambda outcome: outcome.name)


def average_precision(
    outcomes: Sequence[ImageOutcome], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and average precision by class, as ultralytics computes them.

    Precision and recall are those at the confidence where the mean F1 of all classes is best.

    Args:
        outcomes: Of some images, repeated ones counting again.
        classes: How many there are.

    Returns:
        Precision and recall at IoU 0.5, classes x 2; average precision, classes x `THRESHOLDS`.
        NaN for a class without labelled objects.
    """
    _library()
    compute = import_module("ultralytics.utils.metrics").ap_per_class
    rates = np.full((classes, 2), np.nan)
    precision = np.full((classes, THRESHOLDS), np.nan)
    labelled = np.concatenate([outcome.labelled for outcome in outcomes])
    if labelled.size:
        _, _, p, r, _, ap, present, *_ = compute(
            np.concatenate([outcome.met for outcome in outcomes]),
            np.concatenate([outcome.scores for outcome in outcomes]),
            np.concatenate([outcome.found for outcome in outcomes]),
            labelled,
        )
        present = present.astype(np.int64)
        rates[present, 0], rates[present, 1], precision[present] = p, r, ap
    return rates, precision


class DetectionLoss:
    """What a frozen detector has against images: ultralytics' own loss, for training a fusion.

    Args:
        weights: A ``.pt`` of `train`; it is unpickled, so take your own only.
        classes: Names that it must know, in their order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: ultralytics cannot read it, or it knows other classes.
    """

    def __init__(self, weights: Path, classes: Sequence[str]) -> None:
        if not weights.is_file():
            raise FileNotFoundError(f"{weights}: no such file")
        library = _library()
        with _in_words(str(weights)):
            network = library.YOLO(str(weights), task="detect").model
            network.args = import_module("ultralytics.cfg").get_cfg(overrides=dict(network.args))
        if (names := [str(name) for name in network.names.values()]) != list(classes):
            raise ValueError(f"{weights} knows {names}; expected {list(classes)}")
        self._network = network.float().eval().requires_grad_(requires_grad=False)

    def __call__(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The loss for one image, mean of the batch; the gradient runs to the images.

        Args:
            images: B 3 H W, RGB in [0, 1], sides multiples of 32.
            boxes: For each image N x 5: class number, cx, cy, width, height, relative to its size.
        """
        counts = [len(of_one) for of_one in boxes]
        rows = torch.cat(list(boxes)) if sum(counts) else images.new_zeros(0, 5)
        numbers = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        batch = {
            "img": images,
            "batch_idx": numbers.float(),
            "cls": rows[:, :1],
            "bboxes": rows[:, 1:],
        }
        loss, _ = self._network.loss(batch, self._network(images))
        mean: Tensor = loss.sum() / len(counts)
        return mean


@cache
def _library() -> Any:
    """Import ultralytics so that it keeps to itself.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to.
    """
    folder = tempfile.mkdtemp(prefix="ultralytics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.setdefault("YOLO_CONFIG_DIR", folder)
    for name, value in (("AUTOINSTALL", "false"), ("OFFLINE", "true"), ("VERBOSE", "false")):
        os.environ.setdefault(f"YOLO_{name}", value)
    try:
        library = import_module("ultralytics")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "training a detector needs ultralytics, which is not installed: "
            "pip install -e '.[train,detect]' (it is AGPL-3.0: see the README)",
            name=error.name,
        ) from error
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    return library


def _trainer(precision: str) -> Any:
    """Ultralytics' trainer, in bfloat16 on a CPU if asked for, which halves the time of a step."""
    trainer_class = import_module("ultralytics.models.yolo.detect").DetectionTrainer

    class Trainer(trainer_class):  # type: ignore[misc,valid-type]
        def get_model(self, *args: Any, **options: Any) -> Any:
            return super().get_model(*args, **options).to(memory_format=torch.channels_last)

        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            if precision == "bf16":
                # Until the context that this is called in ends, which puts back what was.
                torch.set_autocast_dtype(self.device.type, torch.bfloat16)
                torch.set_autocast_enabled(self.device.type, True)
            return batch

    return Trainer


def _described(width: float, folder: Path) -> Path:
    """A description of a network of that width, after ultralytics' own."""
    own = Path(import_module("ultralytics").__file__ or "").parent / "cfg" / "models" / "11"
    description = yaml.safe_load((own / "yolo11.yaml").read_text())
    description["scales"] = {"n": [0.5, width, 1024]}
    path = folder / "yolo11n.yaml"
    path.write_text(yaml.safe_dump(description), "utf-8")
    return path


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    said = StringIO()
    try:
        with redirect_stdout(said):
            yield
    except Exception as error:  # of any kind: ultralytics and what it uses have their own
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
        raise ValueError(f"{what}: ultralytics cannot work with it ({reason})") from error
