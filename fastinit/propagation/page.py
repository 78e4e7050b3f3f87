"""A report as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from fastinit._pages import Chart, Section, page

from .activations import Array
from .panels import COLOURS, PANELS, Line, Panel, groups, labels, line, summary, width_of
from .report import Report, Trace
from .verdicts import STABLE, Verdict

_LEAD = (
    "Networks, forward and backward. A signal that vanishes or explodes on its way through the layers"
    " cannot be learnt from. A factor is what each layer multiplies by; more than tenfold over all layers is"
    " too much."
)
_CHARTS = (
    "Bands: 10 to 90% of seeds; of singular values, from the 10th percentile to the largest. Dashed: theory."
    " A line ends where float32's range does."
)


def write(report: Report, path: Path) -> None:
    """Write the page."""
    path.write_text(_page(report), encoding="utf-8")


def _page(report: Report) -> str:
    names = labels(report.traces)
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    sections = [Section("Verdicts", summary(report), [_HEADING, *map(_row, report.traces)])]
    for activation, traces in groups(report):
        charts = [
            Chart(panel.heading, _figure(panel, lines, colours))
            for panel in PANELS
            if (lines := [each for trace in traces if (each := line(trace, panel)) is not None])
        ]
        notes = "; ".join(dict.fromkeys(trace.advice for trace in traces if trace.advice))
        legend = [(trace.init, colours[trace.init]) for trace in traces]
        sections.append(Section(activation, f"Better: {notes}." if notes else "", (), legend, charts))
    sections += [Section(heading, "", rows) for heading, rows in report.tables]
    return page("Does the initialisation keep the signal?", f"{_LEAD} {_CHARTS}", sections)


_HEADING = ("activation", "init", "forward", "a layer", "theory", "backward", "a layer", "theory")


def _row(trace: Trace) -> Sequence[str]:
    return [trace.activation, trace.init, *_cells(trace.forward), *_cells(trace.backward)]


def _cells(verdict: Verdict) -> Sequence[str]:
    mark = "+" if verdict.word == STABLE else "!"
    alike = " (inputs become alike)" if verdict.of == "spread" else ""
    theory = "" if verdict.predicted is None else f"x{verdict.predicted:.3g}, {verdict.expected}"
    return [
        f"{mark}{verdict.word}{alike}",
        f"x{verdict.factor:.3g} ({verdict.low:.3g} to {verdict.high:.3g})",
        theory,
    ]


def _figure(panel: Panel, lines: Sequence[Line], colours: Mapping[str, str]) -> go.Figure:
    figure = go.Figure()
    for number, each in enumerate(lines):
        width = width_of(number, len(lines))
        colour = colours[each.label]
        known = np.isfinite(each.low) & np.isfinite(each.high)
        if known.sum() > 1:
            around = np.concatenate([each.x[known], each.x[known][::-1]])
            band = np.concatenate([each.high[known], each.low[known][::-1]])
            figure.add_scatter(
                x=_short(around),
                y=_short(band),
                fill="toself",
                fillcolor=f"{colour}33",
                line_width=0,
                hoverinfo="skip",
                mode="lines",
            )
        hover = f"{each.label}<br>layer %{{x}}: %{{y:.3g}}<extra></extra>"
        mode = "lines+markers" if len(each.x) < 15 else "lines"
        figure.add_scatter(
            x=_short(each.x),
            y=_short(each.middle),
            mode=mode,
            line={"color": colour, "width": width},
            hovertemplate=hover,
        )
        if each.predicted is not None:
            dashed = {"color": colour, "dash": "dash", "width": 1.2}
            figure.add_scatter(
                x=_short(each.x),
                y=_short(each.predicted),
                mode="lines",
                line=dashed,
                hovertemplate=hover.replace("<br>", " in theory<br>", 1),
            )
    # Margins that plotly fits to the labels are drawn again and again.
    figure.update_xaxes(title={"text": "layer", "standoff": 4}, rangemode="tozero", automargin=False)
    figure.update_yaxes(automargin=False)
    if panel.log:
        figure.update_yaxes(type="log", exponentformat="power", nticks=6, dtick=_ticks(lines))
    elif panel.quantity != "mean":
        figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%")
    return figure


def _ticks(lines: Sequence[Line]) -> str | None:
    """Return plotly's name for ticks at 1, 2 and 5 of each decade if there are few: all digits overlap."""
    values = np.concatenate([each for line in lines for each in (line.low, line.high)])
    known = values[np.isfinite(values)]
    return "D2" if known.size and known.max() < 100.0 * known.min() else None


def _short(values: Array) -> list[float | None]:
    """Return numbers with four digits: a page is half as long."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
