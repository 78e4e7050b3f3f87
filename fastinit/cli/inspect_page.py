"""What ``fastinit inspect`` found, as a page with charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fastinit._pages import Chart, Section, page
from fastinit.checkpoint import Comparison, Histogram, Law, Statistics

from .tables import alike, folded
from .terminal import printable

_RIGHT, _WRONG, _EXPECTED = "#3b82c4", "#e4572e", "#b8860b"
# More would be slow to draw, and nobody would look at them.
_MOST_CHARTS, _MOST_LINES, _MOST_ROWS, _LONGEST = 48, 24, 400, 200

_CHART = "Each line is a tensor's histogram; tensors whose names differ only in numbers share a chart."
_FIT = (
    f"{_CHART} Dashed: the distribution that the rule promises. p is the chance of a worse fit to it"
    " (Pearson's chi-square test on up to 65 cells), corrected for the number of tensors (Holm). A tensor is"
    " marked if that is below 1e-6, if its mean or std is more than 6 standard errors off, or if it has NaNs"
    " or infinities."
)
_DIFFERENCE = (
    f"{_CHART} KS is the largest difference of the shares of values below any number (Kolmogorov-Smirnov); a"
    " second number is what it may be at most, as values of large tensors are counted in cells."
)


def statistics(
    file: str, _: None, found: Sequence[Statistics], rows: Sequence[Sequence[str]], summary: str
) -> str:
    """Return the page of one checkpoint."""
    legend = [("values", _RIGHT)]
    if any(each.law is not None for each in found):
        legend.append(("the rule's distribution", _EXPECTED))
    if any(each.marked for each in found):
        legend.append(("marked", _WRONG))
    drawn = [each for each in found if each.histogram is not None and each.std]
    charts, note = _charts(drawn, _fit)
    sections = [Section("Histograms", note, (), legend, charts)] if charts else []
    columns, *cells = rows
    kept = [at for at, column in enumerate(columns) if column not in ("", "name", "values")]
    table = [
        [_name(each.name, marked=each.marked), *(row[at] for at in kept)]
        for each, row in zip(found, cells, strict=True)
    ]
    sections.append(_table(["name", *(columns[at] for at in kept)], table))
    return page(f"Weights of {_cut(file)}", f"{summary}. {_FIT}", sections)


def comparisons(
    file: str, other: str, found: Sequence[Comparison], rows: Sequence[Sequence[str]], summary: str
) -> str:
    """Return the page of two checkpoints."""
    drawn = [each for each in found if each.histograms is not None and not each.same]
    charts, note = _charts(drawn, _difference)
    legend = [(f"first: {_cut(file)}", _RIGHT), (f"second: {_cut(other)}", _WRONG)]
    sections = [Section("Histograms of what differs", note, (), legend, charts)] if charts else []
    columns, *cells = rows
    differing_first = sorted(zip(found, cells, strict=True), key=lambda pair: pair[0].same)
    sections.append(_table(columns, [[_name(each.name), *row[1:]] for each, row in differing_first]))
    return page(f"{_cut(file)} and {_cut(other)}", f"{summary}. {_DIFFERENCE}", sections)


def _charts(found: Sequence[Any], draw: Callable[[Any, Sequence[Any]], None]) -> tuple[list[Chart], str]:
    """Return a chart for each group of names, those with marked tensors first, and what is left out."""
    places = alike([each.name for each in found])
    labels, groups = list(places), [[found[at] for at in group] for group in places.values()]
    order = sorted(range(len(groups)), key=lambda at: not any(_is_marked(each) for each in groups[at]))
    charts, left = [], 0
    for at in order[:_MOST_CHARTS]:
        figure, group = go.Figure(), groups[at]
        shown = _some(group)
        left += len(group) - len(shown)
        draw(figure, shown)
        figure.update_xaxes(automargin=False, nticks=6)
        figure.update_yaxes(automargin=False, rangemode="tozero", showticklabels=False)
        count = f" ({len(group)})" if group[1:] else ""
        charts.append(Chart(f"{printable(_cut(labels[at]))}{count}", figure, 190, left=8))
    left += sum(len(groups[at]) for at in order[_MOST_CHARTS:])
    return charts, f"{left} tensors have no line here, to keep the page short." if left else ""


def _is_marked(each: Any) -> bool:
    return each.marked if isinstance(each, Statistics) else False


def _some(group: Sequence[Any]) -> list[Any]:
    """Return the marked ones of a group, and others from its first to its last."""
    marked = [each for each in group if _is_marked(each)][:_MOST_LINES]
    others = [each for each in group if not _is_marked(each)]
    places = np.linspace(0, len(others) - 1, min(len(others), _MOST_LINES - len(marked)))
    return [*(others[place] for place in places.round().astype(int).tolist()), *marked]


def _fit(figure: Any, group: Sequence[Statistics]) -> None:
    for each in group:
        said = "" if each.p_corrected is None else f"<br>p {each.p_corrected:.2g}"
        _line(figure, each.histogram, f"{_plain(each.name)}{said}", _WRONG if each.marked else _RIGHT)
    for law in dict.fromkeys(each.law for each in group if each.law is not None and not each.law.constant):
        _law(figure, law, [each.histogram for each in group if each.law == law])


def _difference(figure: Any, group: Sequence[Comparison]) -> None:
    for each in group:
        for histogram, colour in zip(each.histograms or (), (_RIGHT, _WRONG), strict=True):
            _line(figure, histogram, f"{_plain(each.name)}<br>KS {each.ks:.4f}", colour)


def _line(figure: Any, histogram: Histogram | None, label: str, colour: str) -> None:
    assert histogram is not None
    densities = histogram.densities
    figure.add_scatter(
        x=_short(histogram.edges),
        y=_short([*densities, densities[-1]]),
        mode="lines",
        line={"color": colour, "width": 1.4, "shape": "hv"},
        hovertemplate=f"{label}<extra></extra>",
    )


def _law(figure: Any, law: Law, histograms: Iterable[Histogram | None]) -> None:
    """Draw a law's density over the widest range of some histograms."""
    found = [each for each in histograms if each is not None]
    low, high = min(each.edges[0] for each in found), max(each.edges[-1] for each in found)
    edges = np.linspace(low, high, 101)
    figure.add_scatter(
        x=_short((edges[1:] + edges[:-1]) / 2),
        y=_short(np.diff(law.cumulative(edges)) / np.diff(edges)),
        mode="lines",
        line={"color": _EXPECTED, "width": 2, "dash": "dash"},
        hovertemplate=f"{law}<extra></extra>",
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Section:
    """Return the table. Rows whose name begins with ``!`` are bad news, and come first."""
    head, cells = folded(columns, [*rows])
    name = head.index("name")
    cells = sorted(cells, key=lambda row: not row[name].startswith("!"))
    left = len(cells) - _MOST_ROWS
    return Section(
        "Tensors", f"{left} more rows are left out." if left > 0 else "", [head, *cells[:_MOST_ROWS]]
    )


def _name(name: str, *, marked: bool = False) -> str:
    """Return a name as a cell, in which a first ``!`` or ``+`` of its own is no mark."""
    safe = printable(_cut(name))
    return "!" * marked + "\u200b" * (safe[:1] in ("!", "+")) + safe


def _plain(name: str) -> str:
    """Return a name in which plotly sees neither tags nor variables."""
    return escape(printable(_cut(name))).replace("%{", "%\u200b{")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _short(values: Iterable[float]) -> list[float]:
    """Return numbers with five digits: a page is half as long."""
    return [float(f"{value:.5g}") for value in values]
