"""The common start of all detectors that are compared: a YOLO trained on procedural streets.

It is shown the visible, the thermal and the averaged image of each street in equal parts, so that
no kind of image is nearer to it than another.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from training.benchmark.identity import FusedStore
from training.benchmark.methods import Method
from training.detection import yolo_training
from training.detection.drawn import drawn_parts
from training.detection.inputs import make_inputs
from training.detection.parts import PairSettings
from training.detection.yolo_training import YoloSettings

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


def mix(folders: Mapping[str, Path], out: Path, classes: tuple[str, ...]) -> Path:
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
