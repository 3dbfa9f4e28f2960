"""A detector to ship: trained on fused images of a finished comparison, scored, written as ONNX."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from amg_fuse_ros.detection.conversion import SIDE_STEP, convert
from training.benchmark.fusing import folder_name
from training.benchmark.identity import write_whole
from training.detection import yolo_training
from training.detection.parts import read_card
from training.detection.scores import LEAST_BOXES
from training.detection.start import mix
from training.detection.yolo_training import YoloSettings


@dataclass(frozen=True)
class Score:
    """What a detector reaches in one weather on one input; NaN for a class without boxes.

    Attributes:
        kind: The input.
        weather: In which.
        map50: Mean of the classes with enough boxes, IoU 0.5.
        map: Likewise, IoU 0.5 to 0.95.
        ap50: By class.
    """

    kind: str
    weather: str
    map50: float
    map: float
    ap50: dict[str, float]


def make_detector(
    experiment: Path,
    kinds: Sequence[str],
    start: Path | None,
    out: Path,
    settings: YoloSettings,
    *,
    half: bool = False,
    test_side: int | None = None,
    seed: int = 0,
) -> list[Score]:
    """Train on the ``train`` and test on the weathers of a comparison's folder.

    Args:
        experiment: The ``--out`` of ``python -m training.detection compare``.
        kinds: Inputs whose images it is trained on, all in equal parts.
        start: Weights to begin with; unpickled.
        out: The ONNX file; the ``.pt`` and ``.json`` with the scores come beside it.
        settings: How to train.
        half: Whether to write half precision.
        test_side: Longer side in pixels of what the file sees; as trained by default.
        seed: Of the training.

    Returns:
        The scores of the ONNX file itself.

    Raises:
        FileExistsError: There is something at ``out``.
        FileNotFoundError: The experiment has no such input.
        ValueError: ultralytics cannot work with a file.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists already; name another file or remove it")
    card = read_card(experiment / "pairs")["settings"]
    classes, weathers = tuple(card["classes"]), tuple(card["weathers"])
    folders = {kind: experiment / "inputs" / folder_name(kind) for kind in kinds}
    for kind, folder in folders.items():
        if not (folder / "train.yaml").is_file():
            there = sorted(p.parent.name for p in experiment.glob("inputs/*/train.yaml"))
            raise FileNotFoundError(f"{experiment}: no input {kind}; it has {', '.join(there)}")
    work = out.with_name(f"{out.stem}-training")
    dataset = mix(folders, work / "mix", classes)
    weights = yolo_training.train(dataset, work / "yolo", settings, seed=seed, start=start)
    shutil.copy(weights, out.with_suffix(".pt"))
    convert(out.with_suffix(".pt"), out, _four_to_three(test_side or settings.side), half=half)
    describe(out, f"Finds {', '.join(classes)}; trained on {', '.join(kinds)}")
    scores = []
    for kind, folder in folders.items():
        for weather in weathers:
            outcomes = yolo_training.look(
                out, folder / f"{weather}.yaml", test_side or settings.side
            )
            _, precision = yolo_training.average_precision(outcomes, len(classes))
            labelled = np.concatenate([outcome.labelled for outcome in outcomes])
            boxes = np.bincount(labelled, minlength=len(classes))
            counted = precision[boxes >= LEAST_BOXES]
            ap50 = {name: float(precision[n, 0]) for n, name in enumerate(classes)}
            scores.append(
                Score(kind, weather, float(counted[:, 0].mean()), float(counted.mean()), ap50)
            )
    write_whole(
        out.with_suffix(".json"),
        json.dumps(
            {"training": asdict(settings), "scores": [asdict(score) for score in scores]}, indent=1
        ).encode(),
    )
    shutil.rmtree(work)
    return scores


def describe(network: Path, text: str) -> None:
    """Replace the description in an ONNX file, where ultralytics puts paths of this machine."""
    import onnx

    model = onnx.load(network)
    for entry in model.metadata_props:
        if entry.key == "description":
            entry.value = text
    onnx.save(model, network)


def _four_to_three(side: int) -> tuple[int, int]:
    """Height and width of what the network shall see, as cameras' pictures are."""
    return max(round(side * 3 / 4 / SIDE_STEP), 1) * SIDE_STEP, side
