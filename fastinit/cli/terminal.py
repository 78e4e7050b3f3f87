"""Texts and JSON on standard output, and progress on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastinit import _signals
from fastinit.checkpoint import sizes
from fastinit.checkpoint.pieces import Report

#: The form of the verbs' JSON, as docs/generate.md has it. A key that goes or changes is a new number.
SCHEMA = 1


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


def print_json(value: Mapping[str, Any]) -> None:
    """Print what a verb found as one JSON object, with the number of the form that these objects have."""
    print(as_json({"schema": SCHEMA, **value}))


_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", "_.:-=+*#"


def bars(levels: Iterable[int | None]) -> str:
    """Return levels from 0 to 7 as small bars, a blank for None; in ASCII if standard output has no others.

    Examples
    --------
    >>> bars([0, 3, 7, None, 1])
    '▁▄█ ▂'
    """
    marks = _BLOCKS
    try:
        marks.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        marks = _ASCII
    return "".join(" " if level is None else marks[level] for level in levels)


@contextmanager
def progress(*, quiet: bool, what: str | None = None) -> Iterator[Report | None]:
    """Context with a function, or None, that takes what is done and what is to do, and shows it on stderr.

    `what` is the unit's name, such as ``"networks"``; bytes if it is None.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(what) as report:
            yield report
    else:
        yield _lines(what)


@contextmanager
def _bar(what: str | None) -> Iterator[Report]:
    try:
        with _signals.held():
            from rich import progress as rich
            from rich.console import Console
    except ImportError:
        yield _lines(what)
        return
    amount = [rich.DownloadColumn(), rich.TransferSpeedColumn()]
    if what is not None:
        amount = [rich.MofNCompleteColumn(), rich.TextColumn(what)]
    columns = (rich.BarColumn(), rich.TaskProgressColumn(), *amount, rich.TimeRemainingColumn())
    # A thread that draws the bar may be one more than a container allows.
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task, drawn = bar.add_task("", total=None), 0.0

        def report(done: int, total: int) -> None:
            nonlocal drawn
            now = time.monotonic()
            due = now - drawn >= 0.1
            drawn = now if due else drawn
            bar.update(task, completed=done, total=total, refresh=due)

        yield report


def _lines(what: str | None = None) -> Report:
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
            amount = f"{done / factor:.1f} of {total / factor:.1f} {name}, {sizes.shown(speed)}/s"
            if what is not None:
                amount = f"{done} of {total} {what}"
            print(f"{amount}, {(total - done) / speed:.0f} s left", file=sys.stderr)

    return report
