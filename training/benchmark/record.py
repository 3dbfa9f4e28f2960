"""The report for programs: plain values for JSON, and a table of every score."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from training.benchmark.contents import Report, Section
from training.benchmark.results import Results
from training.benchmark.tables import ScoreTable
from training.metrics import METRICS


def as_record(report: Report) -> dict[str, Any]:
    """Everything but the pictures as plain values for JSON; NaN becomes null."""
    results = report.results
    record = {
        "data": report.data,
        "main": results.plan.main.name,
        "methods": [asdict(method) for method in results.plan.methods],
        "groups": [_section_record(section) for section in report.sections],
        "ablations": [asdict(ablation) for ablation in report.ablations],
        "efficiency": report.efficiency,
        "published": {
            "source": report.published_source,
            "note": "figures of the paper, on other images than those scored here",
            "rows": [asdict(row) for row in report.published],
        },
        "scores": [
            {"method": method, "set": set_name, "name": row.name, **row.scores}
            for (method, set_name), rows in results.rows.items()
            for row in rows
            if not row.problem
        ],
        "problems": [
            {"method": method, "set": set_name, "name": row.name, "problem": row.problem}
            for method, set_name, row in results.problems()
        ],
    }
    plain: dict[str, Any] = _without_nan(record)
    return plain


def _section_record(section: Section) -> dict[str, Any]:
    return {
        "kind": section.group.kind,
        "paper_table": section.group.paper_table,
        "sets": [images.name for images in section.group.sets],
        "images": section.table.images,
        "findings": list(section.findings),
        "means": [_row_records(table) for table in (section.table, *section.by_set)],
        "comparisons": [
            {
                "opponent": c.opponent.name,
                "images": c.images,
                **{
                    key: {"difference": d, "interval": [low, high], "p_holm": p}
                    for key, d, low, high, p in zip(
                        METRICS, c.difference, c.low, c.high, c.p, strict=True
                    )
                },
            }
            for c in section.comparisons
        ],
        "worst": [
            {**asdict(case), "rival": case.rival.name if case.rival else None}
            for case in section.worst
        ],
    }


def _row_records(table: ScoreTable) -> dict[str, Any]:
    return {
        "sets": [images.name for images in table.group.sets],
        "images": table.images,
        "rows": [
            {
                "method": row.method.name,
                "ranked": row.method.ranked,
                "images": row.images,
                **{
                    key: {"mean": c.mean, "interval": [c.low, c.high], "place": c.place}
                    for key, c in zip(METRICS, row.cells, strict=True)
                },
            }
            for row in table.rows
        ],
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(item) for item in value]
    return value


def scores_csv(results: Results) -> str:
    """Every score as CSV, a line for each method and image."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["method", "set", "name", *METRICS])
    for (method, set_name), rows in results.rows.items():
        for row in rows:
            if not row.problem:
                table.writerow([method, set_name, row.name, *(row.scores[key] for key in METRICS)])
    return text.getvalue()
