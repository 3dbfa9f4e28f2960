"""Parts of MSRS: pairs with a class for each pixel, in clear air and in weather.

MSRS holds ``train/`` and ``test/`` with ``ir``, ``vi`` and ``Segmentation_labels``: grey images of
class numbers 0 to 8. The names are those of MFNet (Ha et al., IROS 2017), whose scenes it takes.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from training.data.adapters import PairFiles, find_pairs
from training.data.images import read_thermal
from training.data.splits import split_by_scene
from training.detection.parts import (
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
from training.detection.recorded import contents_of, smaller, versions_of

logger = logging.getLogger(__name__)

CLASSES = ("car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump")
"""After the background, which is 0."""
FOLDER = "segmentation_labels"
"""In any case of letters."""


def msrs_parts(data: Path, out: Path, settings: PairSettings) -> PairsReport:
    """Make the parts, or keep those that are there and made of the same.

    Args:
        data: MSRS' folder.
        out: Folder for the parts.
        settings: Of the pairs; ``classes`` are `CLASSES`.

    Raises:
        FileNotFoundError: No pairs, or no labels.
        ValueError: A weather is not known, no scene can be held out, or ``out`` holds others.
        OSError: Something cannot be written.
    """
    check_weathers(settings, REAL_WEATHERS)
    report = PairsReport()
    training = _segmented(find_pairs(data, "msrs"), report)
    tested = _segmented(find_pairs(data, "msrs", part="test", allow_test=True), report)
    for part, pairs in (("train", training), ("test", tested)):
        if not pairs:
            raise FileNotFoundError(
                f"{data}/{part}: no pairs with classes; expected Segmentation_labels/STEM.png "
                "beside ir and vi"
            )
    card = parts_card(settings, msrs=contents_of([*training, *tested], classes_of))
    if known := known_parts(out, card):
        return known
    train, val = split_by_scene(training, settings.validation_share)
    if not val:
        raise ValueError(f"{data}: no scene can be held out for validation")
    for part, pairs in (("train", train), ("val", val)):
        write_part(out, part, _pairs(pairs, settings, settings.versions, report), settings, report)
    for weather in settings.weathers:
        write_part(out, weather, _pairs(tested, settings, 1, report, weather), settings, report)
    finish_parts(out, card, report)
    return report


def classes_of(files: PairFiles) -> Path:
    """Where the classes of a pair's pixels are."""
    place = files.thermal.parent.parent
    folder = next((p for p in place.iterdir() if p.name.lower() == FOLDER), place / FOLDER)
    return folder / f"{files.thermal.stem}.png"


def read_classes(path: Path, shape: tuple[int, ...]) -> Image:
    """The class numbers of an image's pixels, H W.

    Raises:
        ValueError: The file cannot be read, is of another size, or holds a number above 8.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"{path}: expected a grey 8-bit image of class numbers")
    if image.shape != shape:
        raise ValueError(f"{path}: expected the pair's size {shape}, found {image.shape}")
    if image.max() > len(CLASSES):
        raise ValueError(f"{path}: expected classes 0 to {len(CLASSES)}, found {image.max()}")
    return image.astype(np.uint8)


def _segmented(pairs: Sequence[PairFiles], report: PairsReport) -> list[PairFiles]:
    found = [files for files in pairs if classes_of(files).is_file()]
    report.without_labels += [files.name for files in pairs if files not in found]
    return found


def _pairs(
    pairs: Sequence[PairFiles],
    settings: PairSettings,
    versions: int,
    report: PairsReport,
    weather: str = "",
) -> Iterator[LabelledPair]:
    for files in pairs:
        path = classes_of(files)
        for pair in versions_of(files, settings, versions, report, weather):
            try:
                classes = read_classes(path, read_thermal(files.thermal).shape)
            except ValueError as error:
                logger.warning("left out: %s", error)
                if files.name not in report.unreadable:
                    report.unreadable.append(files.name)
                break
            yield pair._replace(classes=smaller(classes, settings.side, cv2.INTER_NEAREST))
