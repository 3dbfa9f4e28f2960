"""Labelled pairs for the comparison of detectors: small, in weather, one folder for each part.

``train`` and ``val`` mix clear pairs with all kinds of weather; each weather has a part of its own
to test in. Every part holds ``ir/``, ``vi/`` and ``labels/`` with equal stems, the labels already
in the numbers of the classes to be learned.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.adapters import NAMES_SHOWN

CLEAR = "clear"
REAL_WEATHERS = (CLEAR, "rain", "snow", "haze", "night")
"""Made of recordings by this project's degradations."""
DRAWN_WEATHERS = (CLEAR, "fog", "rain", "snow", "night")
"""In which procedural streets are drawn."""
PARTS_CARD = "pairs.json"

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class PairSettings:
    """What the pairs are made like; kept beside them.

    Raises:
        ValueError: A value is out of its range.
    """

    classes: tuple[str, ...] = ("person", "bicycle", "car")
    """Names of the classes to learn, in the order of their numbers."""
    weathers: tuple[str, ...] = REAL_WEATHERS
    """One part to test in for each."""
    side: int = 256
    """Longer side of the pictures, in pixels; pairs are degraded before they are made smaller."""
    versions: int = 2
    """How often each training pair occurs: once clear, then in weather drawn at random."""
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes: expected at least one name, found none")
        if not self.weathers:
            raise ValueError("weathers: expected at least one, found none")
        if self.side < 32 or self.versions < 1 or not 0 < self.validation_share < 1:
            raise ValueError(
                "expected a side of 32 or more, 1 or more versions, and a validation share above 0 "
                f"and below 1; found {self.side}, {self.versions}, {self.validation_share}"
            )


class LabelledPair(NamedTuple):
    """A pair as a detector's experiment takes it."""

    name: str
    """A file's stem, of its own in its part."""
    thermal: Image
    """H W."""
    visible: Image
    """H W 3, RGB."""
    lines: str
    """Its label file."""
    classes: Image | None = None
    """H W: the class of each pixel, where classes are to be kept."""


@dataclass
class PairsReport:
    """What came into the parts and what was left out, and why."""

    pairs: Counter[str] = field(default_factory=Counter)
    """Pairs of each part."""
    boxes: dict[str, Counter[str]] = field(default_factory=dict)
    """Boxes of each part, by class."""
    without_labels: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    lines_left_out: int = 0

    def __str__(self) -> str:
        lines = [
            f"{part}: {count} pairs, "
            + (", ".join(f"{k} {v}" for k, v in self.boxes[part].most_common()) or "no boxes")
            for part, count in self.pairs.items()
        ]
        for what, names in (
            ("pairs without labels, left out", self.without_labels),
            ("pairs that cannot be read, left out", self.unreadable),
        ):
            if names:
                more = ", ..." if len(names) > NAMES_SHOWN else ""
                lines.append(f"{len(names)} {what}: {', '.join(names[:NAMES_SHOWN])}{more}")
        if self.lines_left_out:
            lines.append(f"{self.lines_left_out} label lines that are no box inside, left out")
        return "\n".join(lines)


def read_card(parts: Path) -> dict[str, Any]:
    """The card of a folder of parts: ``settings``, ``data`` and what they hold.

    Raises:
        FileNotFoundError: There is none: nothing was made there, or making it was interrupted.
    """
    path = parts / PARTS_CARD
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no pairs were made there")
    card: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return card


def check_weathers(settings: PairSettings, known: Sequence[str]) -> None:
    """Raise a ValueError where a weather is not one of the known ones."""
    if unknown := [name for name in settings.weathers if name not in known]:
        raise ValueError(f"weather: expected some of {', '.join(known)}, found {unknown}")


def write_part(
    out: Path,
    part: str,
    pairs: Iterable[LabelledPair],
    settings: PairSettings,
    report: PairsReport,
) -> None:
    """Write the pairs of a part and count them in the report.

    Raises:
        ValueError: There is not one.
        OSError: A file cannot be written.
    """
    for name in ("ir", "vi", "labels"):
        (out / part / name).mkdir(parents=True, exist_ok=True)
    boxes = report.boxes.setdefault(part, Counter())
    for pair in pairs:
        visible = cv2.cvtColor(pair.visible, cv2.COLOR_RGB2BGR)
        for folder, image in (("ir", pair.thermal), ("vi", visible)):
            path = out / part / folder / f"{pair.name}.png"
            if not cv2.imwrite(str(path), image):
                raise OSError(f"could not write {path}")
        if pair.classes is not None:
            (out / part / "classes").mkdir(exist_ok=True)
            if not cv2.imwrite(str(out / part / "classes" / f"{pair.name}.png"), pair.classes):
                raise OSError(f"could not write the classes of {part}/{pair.name}")
        (out / part / "labels" / f"{pair.name}.txt").write_text(pair.lines, "utf-8")
        report.pairs[part] += 1
        boxes.update(settings.classes[int(line.split()[0])] for line in pair.lines.splitlines())
    if not report.pairs[part]:
        raise ValueError(f"{part}: not one pair can be read\n{report}")


def parts_card(settings: PairSettings, **data: Any) -> dict[str, Any]:
    """What parts are made of, JSON-ready: the settings, and what stands for the data."""
    card: dict[str, Any] = json.loads(json.dumps({"settings": asdict(settings), "data": data}))
    return card


def known_parts(out: Path, card: dict[str, Any]) -> PairsReport | None:
    """The report of parts that are there and were made alike; what is unfinished is removed.

    Raises:
        ValueError: The folder holds parts of other settings or data, or something else.
    """
    if not (out / PARTS_CARD).is_file():
        if out.is_dir() and any(out.iterdir()):
            strangers = [p.name for p in out.iterdir() if not (p / "labels").is_dir()]
            if strangers:
                raise ValueError(f"{out} holds other things ({strangers[0]}); name a new folder")
            shutil.rmtree(out)
        return None
    there = read_card(out)
    differing = [
        f"{name} {there.get(group, {}).get(name)!r} there, {value!r} now"
        for group in ("settings", "data")
        for name, value in card[group].items()
        if there.get(group, {}).get(name) != value
    ]
    if differing or there["data"].keys() != card["data"].keys():
        raise ValueError(
            f"{out} holds pairs that were made otherwise ({'; '.join(differing) or 'other data'}); "
            "name another folder, or remove it"
        )
    return PairsReport(
        Counter(there["pairs"]), {part: Counter(n) for part, n in there["boxes"].items()}
    )


def finish_parts(out: Path, card: dict[str, Any], report: PairsReport) -> None:
    """Write the card: from now on the parts are whole."""
    content = {**card, "pairs": report.pairs, "boxes": report.boxes}
    partial = out / f"{PARTS_CARD}.{os.getpid()}"
    partial.write_text(json.dumps(content, indent=2), "utf-8")
    partial.replace(out / PARTS_CARD)
