"""The findings in sentences, and the ablations' file as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.benchmark.statistics import smallest_p
from training.benchmark.tables import ALPHA, Comparison, ScoreTable
from training.metrics import METRICS


@dataclass(frozen=True)
class Ablation:
    """One variant of table 6: a mean for each metric, with its place (see ``tables.Cell``)."""

    variant: str
    steps: int
    minutes: float
    scores: Mapping[str, float]
    places: Mapping[str, int]


def findings(table: ScoreTable, compared: Sequence[Comparison], main_name: str) -> list[str]:
    """Say in sentences what a group's table and tests show for the main method."""
    main = next((row for row in table.rows if row.method.name == main_name), None)
    if main is None:
        return [f"{main_name} did none of these images."]
    ranked = [row for row in table.rows if row.method.ranked]
    first = [m.label for m, c in zip(METRICS.values(), main.cells, strict=True) if c.place == 1]
    second = [m.label for m, c in zip(METRICS.values(), main.cells, strict=True) if c.place == 2]
    said = []
    if main.method.ranked and len(ranked) > 1:
        said.append(
            f"Of {len(ranked)} ranked methods {main_name} is best in {_count(first)} and second "
            f"in {_count(second)}."
        )
    for comparison in compared:
        better = [m.label for k, m in enumerate(METRICS.values()) if _is(comparison, k, "better")]
        worse = [m.label for k, m in enumerate(METRICS.values()) if _is(comparison, k, "worse")]
        if better or worse:
            said.append(
                f"Against {comparison.opponent.name}: better beyond chance in {_count(better)}, "
                f"worse in {_count(worse)}."
            )
    tests = len(METRICS) * len(compared)
    least = min(1.0, smallest_p(table.images) * tests)
    if compared and least >= ALPHA:
        images = "1 image" if table.images == 1 else f"{table.images} images"
        said.append(
            f"{images} are too few for any difference to be beyond chance: corrected for {tests} "
            f"tests the smallest possible p is {least:.2g}."
        )
    elif compared and not any(" beyond chance " in sentence for sentence in said):
        said.append("No difference to another method is beyond chance.")
    return said


def _is(comparison: Comparison, metric: int, verdict: str) -> bool:
    return comparison.verdict(metric) == verdict


def _count(labels: Sequence[str]) -> str:
    if not labels:
        return "none"
    return f"{len(labels)} of {len(METRICS)} ({', '.join(labels)})"


def read_ablations(path: Path) -> list[Ablation]:
    """Read ``ablations.json`` of ``training.ablations``.

    Raises:
        ValueError: The file is not of that form.
    """
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())
        scores = [{key: float(entry["scores"][key]) for key in METRICS} for entry in entries]
        named = [(str(e["variant"]), int(e["steps"]), float(e["minutes"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the file that training.ablations writes, found {error!r}"
        ) from error
    columns = {key: sorted({round(s[key], 3) for s in scores}, reverse=True) for key in METRICS}
    places = [
        {
            key: columns[key].index(round(s[key], 3)) + 1 if len(columns[key]) > 1 else 0
            for key in METRICS
        }
        for s in scores
    ]
    return [
        Ablation(*names, values, {key: place if place < 3 else 0 for key, place in found.items()})
        for names, values, found in zip(named, scores, places, strict=True)
    ]
