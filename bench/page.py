"""``python -m bench.page RECORD.json -o PAGE.html``: charts of the results of `make bench`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from math import log10
from pathlib import Path

import plotly.graph_objects as go

from trackbench.page import Section, write

from .report import Line

#: Each contender has the same colour in every chart.
COLOURS = {
    "fastinit": "#e4572e",
    "NumPy": "#3b82c4",
    "torch": "#c0872d",
    "oneMKL": "#2f9e77",
    "Philox": "#7a8f3c",
    "randomgen": "#8e6bbf",
    "mkl_random": "#6fbf9f",
    "JAX": "#c9498f",
    "numba": "#4aa3c7",
    "memset": "#8a8f98",
    "copy": "#8a8f98",
}


def sections(record: dict) -> Iterator[Section]:
    """Yield the charts of a pytest-benchmark record, then all its figures."""
    extras = [each.get("extra_info", {}) for each in record["benchmarks"]]
    lines = [Line(**line) for extra in extras for line in extra.get("lines", [])]
    yield from _ratios(lines)
    yield from _sizes([extra["size"] for extra in extras if "size" in extra])
    yield from _threads([extra["threads"] for extra in extras if "threads" in extra])
    key = "gigavalues_per_second"
    by_isa = (each for each in record["benchmarks"] if key in each.get("extra_info", {}))
    yield from _isas({each["param"]: each["extra_info"][key] for each in by_isa})
    yield Section("Every figure", "A peer that isn't installed is missing.", table=_table(lines))
    machine = record["machine_info"].get("bench", {})
    yield Section("Where", table=[["", ""], *([name, str(value)] for name, value in machine.items())])


def _ratios(lines: list[Line]) -> Iterator[Section]:
    ratios = [line for line in lines if line.unit == "x" and line.quartiles and line.against in COLOURS]
    if not ratios:
        return
    figure = go.Figure()
    for peer in dict.fromkeys(line.against for line in ratios):
        against = [line for line in ratios if line.against == peer]
        figure.add_bar(
            y=[line.what for line in against],
            x=[_figure(line) for line in against],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [line.quartiles[1] - _figure(line) for line in against],
                "arrayminus": [_figure(line) - line.quartiles[0] for line in against],
            },
            name=peer,
            orientation="h",
            marker_color=COLOURS[peer],
        )
    whats = dict.fromkeys(line.what for line in ratios)
    figure.update_layout(height=160 + 42 * len(whats), barmode="group")
    figure.update_xaxes(type="log", title="times as fast as the peer", dtick="D2")
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.add_vline(x=1, line_dash="dot")
    yield Section("Times as fast as each peer", "Left of the dotted line the peer wins.", figure)


def _figure(line: Line) -> float:
    """Return the figure for a given array or, if the peer takes none, for a fresh one."""
    return line.median or line.fresh


def _sizes(sizes: list[dict]) -> Iterator[Section]:
    for work in dict.fromkeys(each["work"] for each in sizes):
        figure = go.Figure()
        points = sorted((each for each in sizes if each["work"] == work), key=lambda each: each["bytes"])
        for name in dict.fromkeys(name for each in points for name in each["gigavalues_per_second"]):
            figure.add_scatter(
                x=[each["bytes"] for each in points],
                y=[each["gigavalues_per_second"].get(name) for each in points],
                name=name,
                mode="lines+markers",
                line={"color": COLOURS.get(name), "dash": "dot" if name == "memset" else "solid"},
            )
        for level, size in points[0]["caches"].items():
            figure.add_vline(x=size, line_dash="dot")  # plotly misplaces its annotation on a log axis
            figure.add_annotation(
                x=log10(size), y=1, yref="paper", text=level, showarrow=False, xanchor="left"
            )
        figure.update_xaxes(type="log", title="bytes of the array", exponentformat="SI")
        figure.update_yaxes(type="log", title="Gvalues/s")
        yield Section(f"{work}: throughput against size", "One thread; uprights: the caches.", figure)


def _threads(threads: list[dict]) -> Iterator[Section]:
    if not threads:
        return
    figure = go.Figure()
    for each in threads:
        speeds = each["gigavalues_per_second"]
        figure.add_scatter(x=[*speeds], y=[*speeds.values()], name=each["work"], mode="lines+markers")
    figure.update_xaxes(type="category", title="threads")
    figure.update_yaxes(rangemode="tozero", title="Gvalues/s")
    yield Section("Threads", "64 Mi values.", figure)


def _isas(works: dict[str, dict[str, float]]) -> Iterator[Section]:
    if not works:
        return
    figure = go.Figure()
    for isa in dict.fromkeys(isa for speeds in works.values() for isa in speeds):
        figure.add_bar(x=[*works], y=[speeds.get(isa) for speeds in works.values()], name=isa)
    figure.update_yaxes(type="log", title="Gvalues/s")
    figure.update_layout(barmode="group")
    yield Section("Instruction sets", "The same bits from each; one thread.", figure)


def _table(lines: list[Line]) -> list[list[str]]:
    heading = ["", "fastinit", "against", "", "quartiles", "fresh array"]
    return [heading, *([line.what, line.speed, line.against, *line.cells] for line in lines)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("record", type=Path, help="what pytest wrote to --benchmark-json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    write(options.output, "fastinit's benchmarks", list(sections(json.loads(options.record.read_text()))))
    print(options.output)


if __name__ == "__main__":
    main()
