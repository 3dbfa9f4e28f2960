"""Bar and radar plots as SVG text, drawn so that colour is never the only difference."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from training.benchmark.methods import Method
from training.benchmark.statistics import CONFIDENCE
from training.benchmark.tables import Row, ScoreTable
from training.metrics import METRICS

# Okabe and Ito's palette, which people with any kind of colour blindness can tell apart.
MAIN_COLOR = "#0072B2"
_OTHER_BAR, _UNRANKED_BAR = "#8b93a1", "#d5d9e0"
_LINES = (
    ("#D55E00", (0, (6, 2)), "s"),
    ("#009E73", (0, (3, 1.5)), "^"),
    ("#CC79A7", (0, (1, 1.2)), "D"),
    ("#000000", (0, (6, 2, 1, 2)), "v"),
    ("#E69F00", "solid", "x"),
)
RADAR_METHODS = 1 + len(_LINES)

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and the page's fonts serve it
    "svg.hashsalt": "benchmark",
    "font.family": "sans-serif",
    "font.sans-serif": ["Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": "#5b6472",
    "axes.linewidth": 0.6,
}


def bar_plot(table: ScoreTable, main: Method) -> str:
    """Draw a bar for each method and metric, with the interval of the mean as a line."""
    rows = table.rows[::-1]  # matplotlib counts from below
    height = 0.22 * len(rows) + 0.5
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.4, 2 * height + 0.2), layout="constrained")
        grid: Any = figure.subplots(2, 4, sharey=True)
        for k, (axes, metric) in enumerate(zip(grid.flat, METRICS.values(), strict=False)):
            for y, row in enumerate(rows):
                _bar(axes, y, row, k, main)
            axes.set_title(_symbol(metric.label), fontsize=10, loc="left", color="#1d2430")
            axes.set_yticks(range(len(rows)), [row.method.name for row in rows])
            axes.set_xlim(left=0)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(axis="x", labelsize=8, color="#5b6472")
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="x", color="#e6e8ec", linewidth=0.6)
            axes.set_axisbelow(True)
        _legend(grid.flat[-1], main)
        return _svg(figure)


def _legend(axes: Any, main: Method) -> None:
    axes.axis("off")
    handles: list[Any] = [Patch(color=MAIN_COLOR, label=main.name)] if main.ranked else []
    handles += [
        Patch(color=_OTHER_BAR, label="ranked"),
        Patch(color=_UNRANKED_BAR, label="not ranked"),
        Line2D([], [], color="#1d2430", linewidth=0.9, label=f"{CONFIDENCE:.0%} interval"),
    ]
    axes.legend(handles=handles, loc="center left", frameon=False)


def _bar(axes: Any, y: int, row: Row, metric: int, main: Method) -> None:
    cell = row.cells[metric]
    color = _UNRANKED_BAR
    if row.method.ranked:
        color = MAIN_COLOR if row.method == main else _OTHER_BAR
    axes.barh(y, cell.mean, height=0.68, color=color)
    if np.isfinite(cell.low):
        axes.plot([cell.low, cell.high], [y, y], color="#1d2430", linewidth=0.9)


def radar_plot(table: ScoreTable, methods: Sequence[Method], main: Method) -> str:
    """Draw the shape of each method's means, each metric as a share of the best one drawn.

    Args:
        table: Where the means stand.
        methods: At most `RADAR_METHODS`, among them ``main``; those without images are left out.
        main: Drawn in full, the others as lines.
    """
    rows = [row for method in methods for row in table.rows if row.method == method]
    rows.sort(key=lambda row: row.method == main)
    means = np.array([[cell.mean for cell in row.cells] for row in rows])
    best = means.max(axis=0)
    shares = np.divide(means, best, out=np.zeros_like(means), where=best > 0).clip(0)
    angles = np.linspace(0, 2 * np.pi, len(METRICS), endpoint=False)
    closed = np.append(angles, angles[0])
    lines = iter(_LINES)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.9, 4.9), layout="constrained")
        axes: Any = figure.add_subplot(projection="polar")
        axes.set_theta_offset(np.pi / 2)
        axes.set_theta_direction(-1)
        for row, values in zip(rows, shares, strict=True):
            ring = np.append(values, values[0])
            if row.method == main:
                axes.fill(closed, ring, color=MAIN_COLOR, alpha=0.12)
                style = {"color": MAIN_COLOR, "linewidth": 2.2, "marker": "o", "markersize": 4}
            else:
                color, dashes, marker = next(lines)
                style = {"color": color, "linestyle": dashes, "linewidth": 1.3}
                style |= {"marker": marker, "markersize": 4}
            axes.plot(closed, ring, label=row.method.name, **style)
        axes.set_xticks(angles, [_symbol(m.label) for m in METRICS.values()], fontsize=10)
        axes.tick_params(axis="x", pad=8)
        axes.set_ylim(0, 1.02)
        axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "0.5", "", "1"], fontsize=8, color="#5b6472")
        axes.grid(color="#d5d9e0", linewidth=0.6)
        axes.spines["polar"].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1], labels[::-1], loc="outside lower center", ncols=2, frameon=False
        )
        return _svg(figure)


def _symbol(label: str) -> str:
    """A label such as Q_MI or Q^AB/F with its index or exponent set as such."""
    for mark in "_^":
        if mark in label:
            name, rest = label.split(mark)
            return rf"{name}$\mathregular{{{mark}{{{rest}}}}}$"
    return label


def _svg(figure: Figure) -> str:
    """The figure as the address of an image; the date is left out, so equal data draw equally."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
