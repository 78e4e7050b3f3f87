"""One HTML file with charts: no network, light and dark, wide and narrow."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.io import templates
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs


class Section(NamedTuple):
    heading: str
    note: str = ""
    figure: go.Figure | None = None
    table: list[list[str]] | None = None  # its first row is the heading
    html: str = ""  # the writer's own; nothing in it is escaped
    folded: bool = False  # the table is shown on demand


_LOOKS = {"light": "white", "dark": "dark"}  # plotly's own

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
       color: light-dark(#222, #ddd); background: light-dark(#fff, #16181c); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 0; }
.note { margin: .2rem 0; max-width: 45rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; margin: .5rem 0; }
td, th { padding: .15rem 1.2rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #8886; vertical-align: bottom; }
tbody tr:hover { background: #8881; }
.number { text-align: right; } td.number { white-space: nowrap; }
summary { cursor: pointer; }
"""

_NUMBER = re.compile(r"[-+≥≤]? ?\d[\d.,]*(e[-+]?\d+)?( to \d[\d.,]*| \(\d[\d.,]*\))?\S{0,2}")

# A chart is drawn once, with the template of the moment, and again if the reader changes it.
_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
const template = () => dark.matches ? templates.dark : templates.light;
const legend = innerWidth > 800 ? {} : {orientation: "h", y: -0.22, yanchor: "top"};  // beside, or below
for (const [id, figure] of Object.entries(figures)) {
  const layout = {...figure.layout, legend, template: template()};
  Plotly.newPlot(id, figure.data, layout, {responsive: true, displayModeBar: false});
}
dark.addEventListener("change", () => {
  for (const id of Object.keys(figures)) Plotly.relayout(id, {template: template()});
});
"""

_LAYOUT = {
    "autosize": True,
    "margin": {"l": 55, "r": 10, "t": 15, "b": 45},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "dragmode": False,  # a finger on a phone scrolls the page
}


def write(path: Path, title: str, sections: list[Section], head: str = "", style: str = "") -> None:
    """Write the page to `path`. `head`, HTML, stands under the title; `style` is for the sections' HTML."""
    body, figures = [f"<h1>{escape(title)}</h1>", head], []
    for number, section in enumerate(sections):
        body.append(f"<h2>{escape(section.heading)}</h2>")
        if section.note:
            body.append(f'<p class="note">{escape(section.note)}</p>')
        body.append(section.html)
        if section.table:
            table = f'<div class="scroll">{_table(section.table)}</div>'
            rows = f"<summary>{len(section.table) - 1} rows</summary>"
            body.append(f"<details>{rows}{table}</details>" if section.folded else table)
        if section.figure is not None:
            height = section.figure.layout.height or 420
            body.append(f'<div class="chart" id="chart{number}" style="height:{height}px"></div>')
            section.figure.update_layout(_LAYOUT, template=None)
            figures.append(f'"chart{number}": {_script(section.figure.to_json())}')
    looks = {name: to_json_plotly(templates[f"plotly_{look}"]) for name, look in _LOOKS.items()}
    templates_ = ",".join(f"{name}: {_script(look)}" for name, look in looks.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}{style}</style>\n<script>{get_plotlyjs()}</script></head>\n"
        "<body>" + "\n".join(body) + "\n"
        f"<script>const templates = {{{templates_}}};\n"
        f"const figures = {{{','.join(figures)}}};{_SCRIPT}</script>\n"
        "</body></html>\n"
    )


def _table(rows: list[list[str]]) -> str:
    heading, *body = rows
    columns = [[row[i] for row in body if row[i]] for i in range(len(heading))]
    numeric = [2 * sum(map(bool, map(_NUMBER.fullmatch, cells))) > len(cells) for cells in columns]

    def line(cells: list[str], tag: str) -> str:
        marks = (" class=number" if number else "" for number in numeric)
        texts = (escape(cell).replace("_", "_<wbr>") for cell in cells)  # a phone has no room for long names
        return "".join(f"<{tag}{mark}>{text}</{tag}>" for mark, text in zip(marks, texts, strict=True))

    lines = "".join(f"<tr>{line(row, 'td')}</tr>" for row in body)
    return f"<table><thead><tr>{line(heading, 'th')}</tr></thead><tbody>{lines}</tbody></table>"


def _script(json: str) -> str:
    """Return JSON that is safe in a script: a benchmark's name may contain text that would end it."""
    return json.replace("</", "<\\/")
