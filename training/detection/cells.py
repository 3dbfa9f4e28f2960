"""Train and test one detector for each input kind and seed; what is finished is kept as JSON."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from training.benchmark.fusing import folder_name
from training.benchmark.identity import digest, write_whole
from training.detection import yolo_training
from training.detection.inputs import Inputs
from training.detection.yolo_training import THRESHOLDS, ImageOutcome, YoloSettings

logger = logging.getLogger(__name__)

Outcomes = Mapping[str, Sequence[ImageOutcome]]
"""What a detector found, by weather."""


@dataclass(frozen=True)
class Cell:
    """One detector of the table."""

    kind: str
    seed: int
    outcomes: Outcomes


@dataclass(frozen=True)
class CellPlan:
    """What all cells have in common.

    Attributes:
        weathers: The parts to test in.
        settings: Of every training.
        start: Weights to begin with, or ``None`` for fresh ones.
        pairs: What the pairs are, as text; a cell of other pairs is done again.
        test_side: Of the square that test images are brought into; larger than in training it
            shows a young detector small objects as it knows larger ones.
    """

    weathers: Sequence[str]
    settings: YoloSettings
    start: Path | None
    pairs: str
    test_side: int

    def key(self, inputs: Inputs, kind: str) -> str:
        """What a cell's result depends on beside its seed."""
        begin = self.start.read_bytes() if self.start else b""
        facts = (
            *(asdict(self.settings), self.test_side, self.pairs),
            *(inputs.keys[kind], inputs.left_out),
        )
        return digest([begin, *(repr(fact).encode() for fact in facts)])


def run_cells(
    plan: CellPlan, inputs: Inputs, kinds: Sequence[str], seeds: Sequence[int], out: Path
) -> list[Cell]:
    """Bring every cell about: seed by seed, each for all kinds; finished ones are read.

    Args:
        plan: What they have in common.
        inputs: Data sets by kind.
        kinds: Of these, which; in this order.
        seeds: Of training.
        out: Folder for ``KIND-sSEED.json``.

    Raises:
        ValueError: A detector cannot be trained or tested; the finished cells stay.
        OSError: Something cannot be read or written.
    """
    keys = {kind: plan.key(inputs, kind) for kind in kinds}
    return [
        _read(path, keys[kind], plan.weathers) or _make(plan, inputs, kind, seed, keys[kind], path)
        for seed in seeds
        for kind in kinds
        for path in [out / f"{folder_name(kind)}-s{seed}.json"]
    ]


def finished_cells(
    plan: CellPlan, inputs: Inputs, kinds: Sequence[str], seeds: Sequence[int], out: Path
) -> list[Cell]:
    """Those of `run_cells` that are finished; nothing is trained."""
    found = (
        _read(out / f"{folder_name(kind)}-s{seed}.json", plan.key(inputs, kind), plan.weathers)
        for seed in seeds
        for kind in kinds
    )
    return [cell for cell in found if cell is not None]


def _make(plan: CellPlan, inputs: Inputs, kind: str, seed: int, key: str, path: Path) -> Cell:
    folder = inputs.folders[kind]
    began = perf_counter()
    training = path.with_suffix("")
    weights = yolo_training.train(
        folder / "train.yaml", training, plan.settings, seed=seed, start=plan.start
    )
    trained = perf_counter()
    outcomes = {
        weather: yolo_training.look(weights, folder / f"{weather}.yaml", plan.test_side)
        for weather in plan.weathers
    }
    content = {
        "kind": kind,
        "seed": seed,
        "key": key,
        "seconds": {"training": trained - began, "testing": perf_counter() - trained},
        "outcomes": {
            weather: [_to_json(outcome) for outcome in ones] for weather, ones in outcomes.items()
        },
    }
    kept = path.with_suffix(".pt")
    shutil.copy(weights, kept)
    write_whole(path, json.dumps(content).encode())
    shutil.rmtree(training)
    logger.info("%s, seed %d: trained in %.0f s", kind, seed, trained - began)
    return Cell(kind, seed, outcomes)


def _read(path: Path, key: str, weathers: Sequence[str]) -> Cell | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["key"] != key or not set(weathers) <= set(content["outcomes"]):
            logger.info("%s is of other pairs, inputs, start or settings: done again", path)
            return None
        outcomes = {
            weather: [_from_json(one) for one in content["outcomes"][weather]]
            for weather in weathers
        }
        return Cell(str(content["kind"]), int(content["seed"]), outcomes)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        logger.warning("%s cannot be read: done again", path)
        return None


def _to_json(outcome: ImageOutcome) -> dict[str, Any]:
    # The thresholds of a detection as the bits of one number.
    bits = outcome.met @ (1 << np.arange(THRESHOLDS))
    return {
        "name": outcome.name,
        "met": bits.tolist(),
        "scores": np.round(outcome.scores, 5).tolist(),
        "found": outcome.found.tolist(),
        "labelled": outcome.labelled.tolist(),
    }


def _from_json(content: Mapping[str, Any]) -> ImageOutcome:
    bits = np.asarray(content["met"], np.int64)
    return ImageOutcome(
        str(content["name"]),
        (bits[:, None] >> np.arange(THRESHOLDS) & 1).astype(bool),
        np.asarray(content["scores"], np.float64),
        np.asarray(content["found"], np.int64),
        np.asarray(content["labelled"], np.int64),
    )
