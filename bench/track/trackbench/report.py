"""The history as a page: a chart of each benchmark over commits, and the changes of its level."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from math import exp, log, sqrt
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import ruptures

from . import history, page

SMALLEST = 0.03  # the smallest change that is marked
LEAST_NOISE = 0.005  # without it, a history with no noise would have a change at every commit
PENALTY = 4  # of a change: the degrees of freedom in BIC's form that asv's detector takes
LEAST_COMMITS = 4  # fewer say nothing of the noise


class Point(NamedTuple):
    """A commit's value: the median of its runs."""

    commit: str
    cost: float
    dirty: bool


class Change(NamedTuple):
    """From this commit on the benchmark takes `ratio` times as long.

    It is confirmed if two commits or more have the level before it, and two or more the level after.
    """

    benchmark: str
    commit: str
    ratio: float
    confirmed: bool

    def __str__(self) -> str:
        return f"{self.ratio:.3f} of before{'' if self.confirmed else ', unconfirmed'}"


def series(entries: Iterable[history.Entry]) -> list[Point]:
    """One benchmark's points in the order of commits. A tree with changes is a separate point."""

    def where(entry):
        return entry.when, entry.commit, entry.dirty

    points = groupby(sorted(entries, key=where), key=where)
    return [Point(commit, median(each.cost for each in runs), dirty) for (_, commit, dirty), runs in points]


def changes(benchmark: str, points: list[Point]) -> list[Change]:
    """Return the points at which the level of a series changed.

    Points of trees with changes are nobody's commit, and left out. So is a spike, one commit that is above
    both of its neighbours' levels or below both: it changed nothing that lasts.

    >>> points = [Point(c, 2.0 if c < "f" else 2.2, False) for c in "abcdefghij"]
    >>> [(each.commit, str(each)) for each in changes("it", points)]
    [('f', '1.100 of before')]
    >>> [(each.commit, str(each)) for each in changes("it", points[:6])]
    [('f', '1.100 of before, unconfirmed')]
    """
    points = [each for each in points if not each.dirty]
    while len(points) >= LEAST_COMMITS:
        logs = np.log([each.cost for each in points])
        ends = _ends(logs)
        starts = [0, *ends[:-1]]
        levels = [float(np.median(logs[start:end])) for start, end in zip(starts, ends, strict=True)]
        spikes = {
            starts[i]
            for i in range(1, len(levels) - 1)
            if ends[i] - starts[i] == 1 and (levels[i] - levels[i - 1]) * (levels[i] - levels[i + 1]) > 0
        }
        if not spikes:
            return [
                Change(
                    benchmark,
                    points[starts[i]].commit,
                    exp(step),
                    min(ends[i - 1] - starts[i - 1], ends[i] - starts[i]) > 1,
                )
                for i in range(1, len(levels))
                if abs(step := levels[i] - levels[i - 1]) >= log(1 + SMALLEST)
            ]
        points = [each for i, each in enumerate(points) if i not in spikes]
    return []


def _ends(logs: np.ndarray) -> list[int]:
    """The ends of the levels, by PELT. A level may be a single commit, or the newest one had no step."""
    # Steps are rare, so the median difference between neighbours measures only the noise.
    noise = max(LEAST_NOISE, float(np.median(np.abs(np.diff(logs)))) / (0.6745 * sqrt(2)))
    penalty = PENALTY * noise**2 * log(len(logs))
    return ruptures.Pelt(model="l2", min_size=1, jump=1).fit(logs).predict(pen=penalty)


def write(path: Path, entries: list[history.Entry], problems: list[str]) -> list[Change]:
    """Write the page. Return the changes in it."""

    def key(entry):
        return entry.machine, entry.unit, entry.limit is not None

    sections, everything = [], []
    for (machine, unit, limited), group in groupby(sorted(entries, key=key), key=key):
        figure, found = _chart(list(group), "multiples of the machine's limit" if limited else unit)
        what = "times" if unit == "s" else unit
        heading = f"{machine}: {what}{' over that of the limit' if limited else ''}"
        sections.append(page.Section(heading, figure=figure))
        everything += found
    top = page.Section("Changes", f"{len(everything)} of at least {SMALLEST:.0%}")
    if everything:
        rows = ([each.benchmark, each.commit[:10], str(each)] for each in everything)
        top = top._replace(table=[["benchmark", "since commit", "time"], *rows])
    if warnings := [*problems, *_warnings(entries)]:
        sections.append(page.Section("Warnings", table=[["to know"], *([each] for each in warnings)]))
    page.write(path, "Benchmarks over commits", [top, *sections])
    return everything


def _chart(entries: list[history.Entry], unit: str) -> tuple[go.Figure, list[Change]]:
    figure, everything = go.Figure(), []
    by_benchmark = groupby(sorted(entries, key=lambda each: each.benchmark), key=lambda each: each.benchmark)
    for benchmark, group in by_benchmark:
        points = series(group)
        found = changes(benchmark, points)
        marked = {each.commit: str(each) for each in found}
        notes = [marked.get(each.commit, "") if not each.dirty else "" for each in points]
        figure.add_scatter(
            x=[_label(each) for each in points],
            y=[each.cost for each in points],
            name=benchmark.rpartition("::")[2],
            mode="lines+markers+text",
            textposition="top center",
            marker={
                "symbol": ["circle-open" if each.dirty else "circle" for each in points],
                "size": [16 if note else 6 for note in notes],
            },
            text=notes,
        )
        everything += found
    in_order = sorted(entries, key=lambda each: (each.when, each.commit, each.dirty))
    order = dict.fromkeys(_label(each) for each in in_order)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=list(order), title="commit")
    figure.update_yaxes(type="log", title=unit)
    figure.update_layout(showlegend=True)
    return figure, everything


def _label(at: Point | history.Entry) -> str:
    return at.commit[:10] + ("*" if at.dirty else "")


def _warnings(entries: list[history.Entry]) -> list[str]:
    machines = sorted({each.machine for each in entries if each.unit == "s"})
    found = []
    if len(machines) > 1:
        found.append(f"Times of {len(machines)} machines, each in a chart of its own: {'; '.join(machines)}")
    if dirty := sorted({each.commit[:10] for each in entries if each.dirty}):
        found.append(f"Trees with changes that no commit has, hollow and with a star: {', '.join(dirty)}")
    if any(each.limit is None and each.unit == "s" for each in entries):
        found.append("Benchmarks without a limit of the machine are drawn in seconds.")
    return found
