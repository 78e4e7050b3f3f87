"""Charts of lines: throughput against size and threads."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import plotly.graph_objects as go

from trackbench.page import Section

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


def sizes(runs: list[dict]) -> Iterator[Section]:
    for work in dict.fromkeys(each["work"] for each in runs):
        figure = go.Figure()
        points = sorted((each for each in runs if each["work"] == work), key=lambda each: each["bytes"])
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
        figure.update_xaxes(type="log", title="bytes of the array", exponentformat="SI", dtick=1)
        figure.update_yaxes(type="log", title="Gvalues/s", dtick="D2")
        yield Section(f"{work}: throughput against size", "One thread; uprights: the caches.", figure)


def threads(runs: list[dict]) -> Iterator[Section]:
    if not runs:
        return
    figure = go.Figure()
    for each in runs:
        speeds = each["gigavalues_per_second"]
        figure.add_scatter(x=[*speeds], y=[*speeds.values()], name=each["work"], mode="lines+markers")
    figure.update_xaxes(type="category", title="threads")
    figure.update_layout(height=320, showlegend=True)
    figure.update_yaxes(rangemode="tozero", title="Gvalues/s")
    yield Section("Threads", "64 Mi values.", figure)
