"""From what detectors found to means, intervals, and what fusion gains over one camera alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.detection.cells import Cell
from training.detection.inputs import CAMERAS
from training.detection.yolo_training import ImageOutcome, average_precision

LEAST_BOXES = 10
"""A class with fewer boxes in a part is shown and does not count in its means."""
RESAMPLES = 200
CONFIDENCE = 0.95
ALL = "all weathers"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; NaN where there is nothing to tell it from."""

    mean: float
    low: float
    high: float

    @property
    def told_from_zero(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ClassScore:
    """Means over seeds for one class in one weather."""

    name: str
    boxes: int
    precision: float
    recall: float
    ap50: float
    ap: float


@dataclass(frozen=True)
class Row:
    """One input kind in one weather.

    Attributes:
        kind: The input.
        precision: At the confidence of the best mean F1 and IoU 0.5, mean of the counted classes.
        recall: Likewise.
        map50: mAP at IoU 0.5.
        map: mAP over IoU 0.5 to 0.95.
        gain50: Of ``map50`` over the better camera alone; ``None`` for a camera.
        gain: Of ``map``, likewise.
        better50: Which camera that is.
        better: Which camera that is for ``map``.
        classes: Class by class; none for all weathers together.
    """

    kind: str
    precision: float
    recall: float
    map50: Estimate
    map: Estimate
    gain50: Estimate | None = None
    gain: Estimate | None = None
    better50: str = ""
    better: str = ""
    classes: tuple[ClassScore, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All rows by weather, and what they are made of.

    Attributes:
        rows: By weather; `ALL` is the mean over the weathers.
        seeds: Those that every kind has; only these count.
        images: In each weather.
        counted: The classes that count in means.
        shown: The others, with their number of boxes.
    """

    rows: Mapping[str, tuple[Row, ...]]
    seeds: tuple[int, ...]
    images: int
    counted: tuple[str, ...]
    shown: Mapping[str, int] = field(default_factory=dict)


def compare(
    cells: Sequence[Cell], classes: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare the input kinds.

    Intervals are centred percentiles of a bootstrap over both what was drawn by chance in training
    (seeds) and the test images: each resample draws seeds and images anew, the same for all kinds
    and weathers, and takes the mean AP over its seeds. Three seeds are few, so what comes from
    seeds is underestimated, by a factor of up to sqrt(2/3). The better camera is the one with the
    larger mean; that choice favours the cameras a little.

    Args:
        cells: Finished cells; seeds that some kind lacks are left out.
        classes: Names of the classes in the order of their numbers.
        resamples: How many.
        seed: Of the resampling.

    Raises:
        ValueError: No seed is finished for all kinds, the images of two cells differ, or no class
            has enough boxes.
    """
    by_kind: dict[str, dict[int, Cell]] = {}
    for cell in cells:
        by_kind.setdefault(cell.kind, {})[cell.seed] = cell
    seeds = sorted(set.intersection(*(set(ones) for ones in by_kind.values()))) if by_kind else []
    if not seeds:
        raise ValueError("no seed is finished for every input kind yet")
    table = {kind: [ones[number] for number in seeds] for kind, ones in by_kind.items()}
    weathers = list(next(iter(table.values()))[0].outcomes)
    images, boxes = _check_alike(table, weathers, len(classes))
    counted = [number for number in range(len(classes)) if boxes[number] >= LEAST_BOXES]
    if not counted:
        raise ValueError(f"no class has {LEAST_BOXES} boxes or more to test on")

    rng = np.random.default_rng(seed)
    whole = np.arange(images)
    draws = [
        (rng.integers(0, len(seeds), len(seeds)), np.sort(rng.integers(0, images, images)))
        for _ in range(resamples)
    ]
    rows: dict[str, list[Row]] = {weather: [] for weather in [*weathers, ALL]}
    means: dict[tuple[str, str], Floats] = {}
    samples: dict[tuple[str, str], Floats] = {}
    details: dict[tuple[str, str], tuple[Floats, Floats]] = {}
    for kind, ones in table.items():
        for weather in weathers:
            outcomes = [cell.outcomes[weather] for cell in ones]
            scored = [average_precision(_take(o, whole), len(classes)) for o in outcomes]
            rates = np.mean([rate for rate, _ in scored], axis=0)
            precision = np.mean([ap for _, ap in scored], axis=0)
            details[kind, weather] = rates, precision
            means[kind, weather] = _two(precision, counted)
            samples[kind, weather] = np.array(
                [_resampled(outcomes, which, who, counted, len(classes)) for who, which in draws]
            ).reshape(resamples, 2)
        for store in (means, samples):
            store[kind, ALL] = np.mean([store[kind, weather] for weather in weathers], axis=0)
    for weather, found in rows.items():
        found += [
            _row(kind, weather, means, samples, details, classes, counted, boxes) for kind in table
        ]
    return Comparison(
        {weather: tuple(found) for weather, found in rows.items()},
        tuple(seeds),
        images,
        tuple(classes[number] for number in counted),
        {classes[n]: int(boxes[n]) for n in range(len(classes)) if n not in counted},
    )


def _check_alike(
    table: Mapping[str, Sequence[Cell]], weathers: Sequence[str], classes: int
) -> tuple[int, NDArray[np.int64]]:
    """How many images every cell saw in every weather, and their boxes by class."""
    seen = {
        (kind, cell.seed, weather): [outcome.name for outcome in cell.outcomes[weather]]
        for kind, ones in table.items()
        for cell in ones
        for weather in weathers
    }
    first = next(iter(seen.values()))
    for (kind, number, weather), names in seen.items():
        if names != first:
            raise ValueError(
                f"{kind}, seed {number}, {weather}: {len(names)} images that are not those of the "
                f"other cells ({len(first)}); remove the cell and run it again"
            )
    outcomes = next(iter(table.values()))[0].outcomes[weathers[0]]
    labelled = np.concatenate([outcome.labelled for outcome in outcomes])
    return len(first), np.bincount(labelled, minlength=classes).astype(np.int64)


def _take(outcomes: Sequence[ImageOutcome], which: NDArray[np.int64]) -> list[ImageOutcome]:
    return [outcomes[number] for number in which]


def _two(precision: Floats, counted: Sequence[int]) -> Floats:
    """MAP at 0.5 and over 0.5 to 0.95; a class that a resample has no box of does not count."""
    chosen = precision[counted]
    known = chosen[~np.isnan(chosen[:, 0])]
    return np.array([known[:, 0].mean(), known.mean()]) if len(known) else np.full(2, np.nan)


def _resampled(
    outcomes: Sequence[Sequence[ImageOutcome]],
    which: NDArray[np.int64],
    seeds: NDArray[np.int64],
    counted: Sequence[int],
    classes: int,
) -> Floats:
    scored = {
        int(number): _two(average_precision(_take(outcomes[number], which), classes)[1], counted)
        for number in set(seeds.tolist())
    }
    mean: Floats = np.mean([scored[int(number)] for number in seeds], axis=0)
    return mean


def _row(
    kind: str,
    weather: str,
    means: Mapping[tuple[str, str], Floats],
    samples: Mapping[tuple[str, str], Floats],
    details: Mapping[tuple[str, str], tuple[Floats, Floats]],
    classes: Sequence[str],
    counted: Sequence[int],
    boxes: NDArray[np.int64],
) -> Row:
    mean, drawn = means[kind, weather], samples[kind, weather]
    each = [place for place in details if place[0] == kind and weather in (ALL, place[1])]
    rates = np.mean([np.nanmean(details[place][0][counted], axis=0) for place in each], axis=0)
    row: Callable[..., Row] = Row
    cameras = [camera for camera in CAMERAS if (camera, weather) in means]
    gains: dict[str, object] = {}
    if kind not in CAMERAS and cameras:
        for column, name in enumerate(("50", "")):
            better = max(cameras, key=lambda camera: float(means[camera, weather][column]))
            gains[f"better{name}"] = better
            gains[f"gain{name}"] = estimate(
                mean[column] - means[better, weather][column],
                drawn[:, column] - samples[better, weather][:, column],
            )
    scores: tuple[ClassScore, ...] = ()
    if weather != ALL:
        rate, precision = details[kind, weather]
        scores = tuple(
            ClassScore(name, int(boxes[n]), *map(float, rate[n]), *map(float, _ap(precision[n])))
            for n, name in enumerate(classes)
        )
    return row(
        kind,
        float(rates[0]),
        float(rates[1]),
        estimate(mean[0], drawn[:, 0]),
        estimate(mean[1], drawn[:, 1]),
        classes=scores,
        **gains,
    )


def _ap(precision: Floats) -> tuple[float, float]:
    return float(precision[0]), float(precision.mean())


def estimate(mean: float, drawn: Floats) -> Estimate:
    """A mean with the interval that its resampled values give, centred on it.

    A resample holds some images twice, which raises its AP: without centring the intervals of small
    test sets would lie too high.
    """
    known = drawn[~np.isnan(drawn)]
    if len(known) < 2:
        return Estimate(float(mean), float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) + mean - known.mean()
    return Estimate(float(mean), float(low), float(high))
