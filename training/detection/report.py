"""The comparison of detectors as Markdown and JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.benchmark.identity import write_whole
from training.detection.scores import ALL, Comparison, Estimate, Row

TABLE = "detection.md"
NUMBERS = "detection.json"


def write_report(comparison: Comparison, facts: Mapping[str, Any], out: Path) -> Path:
    """Write `TABLE` and `NUMBERS`.

    Args:
        comparison: What was found.
        facts: What it was made with, JSON-ready.
        out: Folder.

    Returns:
        The table's path.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(out / TABLE, markdown(comparison).encode())
    content = {"made_with": dict(facts), **asdict(comparison)}
    write_whole(out / NUMBERS, json.dumps(content, indent=1).encode())
    return out / TABLE


def markdown(comparison: Comparison) -> str:
    """Tables for reading: by weather, then class by class, then what it comes to."""
    seeds = ", ".join(str(number) for number in comparison.seeds)
    lines = [
        f"{comparison.images} images in each weather; seeds {seeds}; means over "
        f"{', '.join(comparison.counted)}; in brackets 95 % intervals over seeds and images.",
    ]
    if comparison.shown:
        few = ", ".join(f"{name} ({boxes})" for name, boxes in comparison.shown.items())
        lines.append(f"Too few boxes to count in means: {few}.")
    head = "| weather | input | P | R | mAP@.5 | mAP@.5:.95 | gain @.5 | gain @.5:.95 |"
    lines += ["", head, "|---|---|---|---|---|---|---|---|"]
    for weather, rows in comparison.rows.items():
        for number, row in enumerate(rows):
            cells = [
                weather if number == 0 else "",
                row.kind,
                f"{row.precision:.3f}",
                f"{row.recall:.3f}",
                _with_interval(row.map50),
                _with_interval(row.map),
                _gain(row.gain50),
                _gain(row.gain),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| weather | input | class | boxes | P | R | AP@.5 | AP@.5:.95 |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for weather, rows in comparison.rows.items():
        for row in rows:
            for one in row.classes:
                values = (one.precision, one.recall, one.ap50, one.ap)
                numbers = " | ".join("-" if math.isnan(v) else f"{v:.3f}" for v in values)
                lines.append(f"| {weather} | {row.kind} | {one.name} | {one.boxes} | {numbers} |")
    return "\n".join([*lines, "", *findings(comparison)]) + "\n"


def findings(comparison: Comparison) -> list[str]:
    """What fusion gains over the better camera, one sentence for each weather and kind."""
    return [
        f"- {weather}: {_sentence(row)}"
        for weather in [ALL, *(name for name in comparison.rows if name != ALL)]
        for row in comparison.rows[weather]
        if row.gain50 is not None
    ]


def _sentence(row: Row) -> str:
    gain = row.gain50
    assert gain is not None
    if not gain.told_from_zero:
        said = "cannot be told from"
    else:
        said = "is better than" if gain.mean > 0 else "is worse than"
    return (
        f"{row.kind} {said} the {row.better50} camera alone, {_gain(gain)} mAP@.5 "
        f"({row.map50.mean:.3f})"
    )


def _with_interval(value: Estimate) -> str:
    return f"{value.mean:.3f} {_interval(value, '')}".rstrip()


def _gain(value: Estimate | None) -> str:
    return "" if value is None else f"{value.mean:+.3f} {_interval(value, '+')}".rstrip()


def _interval(value: Estimate, sign: str) -> str:
    if math.isnan(value.low):
        return ""
    return f"[{value.low:{sign}.3f}, {value.high:{sign}.3f}]"
