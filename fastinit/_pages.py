"""One HTML file with charts by plotly: no network, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from plotly.io import templates
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs


class Chart(NamedTuple):
    """A figure of plotly with its heading; `left` is the room for the numbers of its axis, in pixels."""

    heading: str
    figure: Any
    height: int = 260
    left: int = 58


class Section(NamedTuple):
    """A heading with what is below it. Each part may be missing.

    Attributes
    ----------
    heading, note : str
    table : sequence of rows
        The first is the heading. A cell that begins with ``!`` is bad news, one with ``+`` good news.
    legend : sequence of (name, colour)
        Of all the section's charts.
    charts : sequence of Chart
        Side by side if there is room.
    """

    heading: str
    note: str = ""
    table: Sequence[Sequence[str]] = ()
    legend: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: light-dark(#b3261e, #ff8a80);
        --good: light-dark(#1b7f4d, #6fd6a0); }
body { margin: 0 auto; max-width: 84rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
       color: light-dark(#222, #ddd); background: light-dark(#fff, #16181c); }
h1, h3 { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .3rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .2rem; }
h3 { font-size: .95rem; font-weight: 600; margin: .6rem 0 0; }
p { margin: .2rem 0; max-width: 52rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; margin: .5rem 0; }
td, th { padding: .2rem .9rem .2rem 0; white-space: nowrap; text-align: left; }
tr { border-bottom: 1px solid var(--line); }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: 1.1rem; height: .25rem; margin-right: .4rem;
            vertical-align: middle; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr));
          gap: .3rem 1.2rem; }
.charts > div { min-width: 0; }
"""

# A chart is drawn once, with the template of the moment, and again if the reader changes it.
_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
const template = () => dark.matches ? templates.dark : templates.light;
for (const [id, figure] of Object.entries(figures)) {
  const layout = {...figure.layout, template: template()};
  Plotly.newPlot(id, figure.data, layout, {responsive: true, displayModeBar: false});
}
dark.addEventListener("change", () => {
  for (const id of Object.keys(figures)) Plotly.relayout(id, {template: template()});
});
"""

_LAYOUT = {
    "autosize": True,
    "margin": {"r": 8, "t": 8, "b": 36},
    "showlegend": False,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "dragmode": False,  # a finger on a phone scrolls the page
}


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return the page's HTML."""
    body, figures = [f"<h1>{escape(title)}</h1>", f"<p>{escape(lead)}</p>"], list[str]()
    for section in sections:
        body += _words(section)
        places = []
        for chart in section.charts:
            name = f"chart{len(figures)}"
            style = f'class="chart" id="{name}" style="height:{chart.height}px"'
            places.append(f"<div><h3>{escape(chart.heading)}</h3><div {style}></div></div>")
            chart.figure.update_layout(_LAYOUT, template=None, margin_l=chart.left)
            figures.append(f'"{name}": {_script(chart.figure.to_json())}')
        body.append(f'<div class="charts">{"".join(places)}</div>')
    looks = {"light": "plotly_white", "dark": "plotly_dark"}
    named = ",".join(f"{name}: {_script(to_json_plotly(templates[look]))}" for name, look in looks.items())
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script></head>\n"
        "<body>" + "\n".join(body) + "\n"
        f"<script>const templates = {{{named}}};\n"
        f"const figures = {{{','.join(figures)}}};{_SCRIPT}</script>\n"
        "</body></html>\n"
    )


def _words(section: Section) -> list[str]:
    """Return what stands above a section's charts."""
    body = [f"<h2>{escape(section.heading)}</h2>"]
    if section.note:
        body.append(f"<p>{escape(section.note)}</p>")
    if section.table:
        body.append(f'<div class="scroll">{_table(section.table)}</div>')
    names = (
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in section.legend
    )
    body.append(f'<p class="legend">{"".join(names)}</p>')
    return body


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(map(_cell, row)) for row in body]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(text: str) -> str:
    kind = {"!": "bad", "+": "good"}.get(text[:1], "")
    if kind:
        return f'<td class="{kind}">{escape(text[1:])}</td>'
    return f"<td>{escape(text)}</td>"


def _script(json: str) -> str:
    """Return JSON that is safe in a script: a name may contain text that would end it."""
    return json.replace("</", "<\\/")
