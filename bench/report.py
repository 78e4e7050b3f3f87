"""The lines of the results, and their table."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import fastinit

#: The bounds are for these instruction sets.
HEADLINE_ISAS = ("avx512ifma", "avx512bf16")

#: The peers' packages, by their names in tables.
PACKAGES = {
    "NumPy": "numpy",
    "torch": "torch",
    "oneMKL": "mkl",
    "randomgen": "randomgen",
    "mkl_random": "mkl_random",
    "JAX": "jax",
    "numba": "numba",
}


class Line(NamedTuple):
    """One figure: the median of a measure, with its quartiles and its bound."""

    what: str
    speed: str
    against: str
    median: float | None  # None if the peer is missing or can't fill a given array
    quartiles: tuple[float, float] | None  # of `median`, or else of `fresh`
    fresh: float | None  # the median if each call fills an array of its own
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        for word, limit in (("≥", self.at_least), ("≤", self.at_most)):
            if limit is not None:
                return f"{word} {limit:g}{self.unit}"
        return ""

    @property
    def kept(self) -> bool | None:
        """Whether the bound holds, or None if there is no bound or no measurement."""
        if self.median is None or not self.bound:
            return None
        return self.median >= self.at_least if self.at_most is None else self.median <= self.at_most

    @property
    def cells(self) -> tuple[str, str, str]:
        """The median, the quartiles and the figure of fresh arrays as text."""
        median, fresh = ("" if x is None else f"{x:.3g}{self.unit}" for x in (self.median, self.fresh))
        quartiles = "{:.3g} to {:.3g}".format(*self.quartiles) if self.quartiles else ""
        return median or ("" if fresh else "missing"), quartiles, fresh


def line(what, speed, against, samples, fresh=(), *, unit="x", at_least=None, at_most=None) -> Line:
    """Return the line of a figure's samples; a missing peer has none."""
    quartiles = _quantiles(samples if len(samples) else fresh, 0.25, 0.75) or None
    median, fresh = (next(iter(_quantiles(each, 0.5)), None) for each in (samples, fresh))
    return Line(what, speed, against, median, quartiles, fresh, unit, at_least, at_most)


def _quantiles(samples, *which: float) -> tuple[float, ...]:
    return tuple(map(float, np.quantile(samples, which))) if len(samples) else ()


def figure(value: float | None, unit: str) -> str:
    """A figure with three digits at most."""
    return "missing" if value is None else f"{value:.3g}{unit}" if value < 10 else f"{value:.0f}{unit}"


def machine() -> dict[str, object]:
    """The machine, and the versions of all that is measured."""
    config = fastinit.show_config(mode="dicts")
    return {
        "CPU": _cpu(),
        "CPUs": os.cpu_count(),
        "kernel": platform.release(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "load": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "ISA": config["isa"],
        "threads": "one, unless said",
        "fastinit": config["version"],
        "compiler": config["compiler"],
        "Python": config["python"],
        "commit": _commit(),
        **{name: _version(package) for name, package in PACKAGES.items()},
    }


def print_table(lines: list[Line], console: Console) -> None:
    """A row for each line; a bound that isn't kept is red."""
    title = "one thread unless said; Gv/s: 10^9 values a second; (in brackets): into a fresh array"
    table = Table("", "fastinit", "against", box=box.SIMPLE_HEAD, title=title)
    for heading in ("", "quartiles", "fresh", "bound"):
        table.add_column(heading, justify="right")
    for what, group in groupby(lines, key=lambda each: each.what):
        first = what
        for each in group:
            median, quartiles, fresh = each.cells
            row = each.against, median, quartiles, fresh and f"({fresh})", each.bound
            style = {None: "", True: "green", False: "red"}[each.kept]
            table.add_row(first, each.speed if first else "", *row, style=style)
            first = ""
        table.add_section()
    console.print(table)


def print_machine(about: dict[str, object], console: Console) -> None:
    """The machine, and whether the bounds are meant for it."""
    console.print("\n".join(f"{name:<9} {value}" for name, value in about.items()), highlight=False)
    if about["ISA"] not in HEADLINE_ISAS:
        console.print(f"The bounds are for {HEADLINE_ISAS[0]}, not for {about['ISA']}.")


def print_isas(speeds: dict[str, dict[str, float]], console: Console) -> None:
    """Gvalues/s: a row for each workload, a column for each instruction set."""
    columns = list(dict.fromkeys(isa for row in speeds.values() for isa in row))
    title = "each instruction set of this machine, one thread"
    table = Table("Gvalues/s", *columns, box=box.SIMPLE_HEAD, title=title)
    for work, row in speeds.items():
        table.add_row(work, *(f"{row[isa]:.3g}" for isa in columns))
    console.print(table)


def _cpu() -> str:
    for text in (_read("/proc/cpuinfo") or "").splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
