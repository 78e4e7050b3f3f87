"""What the commands show: tables on standard output, progress on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Progress = Callable[[int, int], object]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: by rich on a terminal that has it, else in aligned columns that a program can read."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            table = Table(*columns, box=None, header_style="bold", pad_edge=False)
            for row in rows:
                table.add_row(*map(Text, row))
            Console().print(table)
            return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress | None]:
    """What to tell `generate` so that progress is seen on standard error."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Progress]:
    try:
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


def _lines() -> Progress:
    """A line for each second or more that a tenth of the work took."""
    began = told = time.monotonic()
    tenths = 0

    def report(done: int, total: int) -> None:
        nonlocal told, tenths
        now = time.monotonic()
        if 10 * done // total > tenths and now - told >= 1:
            tenths, told = 10 * done // total, now
            speed = done / (now - began)
            print(
                f"{done / 1e9:.1f} of {total / 1e9:.1f} GB, {speed / 1e9:.2f} GB/s,"
                f" {(total - done) / speed:.0f} s left",
                file=sys.stderr,
            )

    return report
