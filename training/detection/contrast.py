"""How far labelled objects stand out in each input: why a detector finds them there, or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.metrics.folder import list_images, read_image

LEAST_PIXELS = 4
"""Objects with fewer pixels inside their box are left out."""
GRAIN = 5.0
"""Grey levels added to the deviation of the surroundings, which may be 0."""


@dataclass(frozen=True)
class Contrast:
    """Medians over the objects of a part.

    Attributes:
        by_class: For each class |mean inside - mean around| / (deviation around + `GRAIN`), in
            luminance; around is a ring of half the box's size. NaN without objects.
        fine: Mean absolute difference of the image and its 5x5 median, in grey levels: edges,
            grain, drops and flakes.
    """

    by_class: tuple[float, ...]
    fine: float


def contrast(dataset: Path, part: str, classes: Sequence[str]) -> Contrast:
    """Measure one part of an input's data set, as `make_inputs` writes it.

    Raises:
        FileNotFoundError: The data set has no such part.
        ValueError: An image cannot be read.
    """
    labels = dataset / "labels" / part
    if not labels.is_dir():
        raise FileNotFoundError(f"{dataset}: no part {part}")
    found: list[list[float]] = [[] for _ in classes]
    fine = []
    for name, path in sorted(list_images(dataset / "images" / part).items()):
        image = read_image(path)
        grey = (image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(
            np.uint8
        )
        fine.append(float(np.abs(grey - cv2.medianBlur(grey, 5).astype(np.float64)).mean()))
        for line in (labels / f"{name}.txt").read_text("utf-8").splitlines():
            number, *place = line.split()
            value = _of_box(grey.astype(np.float64), *map(float, place))
            if value is not None:
                found[int(number)].append(value)
    medians = tuple(float(np.median(values)) if values else float("nan") for values in found)
    return Contrast(medians, float(np.mean(fine)) if fine else float("nan"))


def _of_box(
    image: NDArray[np.float64], cx: float, cy: float, width: float, height: float
) -> float | None:
    rows, columns = image.shape
    x0, x1 = (round((cx + half * width / 2) * columns) for half in (-1, 1))
    y0, y1 = (round((cy + half * height / 2) * rows) for half in (-1, 1))
    across, down = max(2, (x1 - x0) // 2), max(2, (y1 - y0) // 2)
    around = np.zeros(image.shape, bool)
    around[max(0, y0 - down) : y1 + down, max(0, x0 - across) : x1 + across] = True
    # A pixel off the border, which is drawn by hand.
    inside = np.zeros(image.shape, bool)
    inside[max(0, y0 + 1) : max(0, y1 - 1), max(0, x0 + 1) : max(0, x1 - 1)] = True
    around &= ~inside
    if inside.sum() < LEAST_PIXELS or not around.any():
        return None
    difference = abs(float(image[inside].mean()) - float(image[around].mean()))
    return difference / (float(image[around].std()) + GRAIN)
