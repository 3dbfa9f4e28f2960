"""The report as one HTML page that needs nothing else, not even a network."""

from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from rich.console import Console
from rich.progress import track

from training.benchmark import figures
from training.benchmark.contents import Report, Section
from training.benchmark.markdown import cost_cells
from training.benchmark.methods import Method
from training.benchmark.pictures import Scene, list_scenes, picture_scene
from training.benchmark.statistics import CONFIDENCE, RESAMPLES
from training.benchmark.tables import WorstCase
from training.metrics import METRICS

TEMPLATES = Path(__file__).with_name("templates")
WORST_PICTURES = 3
"""Scenes shown at the top for each group."""


def page(report: Report, strips: int | None = None) -> str:
    """The report as one HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"symbol": _symbol, "symbols": _symbols}
    main = report.results.plan.main
    drawn = [m for m in report.results.plan.methods if m.ranked][: figures.RADAR_METHODS]
    if main not in drawn:
        drawn = [main, *drawn[:-1]]
    plots = [
        (figures.bar_plot(s.table, main), figures.radar_plot(s.table, drawn, main))
        if s.table.rows
        else ("", "")
        for s in report.sections
    ]
    pictured = [_pictures(report, section, strips) for section in report.sections]
    return environment.get_template("report.html.j2").render(
        report=report,
        main=main,
        metrics=METRICS,
        problems=list(report.results.problems()),
        parts=[
            {"section": section, "bars": bars, "radar": radar, "worst": worst, "scenes": scenes}
            for section, (bars, radar), (worst, scenes) in zip(
                report.sections, plots, pictured, strict=True
            )
        ],
        confidence=round(CONFIDENCE * 100),
        resamples=RESAMPLES,
        cost_cells=cost_cells,
    )


def _symbol(label: str) -> Markup:
    """A metric's label as the paper prints it: Q with an index or an exponent."""
    name, mark, rest = label.partition("_" if "_" in label else "^")
    tag = {"_": "sub", "^": "sup"}.get(mark)
    return (
        Markup("{}<{}>{}</{}>").format(name, Markup(tag), rest, Markup(tag))
        if tag
        else Markup(escape(label))
    )


def _symbols(text: str) -> Markup:
    """A sentence with the metrics' labels in it set as `_symbol` does."""
    whole = str(escape(text))
    for metric in METRICS.values():
        whole = whole.replace(metric.label, str(_symbol(metric.label)))
    return Markup(whole)


def _pictures(
    report: Report, section: Section, strips: int | None
) -> tuple[list[tuple[list[WorstCase], Scene]], list[Scene]]:
    """The strips of the worst cases, with what is worst in each, and those of all scenes."""
    main = report.results.plan.main
    files = list_scenes(report.results, section.group)
    cases: dict[tuple[str, str], list[WorstCase]] = {}
    for case in section.worst:
        cases.setdefault((case.set_name, case.name), []).append(case)
    worst: list[tuple[list[WorstCase], Scene]] = []
    for (set_name, name), found in sorted(cases.items(), key=lambda item: -len(item[1])):
        rivals: list[Method] = [case.rival for case in found if case.rival]
        chosen = [main, *([max(rivals, key=rivals.count)] if rivals else [])]
        scene = picture_scene(files[set_name], name, main, chosen)
        if scene and len(worst) < WORST_PICTURES:
            worst.append((found, scene))
    wanted = [
        (listed, name)
        for listed in files.values()
        for number, name in enumerate(sorted(listed.thermal.keys() & listed.visible.keys()))
        if strips is None or number < strips or (listed.images.name, name) in cases
    ]
    drawn = (
        picture_scene(listed, name, main)
        for listed, name in track(
            wanted, f"pictures, {section.group.kind}", console=Console(stderr=True)
        )
    )
    return worst, [scene for scene in drawn if scene]
