"""Parts of labelled recordings: degraded by this project's weather, then made smaller."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from training.benchmark.identity import digest
from training.data.adapters import PairFiles, find_pairs
from training.data.degradations import DegradationSettings, degrade
from training.data.images import read_pair
from training.data.splits import split_by_scene
from training.detection.labels import (
    LabelReport,
    find_class_names,
    label_line,
    labels_of,
    read_labels,
)
from training.detection.parts import (
    CLEAR,
    REAL_WEATHERS,
    Image,
    LabelledPair,
    PairSettings,
    PairsReport,
    check_weathers,
    finish_parts,
    known_parts,
    parts_card,
    write_part,
)

logger = logging.getLogger(__name__)

TEST_SEVERITY = (0.5, 0.9)
TRAIN_SEVERITY = (0.2, 1.0)


def recorded_parts(data: Path, test: Path, out: Path, settings: PairSettings) -> PairsReport:
    """Make the parts of labelled recordings, or keep those that are there and made of the same.

    The split into training and validation is by scene. Test pairs are read from ``test`` only.

    Args:
        data: Labelled pairs to train on, as `training.detection.data` takes them.
        test: Labelled pairs to test on.
        out: Folder for the parts.
        settings: Of the pairs.

    Returns:
        What they hold; without the reasons for what was left out where they were there.

    Raises:
        FileNotFoundError: No pairs, no labels, or no class names.
        ValueError: A class or a weather is not known, no scene can be held out, or ``out`` holds
            pairs of other settings or data.
        OSError: Something cannot be written.
    """
    check_weathers(settings, REAL_WEATHERS)
    report = PairsReport()
    training, names = _labelled(find_pairs(data), report, settings)
    tested, test_names = _labelled(find_pairs(test, allow_test=True), report, settings)
    for folder, pairs in ((data, training), (test, tested)):
        if not pairs:
            raise FileNotFoundError(
                f"{folder}: no labelled pairs; expected labels/STEM.txt beside the image folders"
                f"\n{report}".rstrip()
            )
    card = parts_card(settings, recorded=contents_of([*training, *tested]))
    if known := known_parts(out, card):
        return known
    train, val = split_by_scene(training, settings.validation_share)
    if not val:
        raise ValueError(f"{data}: no scene can be held out for validation; add other places")

    names |= test_names
    versions = settings.versions
    write_part(out, "train", _recorded(train, names, settings, versions, report), settings, report)
    write_part(out, "val", _recorded(val, names, settings, versions, report), settings, report)
    for weather in settings.weathers:
        in_one = _recorded(tested, names, settings, 1, report, weather)
        write_part(out, weather, in_one, settings, report)
    finish_parts(out, card, report)
    return report


def in_weather(
    visible: Image,
    thermal: Image,
    weather: str,
    rng: np.random.Generator,
    severity: tuple[float, float] = TEST_SEVERITY,
) -> tuple[Image, Image]:
    """A clear pair in one kind of weather, both cameras as they meet it.

    Args:
        visible: H W 3, RGB, uint8.
        thermal: H W, uint8.
        weather: One of `REAL_WEATHERS`.
        rng: Source of all randomness.
        severity: Range that severities are drawn from.

    Returns:
        Visible and thermal, uint8, of the same shapes.
    """
    if weather == CLEAR:
        return visible, thermal
    settings = DegradationSettings(
        clean=0.0,
        weather=float(weather != "night"),
        second_weather=0.0,
        weather_weights={weather: 1.0} if weather != "night" else {"rain": 1.0},
        low_light=float(weather == "night"),
        thermal_attenuation=1.0,
        severity=severity,
        visible_noise=0.0,
        thermal_contrast=0.0,
        thermal_blur=0.0,
        thermal_stripes=0.0,
        thermal_halo=0.0,
        thermal_noise=0.0,
    )
    scale = np.float32(1 / 255)
    degraded = degrade(
        visible.astype(np.float32) * scale, thermal.astype(np.float32) * scale, rng, settings
    )
    seen, heat = (np.rint(i * 255).astype(np.uint8) for i in (degraded.visible, degraded.thermal))
    return seen, heat


def _labelled(
    pairs: Iterable[PairFiles], report: PairsReport, settings: PairSettings
) -> tuple[list[PairFiles], dict[Path, list[str]]]:
    """Pairs that have labels, and the class names of their folders.

    Raises:
        FileNotFoundError: A folder has labels and no class names.
        ValueError: None of the wanted classes has a name there.
    """
    names: dict[Path, list[str]] = {}
    found = []
    for files in pairs:
        labels = labels_of(files)
        if not labels.is_file():
            report.without_labels.append(files.name)
            continue
        folder = labels.parent
        if folder not in names:
            names[folder] = find_class_names(folder.parent)
        found.append(files)
    known = {name for ones in names.values() for name in ones}
    if found and (unknown := [name for name in settings.classes if name not in known]):
        raise ValueError(
            f"no class {', '.join(unknown)}; the pairs have {', '.join(sorted(known))}"
        )
    return found, names


def _recorded(
    pairs: Sequence[PairFiles],
    names: dict[Path, list[str]],
    settings: PairSettings,
    versions: int,
    report: PairsReport,
    weather: str = "",
) -> Iterator[LabelledPair]:
    for files in pairs:
        labels = labels_of(files)
        found = LabelReport()
        boxes = read_labels(labels, names[labels.parent], settings.classes, found)
        report.lines_left_out += len(found.unreadable) + len(found.outside)
        lines = "".join(label_line(box, settings.classes) for box in boxes)
        for pair in versions_of(files, settings, versions, report, weather):
            yield pair._replace(lines=lines)


def versions_of(
    files: PairFiles,
    settings: PairSettings,
    versions: int,
    report: PairsReport,
    weather: str = "",
) -> Iterator[LabelledPair]:
    """A pair in one weather, or in several versions of which the first is clear; no labels.

    One that cannot be read is told, counted and left out.
    """
    others = [name for name in settings.weathers if name != CLEAR]
    try:
        clear, heat = read_pair(files)
    except ValueError as error:
        logger.warning("left out: %s", error)
        if files.name not in report.unreadable:
            report.unreadable.append(files.name)
        return
    for version in range(versions):
        rng = _generator(files.name, weather or f"version {version}")
        chosen = weather or (str(rng.choice(others)) if version and others else CLEAR)
        severity = TEST_SEVERITY if weather else TRAIN_SEVERITY
        visible, thermal = in_weather(clear, heat, chosen, rng, severity)
        stem = files.name.replace("/", "__") + (f"__{version}" if versions > 1 else "")
        side = settings.side
        yield LabelledPair(stem, smaller(thermal, side), smaller(visible, side), "")


def smaller(image: Image, side: int, way: int = cv2.INTER_AREA) -> Image:
    """The image with that longer side in pixels, or as it is where that is no longer."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=way).astype(np.uint8)


def _generator(*names: str) -> np.random.Generator:
    """The same numbers for the same names, whatever is drawn before."""
    whole = hashlib.sha256("\n".join(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(whole[:8], "little"))


def contents_of(pairs: Iterable[PairFiles], label: Callable[[PairFiles], Path] = labels_of) -> str:
    """Digest of the images and labels of pairs."""
    return digest(
        part
        for files in pairs
        for part in (files.name.encode(), *_bytes_of((*files.paths, label(files))))
    )


def _bytes_of(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            yield path.read_bytes()
        except OSError:
            yield b""  # told where the pair is read
