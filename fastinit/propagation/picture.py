"""A report as a picture, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .panels import COLOURS, SHORT, Line, groups, labels, line, summary, width_of
from .report import Report


def write(report: Report, path: Path) -> None:
    """Write the picture; its suffix is its format."""
    # The same report gives the same bytes: no date, and identifiers that don't change.
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "fastinit", "font.size": 8.5}):
        plain = {"Date": None} if path.suffix == ".svg" else {}
        draw(report).savefig(path, dpi=150, metadata=plain)


def draw(report: Report) -> Figure:
    """Return the figure: a row for each activation, with its signal, gradient and singular values."""
    rows = list(groups(report))
    names = labels(report.traces)
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    panels = [panel for panel in SHORT if any(line(trace, panel) for trace in report.traces)]
    figure = Figure(figsize=(3.4 * len(panels), 0.9 + 2.1 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(panels), squeeze=False, sharex="col")
    for place, (activation, traces) in enumerate(rows):
        for at, panel in zip(axes[place], panels, strict=True):
            lines = [each for trace in traces if (each := line(trace, panel)) is not None]
            for number, each in enumerate(lines):
                _plot(at, each, colours[each.label], 0.8 * width_of(number, len(lines)))
            at.set_yscale("log")
            at.spines[["top", "right"]].set_visible(False)
            at.grid(alpha=0.25)
            if place == 0:
                at.set_title(panel.heading.partition(", root")[0], fontsize=9)
            if place == len(rows) - 1:
                at.set_xlabel("layer")
        axes[place][0].set_ylabel(activation, fontweight="bold")
    handles = [axes[0][0].plot([], [], color=colours[name], linewidth=2)[0] for name in names]
    handles.append(axes[0][0].plot([], [], color="#666", linestyle="--", linewidth=1)[0])
    figure.legend(
        handles, [*names, "theory"], loc="outside lower center", ncols=min(4, len(names) + 1), frameon=False
    )
    figure.suptitle(summary(report), fontsize=9, color="#555")
    return figure


def _plot(axes: Any, found: Line, colour: str, width: float) -> None:
    marker = "o" if len(found.x) < 15 else None
    axes.plot(found.x, found.middle, color=colour, linewidth=width, marker=marker, markersize=2.5)
    axes.fill_between(found.x, found.low, found.high, color=colour, alpha=0.2, linewidth=0)
    if found.predicted is not None:
        axes.plot(found.x, found.predicted, color=colour, linestyle="--", linewidth=0.9)
