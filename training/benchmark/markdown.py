"""The report's tables as Markdown, short enough for a README."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.benchmark.contents import Report, Section
from training.benchmark.statistics import CONFIDENCE
from training.benchmark.tables import Cell, Comparison, ScoreTable
from training.metrics import METRICS

_LABELS = [metric.label for metric in METRICS.values()]


def markdown(report: Report) -> str:
    """All tables as GitHub's Markdown; best ranked in bold, second best underlined."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    main = report.results.plan.main.name
    yield f"# {main} beside other methods"
    yield ""
    yield (
        f"Means over images with their {CONFIDENCE:.0%} bootstrap intervals. **Best**, <u>second "
        "best</u>. Not ranked: copies of one camera, which win several metrics without fusing "
        "anything, and `@clean` methods, which were handed the clean pair."
    )
    for section in report.sections:
        yield from _section(section)
    if report.ablations:
        yield from _ablations(report)
    if report.efficiency:
        yield from _efficiency(report, report.efficiency)
    problems = list(report.results.problems())
    if problems:
        yield from ("", f"## Left out: {len(problems)}", "")
        for method, set_name, row in problems:
            yield f"- {method}, {set_name}/{row.name}: {row.problem}"


def _section(section: Section) -> Iterator[str]:
    sets = ", ".join(images.name for images in section.group.sets)
    yield from ("", f"## {section.group.title}", "")
    yield f"{section.table.images} images: {sets}. {' '.join(section.findings)}"
    yield ""
    yield from means_table(section.table)
    if section.comparisons:
        yield ""
        yield (
            "Difference to each other method on the same images; * where a paired sign-flip test "
            "finds it beyond chance (p < 0.05 after Holm's correction over this table):"
        )
        yield ""
        yield _row(["against", *_LABELS])
        yield _rule(len(_LABELS))
        for compared in section.comparisons:
            yield _row([compared.opponent.name, *_differences(compared)])


def means_table(table: ScoreTable) -> Iterator[str]:
    """One table of means with intervals, as lines of Markdown."""
    yield _row(["method", *_LABELS])
    yield _rule(len(_LABELS))
    for row in table.rows:
        name = row.method.name
        if row.images < table.images:
            name += f" ({row.images} images)"
        yield _row([name, *(_cell(cell) for cell in row.cells)])


def _cell(cell: Cell) -> str:
    mean = _marked(f"{cell.mean:.3f}", cell.place)
    if cell.low != cell.low:
        return mean
    return f"{mean} [{cell.low:.2f}, {cell.high:.2f}]"


def _marked(text: str, place: int) -> str:
    return {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(place, text)


def _differences(compared: Comparison) -> Iterator[str]:
    for k, difference in enumerate(compared.difference):
        yield f"{difference:+.3f}{'' if compared.verdict(k) == 'open' else '*'}"


def _ablations(report: Report) -> Iterator[str]:
    yield from ("", "## Ablations (the paper's table 6)", "")
    yield _row(["variant", "steps", *_LABELS])
    yield _rule(len(_LABELS) + 1)
    for ablation in report.ablations:
        cells = [_marked(f"{ablation.scores[key]:.3f}", ablation.places[key]) for key in METRICS]
        yield _row([ablation.variant, str(ablation.steps), *cells])


def _efficiency(report: Report, efficiency: Mapping[str, Any]) -> Iterator[str]:
    width, height = efficiency["size"]
    machine = efficiency["machine"]
    yield from ("", "## What it costs (the paper's table 9)", "")
    yield (
        f"One run on {machine['processor']}, {machine['cores']} cores, {machine['date'][:10]}. "
        f"Time and peak memory of the process at {width}x{height}, multiplications of "
        "convolutions at 224x224 (in brackets for the fused image alone)."
    )
    yield ""
    yield _row(["method", "parameters", "conv G MACs", "peak MiB", "s / image"])
    yield _rule(4)
    for name, cost in efficiency["methods"].items():
        engine = f" ({cost['engine']})" if cost.get("engine") else ""
        yield _row([name + engine, *cost_cells(cost)])
    for row in report.published:
        yield _row(
            [
                f"*{row.name} (published)*",
                f"{row.parameters:,}" if row.parameters else "–",
                f"{row.macs / 1e9:.2f}" if row.macs else "–",
                "–",
                f"{row.seconds:.4f} ({row.device})" if row.seconds else "–",
            ]
        )


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """A measured cost for people: parameters, MACs, memory, time; what failed says so."""
    if "problem" in cost:
        return [f"failed: {cost['problem']}", "–", "–", "–"]
    macs, fused_only = cost["macs"], cost["macs_fused_only"]
    giga = "–"
    if macs:
        giga = f"{macs['convolutions'] / 1e9:.2f}"
        if fused_only != macs:
            giga += f" ({fused_only['convolutions'] / 1e9:.2f})"
    peak = "–" if cost["peak_mib"] is None else f"{cost['peak_mib']:,.0f}"
    parameters = "–" if cost["parameters"] is None else f"{cost['parameters']:,}"
    return [parameters, giga, peak, seconds(cost["seconds"])]


def seconds(value: float) -> str:
    """A time with two significant digits."""
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rule(numbers: int) -> str:
    return "|---|" + "---:|" * numbers
