"""What all detectors that are compared begin with: a YOLO trained on procedural streets.

It is shown the visible, the thermal and the averaged image of each street in equal parts, so that
no kind of image is nearer to it than another. What every detector has to learn anyhow is learned
once: on the pairs of the comparison, with all its inputs in equal parts.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import yaml

from training.benchmark.identity import FusedStore, digest, write_whole
from training.benchmark.methods import Method
from training.detection import yolo_training
from training.detection.drawn import drawn_parts
from training.detection.inputs import make_inputs
from training.detection.parts import PairSettings
from training.detection.yolo_training import YoloSettings

logger = logging.getLogger(__name__)

PARTS = ("train", "val")
AVERAGE = Method("average", "baseline", "average")


def train_start(
    out: Path,
    pairs: PairSettings,
    settings: YoloSettings,
    *,
    streets: int = 120,
    frames: int = 3,
    seed: int = 0,
) -> Path:
    """Draw streets in all weathers and train a detector on them, from nothing.

    Args:
        out: Folder for pairs, images, and the weights ``start.pt``.
        pairs: Of the streets; ``weathers`` as `drawn_parts` knows them.
        settings: Of the training.
        streets: How many.
        frames: Of each.
        seed: Of fresh weights and the order of the images.

    Returns:
        ``out/start.pt``.

    Raises:
        ValueError: See `drawn_parts` and `yolo_training.train`.
        OSError: Something cannot be written.
    """
    drawn_parts(out / "pairs", pairs, streets, 1, frames)
    store = FusedStore(out / "store")
    inputs = make_inputs(out / "pairs", PARTS, pairs.classes, [AVERAGE], out / "inputs", store)
    dataset = mix(inputs.folders, out / "mix", pairs.classes)
    weights = yolo_training.train(dataset, out / "yolo", settings, seed=seed)
    return Path(shutil.copy(weights, out / "start.pt"))


def train_shared(
    folders: Mapping[str, Path],
    classes: Sequence[str],
    out: Path,
    settings: YoloSettings,
    epochs: int,
    start: Path | None,
    pairs: str,
) -> Path:
    """Train one detector on all inputs of a comparison, or keep the one that is there.

    Inputs that are added later do not train it anew: ``shared.json`` says which it was shown.

    Args:
        folders: Data sets by input kind.
        classes: Names, in the order of their numbers.
        out: Folder of the comparison.
        settings: Of its trainings.
        epochs: Of this one.
        start: Weights to begin with, or ``None``.
        pairs: What the pairs are, as text.

    Returns:
        ``out/shared.pt``.

    Raises:
        ValueError: See `yolo_training.train`.
        OSError: Something cannot be written.
    """
    settings = replace(settings, epochs=epochs)
    facts = repr((asdict(settings), pairs)).encode()
    key = digest([start.read_bytes() if start else b"", facts])
    weights, card = out / "shared.pt", out / "shared.json"
    if weights.is_file() and card.is_file() and json.loads(card.read_text("utf-8"))["key"] == key:
        return weights
    dataset = mix(folders, out / "shared" / "mix", classes)
    trained = yolo_training.train(dataset, out / "shared" / "yolo", settings, start=start)
    shutil.copy(trained, weights)
    write_whole(card, json.dumps({"key": key, "inputs": list(folders)}).encode())
    shutil.rmtree(out / "shared")
    logger.info("trained what all inputs begin with on %s", ", ".join(folders))
    return weights


def mix(folders: Mapping[str, Path], out: Path, classes: Sequence[str]) -> Path:
    """One data set of the images of several input kinds; returns its description."""
    shutil.rmtree(out, ignore_errors=True)
    for part in PARTS:
        for what in ("images", "labels"):
            (out / what / part).mkdir(parents=True)
            for number, folder in enumerate(folders.values()):
                for path in sorted((folder / what / part).iterdir()):
                    if path.suffix in (".png", ".txt"):
                        link = out / what / part / f"{number}__{path.name}"
                        link.symlink_to(path.resolve())
    content = {
        "path": str(out.resolve()),
        **{part: f"images/{part}" for part in PARTS},
        "names": dict(enumerate(classes)),
    }
    (out / "mix.yaml").write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return out / "mix.yaml"
