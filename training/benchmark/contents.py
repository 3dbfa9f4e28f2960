"""What the report says: tables, intervals, tests, findings and worst cases, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.benchmark.published import PUBLISHED, SOURCE, PublishedRow
from training.benchmark.results import Group, Results
from training.benchmark.summary import Ablation, findings, read_ablations
from training.benchmark.tables import (
    Comparison,
    ScoreTable,
    WorstCase,
    comparisons,
    score_table,
    worst_cases,
)


@dataclass(frozen=True)
class Section:
    """Everything about one group of sets."""

    group: Group
    table: ScoreTable
    by_set: tuple[ScoreTable, ...]
    comparisons: tuple[Comparison, ...]
    worst: tuple[WorstCase, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All that the report says, but for its pictures.

    ``efficiency`` is what :func:`training.benchmark.efficiency.measure_all` returns, or ``None``.
    """

    results: Results
    sections: tuple[Section, ...]
    ablations: tuple[Ablation, ...]
    efficiency: Mapping[str, Any] | None
    data: str
    published: tuple[PublishedRow, ...] = PUBLISHED
    published_source: str = SOURCE


def compile_report(results: Results, efficiency: Mapping[str, Any] | None, data: str) -> Report:
    """Compute tables, intervals, tests and worst cases.

    Args:
        results: The scores.
        efficiency: What the methods cost, if it was measured.
        data: What to call the data.

    Raises:
        ValueError: The plan's ablations file is not one.
    """
    sections = []
    for group in results.groups:
        table = score_table(results, group)
        compared = tuple(comparisons(results, group))
        single = [Group(group.kind, (images,)) for images in group.sets]
        sections.append(
            Section(
                group,
                table,
                tuple(score_table(results, part) for part in single) if len(single) > 1 else (),
                compared,
                tuple(worst_cases(results, group)),
                tuple(findings(table, compared, results.plan.main.name)),
            )
        )
    path = results.plan.ablations
    ablations = tuple(read_ablations(path)) if path else ()
    return Report(results, tuple(sections), ablations, efficiency, data)
