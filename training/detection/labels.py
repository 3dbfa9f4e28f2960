"""Boxes of labelled pairs: read, checked, brought to the classes that a detector is to know."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.data.adapters import PairFiles

CLASSES_FILE = "classes.txt"
LABELS_FOLDER = "labels"
TOLERANCE = 1e-3
"""Share of the image's side by which a box may leave it without being counted: rounding."""


@dataclass(frozen=True)
class LabelBox:
    """One box, relative to the image's size: 0 to 1."""

    name: str
    cx: float
    cy: float
    width: float
    height: float


@dataclass
class LabelReport:
    """What was found in label files, and what of it was left out and why."""

    boxes: Counter[str] = field(default_factory=Counter)
    """Boxes taken, by class name."""
    other_classes: Counter[str] = field(default_factory=Counter)
    """Boxes left out, by the name of a class not asked for, or its number where it has no name."""
    outside: list[str] = field(default_factory=list)
    """``FILE:LINE`` of boxes that lie wholly outside their image; left out."""
    cut: list[str] = field(default_factory=list)
    """``FILE:LINE`` of boxes that reach out of their image; cut at its border."""
    unreadable: list[str] = field(default_factory=list)
    """``FILE:LINE`` of lines that are no box; left out."""


def labels_of(files: PairFiles) -> Path:
    """Where the boxes of a pair are: ``labels/STEM.txt`` beside the folder of thermal images."""
    return files.thermal.parent.parent / LABELS_FOLDER / f"{files.thermal.stem}.txt"


def find_class_names(folder: Path) -> list[str]:
    """The classes in the order of their numbers, of the nearest ``classes.txt`` at or above.

    Raises:
        FileNotFoundError: There is none in the folder or its three parents.
    """
    folder = folder.resolve()
    for place in (folder, *list(folder.parents)[:3]):
        path = place / CLASSES_FILE
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
    raise FileNotFoundError(
        f"{folder}: no {CLASSES_FILE} there or up to three folders above; expected one class name "
        "a line, in the order of the numbers in the label files"
    )


def read_labels(
    path: Path, names: Sequence[str], wanted: Sequence[str], report: LabelReport
) -> list[LabelBox]:
    """The boxes of one label file that are of the wanted classes.

    Args:
        path: A line a box: ``class cx cy w h``, relative to the image's size.
        names: Class names by their numbers.
        wanted: Names of the classes to take.
        report: Counts what is taken and what is not.
    """
    boxes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.parent.parent.name}/{path.name}:{number}"
        read = _parse(line)
        if read is None:
            report.unreadable.append(where)
            continue
        index, values = read
        name = names[index] if index < len(names) else f"class {index}"
        if name not in wanted:
            report.other_classes[name] += 1
            continue
        box = _inside(name, values, where, report)
        if box is not None:
            report.boxes[name] += 1
            boxes.append(box)
    return boxes


def label_line(box: LabelBox, wanted: Sequence[str]) -> str:
    """The box as ultralytics reads it, with its line break; numbers index ``wanted``."""
    place = f"{box.cx:.6f} {box.cy:.6f} {box.width:.6f} {box.height:.6f}"
    return f"{wanted.index(box.name)} {place}\n"


def _parse(line: str) -> tuple[int, tuple[float, float, float, float]] | None:
    try:
        first, *rest = line.split()
        cx, cy, width, height = (float(value) for value in rest)
        index = int(first)
    except ValueError:
        return None
    if index < 0 or not all(map(math.isfinite, (cx, cy, width, height))):
        return None
    return (index, (cx, cy, width, height)) if width > 0 and height > 0 else None


def _inside(
    name: str, values: tuple[float, float, float, float], where: str, report: LabelReport
) -> LabelBox | None:
    cx, cy, width, height = values
    sides = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    x0, y0, x1, y1 = (min(max(side, 0.0), 1.0) for side in sides)
    if x1 <= x0 or y1 <= y0:
        report.outside.append(where)
        return None
    if min(sides) < -TOLERANCE or max(sides) > 1 + TOLERANCE:
        report.cut.append(where)
    return LabelBox(name, (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
