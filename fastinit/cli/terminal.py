"""Tables on standard output, and progress on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastinit import _signals
from fastinit.checkpoint import sizes
from fastinit.checkpoint.pieces import Report


def printable(text: str) -> str:
    """Return a text with control characters escaped. A name in a file may have some.

    Examples
    --------
    >>> print(printable("fc\\n\\x1b[2J"))
    fc\\n\\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def as_json(value: Any) -> str:
    """Return valid JSON. Numbers that JSON lacks, such as NaN, become strings.

    Examples
    --------
    >>> as_json({"std": float("nan"), "shape": (2, 3)})
    '{"std": "nan", "shape": [2, 3]}'
    """

    def plain(value: Any) -> Any:
        match value:
            case float() if not math.isfinite(value):
                return repr(value)
            case dict():
                return {key: plain(each) for key, each in value.items()}
            case list() | tuple():
                return [plain(each) for each in value]
        return value

    return json.dumps(plain(value), default=str, allow_nan=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, with rich if the output is a wide enough terminal, else in aligned columns."""
    table = [list(map(printable, row)) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    if not (sys.stdout.isatty() and _print_by_rich(table, sum(widths) + 2 * len(widths))):
        for row in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_by_rich(table: Sequence[Sequence[str]], width: int) -> bool:
    try:
        with _signals.held():
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
    except ImportError:
        return False
    console = Console()
    if width > console.width:  # rich would truncate every column
        return False
    columns, *rows = table
    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    return True


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report | None]:
    """Context with a function, or None, that `generate` calls to show progress on standard error."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Report]:
    try:
        with _signals.held():
            from rich import progress as rich
            from rich.console import Console
    except ImportError:
        yield _lines()
        return
    columns = (
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines() -> Report:
    """Return a function that prints a line at each tenth of the work, at most one a second."""
    began = told = time.monotonic()
    tenths = 0

    def report(done: int, total: int) -> None:
        nonlocal told, tenths
        now = time.monotonic()
        if 10 * done // total > tenths and now - told >= 1:
            tenths, told = 10 * done // total, now
            speed = done / (now - began)
            factor, name = sizes.unit(total)
            print(
                f"{done / factor:.1f} of {total / factor:.1f} {name}, {sizes.shown(speed)}/s,"
                f" {(total - done) / speed:.0f} s left",
                file=sys.stderr,
            )

    return report
