"""Data sets as ultralytics trains on them, from labelled pairs or procedural scenes.

    python -m training.detection.data pairs DATA OUT --input visible --test TEST
    python -m training.detection.data pairs DATA OUT --input RESULTS_FOLDER
    python -m training.detection.data scenes SNOW --weather snow --streets 40
    python -m training.detection.data pairs SNOW OUT --by-name

Images are linked, not copied: recordings stay where they are.
"""

import logging
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import typer
import yaml

from amg_fuse_ros.scenes.lighting import TimeOfDay, Weather
from training.data.adapters import IMAGE_SUFFIXES, NAMES_SHOWN, PairFiles, find_pairs
from training.data.images import read_thermal
from training.data.splits import split_by_scene
from training.detection.labels import (
    LabelReport,
    find_class_names,
    label_line,
    labels_of,
    read_labels,
)
from training.detection.scene_pairs import write_scene_pairs

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
WANTED = ("person", "bicycle", "car")
"""The classes that the labelled road pairs have enough boxes of."""
app = typer.Typer(add_completion=False, help=__doc__)


@dataclass
class DatasetReport:
    """What a data set holds and what was left out of it."""

    images: Counter[str] = field(default_factory=Counter)
    """Images of each part: train, val, test."""
    labels: dict[str, LabelReport] = field(default_factory=dict)
    """Boxes of each part."""
    without_labels: list[str] = field(default_factory=list)
    """Pairs without a label file: what they show is not known, so they are left out."""
    without_image: list[str] = field(default_factory=list)
    """Labelled pairs of which the results folder holds no image."""

    def __str__(self) -> str:
        lines = [
            f"{part}: {count} images, {_counted(self.labels[part].boxes)}"
            for part, count in self.images.items()
        ]
        others = sum((report.other_classes for report in self.labels.values()), Counter[str]())
        if others:
            lines.append(f"left out, other classes: {_counted(others)}")
        for what, found in (
            ("pairs without labels, left out", self.without_labels),
            ("pairs without an image in the results folder, left out", self.without_image),
            ("boxes outside their image, left out", self._all("outside")),
            ("boxes cut at the border of their image", self._all("cut")),
            ("label lines that are no box, left out", self._all("unreadable")),
        ):
            if found:
                more = ", ..." if len(found) > NAMES_SHOWN else ""
                lines.append(f"{len(found)} {what}: {', '.join(found[:NAMES_SHOWN])}{more}")
        return "\n".join(lines)

    def _all(self, name: str) -> list[str]:
        return [where for report in self.labels.values() for where in getattr(report, name)]


def build_dataset(
    data: Path,
    out: Path,
    input_kind: str = "visible",
    *,
    test: Path | None = None,
    wanted: Sequence[str] = WANTED,
    validation_share: float = 0.15,
    by_name: bool = False,
) -> DatasetReport:
    """Write ``images/``, ``labels/`` and ``data.yaml`` for ultralytics.

    The split into training and validation part is by scene and the same for every input kind, as
    long as the same images are there.

    Args:
        data: Labelled pairs: ``ir``, ``vi`` and ``labels``, here or one level below, with a
            ``classes.txt`` in each set or above it.
        out: Folder to be made, outside this repository.
        input_kind: ``"visible"``, ``"thermal"``, or a folder of images made from the pairs, which
            it holds as ``DATASET/STEM.png`` or ``STEM.png``.
        test: Labelled pairs to test on only.
        wanted: Names of the classes to learn, in the order of their new numbers.
        validation_share: Of the labelled pairs, roughly; above 0 and below 1.
        by_name: Whether scenes are what file names tell alone. Else those that look alike are
            joined, which procedural streets all do.

    Raises:
        FileNotFoundError: No pairs, no labels, no class names, or no results folder.
        FileExistsError: ``out`` holds something already.
        ValueError: ``out`` lies in the repository, no class is known, or no scene can be held out.
    """
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share is {validation_share}; expected above 0 and below 1")
    if input_kind not in {"visible", "thermal"} and not Path(input_kind).is_dir():
        raise FileNotFoundError(
            f"input is {input_kind!r}; expected visible, thermal or a folder of result images"
        )
    _check_free(out)
    report = DatasetReport()
    labelled = _labelled(find_pairs(data), input_kind, report)
    if not labelled:
        raise FileNotFoundError(
            f"{data}: no labelled pairs with an image of the input {input_kind}; expected "
            f"labels/STEM.txt beside the image folders\n{report}".rstrip()
        )
    split = _split_by_name if by_name else split_by_scene
    training, validation = split([one.files for one in labelled], validation_share)
    if not validation:
        raise ValueError(
            f"{data}: no scene can be held out for validation; add other places. Procedural "
            "streets look alike: split them by name"
        )
    # By name: the split may have renamed scenes.
    validated = {files.name for files in validation}
    usable = validated | {files.name for files in training}
    parts = {
        "train": [one for one in labelled if one.files.name in usable - validated],
        "val": [one for one in labelled if one.files.name in validated],
    }
    if test is not None:
        parts["test"] = _labelled(find_pairs(test, allow_test=True), input_kind, report)
    known = {name for ones in parts.values() for one in ones for name in one.class_names}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"no class {', '.join(unknown)}; the pairs have {', '.join(sorted(known))}"
        )
    for part, images in parts.items():
        _write_part(out, part, images, wanted, report)
    _write_yaml(out, list(parts), wanted)
    return report


@dataclass(frozen=True)
class _Labelled:
    """A pair with labels, and its image of the input kind."""

    files: PairFiles
    image: Path
    class_names: Sequence[str]


def _labelled(
    pairs: Sequence[PairFiles], input_kind: str, report: DatasetReport
) -> list[_Labelled]:
    class_names: dict[Path, list[str]] = {}
    found = []
    for files in pairs:
        labels = labels_of(files)
        image = _image_of(files, input_kind)
        if not labels.is_file():
            report.without_labels.append(files.name)
        elif image is None:
            report.without_image.append(files.name)
        else:
            folder = labels.parent.parent
            if folder not in class_names:
                class_names[folder] = find_class_names(folder)
            found.append(_Labelled(files, image, class_names[folder]))
    return found


def _image_of(files: PairFiles, input_kind: str) -> Path | None:
    if input_kind in {"visible", "thermal"}:
        return files.visible if input_kind == "visible" else files.thermal
    stem = files.name.rsplit("/", 1)[-1]
    candidates = (
        Path(input_kind) / f"{name}{suffix}"
        for name in (files.name, stem)
        for suffix in sorted(IMAGE_SUFFIXES)
    )
    return next((path for path in candidates if path.is_file()), None)


def _split_by_name(
    pairs: Sequence[PairFiles], share: float
) -> tuple[list[PairFiles], list[PairFiles]]:
    """Training and validation pairs; whole scenes are held out, drawn the same every time."""
    names = sorted({files.scene for files in pairs})
    order = np.random.default_rng(0).permutation(len(names))
    count = max(1, round(share * len(names))) if len(names) > 1 else 0
    held_out = {names[index] for index in order[:count]}
    return (
        [files for files in pairs if files.scene not in held_out],
        [files for files in pairs if files.scene in held_out],
    )


def _check_free(out: Path) -> None:
    if out.resolve().is_relative_to(REPOSITORY):
        raise ValueError(f"{out} lies in the repository, where no recordings may be; name another")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; name a new folder, or remove it first")


def _write_part(
    out: Path,
    part: str,
    images: Sequence[_Labelled],
    wanted: Sequence[str],
    report: DatasetReport,
) -> None:
    for folder in ("images", "labels"):
        (out / folder / part).mkdir(parents=True)
    report.labels[part] = LabelReport()
    report.images[part] = len(images)
    for one in images:
        name = one.files.name.replace("/", "__")
        is_thermal = one.image == one.files.thermal
        _place(one.image, out / "images" / part / name, is_thermal=is_thermal)
        boxes = read_labels(labels_of(one.files), one.class_names, wanted, report.labels[part])
        lines = [label_line(box, wanted) for box in boxes]
        (out / "labels" / part / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _place(image: Path, target: Path, *, is_thermal: bool) -> None:
    """Link the image; a 16-bit thermal one, which ultralytics would darken, is written in 8."""
    # Not with_suffix: a stem may hold dots.
    if is_thermal and image.suffix.lower() in {".png", ".tif", ".tiff"}:
        raw = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
        if raw is not None and raw.dtype != "uint8":
            cv2.imwrite(f"{target}.png", read_thermal(image))
            return
    linked = Path(f"{target}{image.suffix}")
    try:
        linked.symlink_to(image.resolve())
    except OSError:  # a file system without links
        shutil.copyfile(image, linked)


def _write_yaml(out: Path, parts: Sequence[str], wanted: Sequence[str]) -> None:
    content = {
        "path": str(out.resolve()),
        **{part: f"images/{part}" for part in parts},
        "names": dict(enumerate(wanted)),
    }
    text = yaml.safe_dump(content, sort_keys=False)
    (out / "data.yaml").write_text(text, encoding="utf-8")


def _counted(boxes: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in boxes.most_common()) or "no boxes"


@app.command()
def pairs(
    data: Annotated[Path, typer.Argument(help="Labelled pairs, or a folder of such sets.")],
    out: Annotated[Path, typer.Argument(help="Folder to be made, outside the repository.")],
    input_kind: Annotated[
        str, typer.Option("--input", help="visible, thermal, or a folder of result images.")
    ] = "visible",
    test: Annotated[Path | None, typer.Option(help="Labelled pairs to test on only.")] = None,
    classes: Annotated[str, typer.Option(help="Class names to learn.")] = ",".join(WANTED),
    validation: Annotated[float, typer.Option(help="Share of the pairs held out.")] = 0.15,
    by_name: Annotated[
        bool, typer.Option(help="Scenes by file names alone; for procedural streets.")
    ] = False,
) -> None:
    """A data set from labelled recordings."""
    wanted = [name.strip() for name in classes.split(",") if name.strip()]
    try:
        report = build_dataset(
            data,
            out,
            input_kind,
            test=test,
            wanted=wanted,
            validation_share=validation,
            by_name=by_name,
        )
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{report}\n{out / 'data.yaml'}")


@app.command()
def scenes(
    out: Annotated[Path, typer.Argument(help="Folder to be made, outside the repository.")],
    weather: Annotated[str, typer.Option(help="clear, fog, rain or snow.")] = "clear",
    time_of_day: Annotated[str, typer.Option(help="day or night.")] = "day",
    severity: Annotated[float, typer.Option(help="Of the weather, 0 to 1.")] = 0.6,
    streets: Annotated[int, typer.Option(help="How many.")] = 40,
    first: Annotated[int, typer.Option(help="Seed of the first street.")] = 0,
    frames: Annotated[int, typer.Option(help="Of each street.")] = 5,
) -> None:
    """Labelled pairs of procedural streets, for `pairs` and for fusing them first."""
    try:
        _check_free(out)
        count = write_scene_pairs(
            out,
            range(first, first + streets),
            frames,
            cast("Weather", weather),
            cast("TimeOfDay", time_of_day),
            severity=severity,
        )
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{count} pairs in {out}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    app()
