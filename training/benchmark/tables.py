"""The tables: means with intervals, ranks, the paired comparison, and the worst images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.benchmark.methods import Method
from training.benchmark.results import Group, Results
from training.benchmark.statistics import bootstrap_interval, holm, paired_p_values
from training.metrics import METRICS

ALPHA = 0.05


@dataclass(frozen=True)
class Cell:
    """Mean of one metric over images.

    ``low`` and ``high`` bound its 95 % interval, NaN for a single image. ``place`` is 1 for the
    best ranked method (rounded as printed, so that equal figures share a place), 2 for the
    second, 0 for the others.
    """

    mean: float
    low: float
    high: float
    place: int = 0


@dataclass(frozen=True)
class Row:
    """One method's line: how many images it is the mean of, and a cell for each metric."""

    method: Method
    images: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ScoreTable:
    """A group's means. ``images`` is the number of images that the group has."""

    group: Group
    images: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Comparison:
    """The main method against another, image by image: an entry for each metric.

    ``p`` is adjusted (Holm) over all metrics and opponents of the same group.
    """

    opponent: Method
    images: int
    difference: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p: tuple[float, ...]

    def verdict(self, metric: int) -> str:
        """``"better"`` or ``"worse"`` where the difference is significant, else ``"open"``."""
        if self.p[metric] >= ALPHA:
            return "open"
        return "better" if self.difference[metric] > 0 else "worse"


@dataclass(frozen=True)
class WorstCase:
    """The image on which the main method scores lowest in one metric.

    ``rival`` is the ranked method that scores highest there, with ``rival_score``.
    """

    metric: str
    set_name: str
    name: str
    score: float
    mean: float
    rival: Method | None
    rival_score: float


def score_table(results: Results, group: Group) -> ScoreTable:
    """Average each metric over the images of a group, for each method that did any of them."""
    scored = [(method, results.scores(method, group)) for method in results.plan.methods]
    rows = []
    for method, scores in scored:
        if not scores:
            continue
        values = np.array(list(scores.values()))
        low, high = bootstrap_interval(values)
        cells = tuple(map(Cell, values.mean(axis=0).tolist(), low.tolist(), high.tolist()))
        rows.append(Row(method, len(scores), cells))
    images = {place for _, scores in scored for place in scores}
    return ScoreTable(group, len(images), tuple(_with_places(rows)))


def _with_places(rows: Sequence[Row]) -> list[Row]:
    columns = range(len(METRICS))
    printed = {
        k: sorted({_printed(row.cells[k]) for row in rows if row.method.ranked}, reverse=True)
        for k in columns
    }
    return [
        Row(
            row.method,
            row.images,
            tuple(
                Cell(cell.mean, cell.low, cell.high, _place(cell, printed[k], row.method))
                for k, cell in enumerate(row.cells)
            ),
        )
        for row in rows
    ]


def _printed(cell: Cell) -> float:
    return round(cell.mean, 3)


def _place(cell: Cell, best: Sequence[float], method: Method) -> int:
    if not method.ranked or _printed(cell) not in best[:2] or len(best) < 2:
        return 0
    return best.index(_printed(cell)) + 1


def comparisons(results: Results, group: Group) -> list[Comparison]:
    """Test the main method against every ranked other one, on the images that both have."""
    main = results.plan.main
    ours = results.scores(main, group)
    found: list[tuple[Method, NDArray[np.float64]]] = []
    for method in results.plan.methods:
        theirs = results.scores(method, group)
        common = [place for place in ours if place in theirs]
        if method != main and method.ranked and common:
            found.append((method, np.array([ours[place] - theirs[place] for place in common])))
    if not found:
        return []
    adjusted = holm([paired_p_values(differences) for _, differences in found])
    compared = []
    for (method, differences), p in zip(found, adjusted, strict=True):
        low, high = bootstrap_interval(differences)
        columns = differences.mean(axis=0), low, high, p
        mean, lower, upper, p_values = (tuple(column.tolist()) for column in columns)
        compared.append(Comparison(method, len(differences), mean, lower, upper, p_values))
    return compared


def worst_cases(results: Results, group: Group) -> list[WorstCase]:
    """Find for each metric the image of a group on which the main method scores lowest."""
    ours = results.scores(results.plan.main, group)
    others = {
        method: results.scores(method, group)
        for method in results.plan.methods
        if method.ranked and method != results.plan.main
    }
    cases = []
    for k, key in enumerate(METRICS if ours else ()):
        place = min(ours, key=lambda p, k=k: (ours[p][k], p))  # type: ignore[misc]
        rivals = [(float(theirs[place][k]), m) for m, theirs in others.items() if place in theirs]
        score, rival = max(rivals, key=lambda pair: pair[0], default=(float("nan"), None))
        mean = float(np.mean([scores[k] for scores in ours.values()]))
        cases.append(WorstCase(key, *place, float(ours[place][k]), mean, rival, score))
    return cases
