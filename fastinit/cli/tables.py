"""Tables on standard output: aligned columns in a pipe, fitted to the window on a terminal."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence

from fastinit import _signals

from .terminal import printable

# What is left of a column with longer cells, which are broken into lines: a name is read best in one.
_LEAST = {"name": 40}
_LEAST_OF_OTHERS = 16
_NUMBER = re.compile(r"(?<![^\W_])\d+(?![^\W_])")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table.

    In a pipe, it has aligned columns, and all rows. On a terminal, it fits the window, if rich is installed,
    and rows that differ only in the numbers in their names are one row with a count.
    """
    table = [list(map(printable, row)) for row in rows]
    if sys.stdout.isatty() and _print_by_rich(list(columns), table):
        return
    table.insert(0, list(columns))
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def cells(text: str) -> int:
    """Return the number of a terminal's cells that a text takes: two for a CJK character.

    Examples
    --------
    >>> cells("fc.weight"), cells("层.weight")
    (9, 9)
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def folded(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return a table in which rows that differ only in the numbers in their names are one, with a count.

    Examples
    --------
    >>> folded(["name", "dtype"], [["h.0.w", "F32"], ["h.1.w", "F32"], ["b", "F32"]])
    (['', 'name', 'dtype'], [['2', 'h.{0..1}.w', 'F32'], ['', 'b', 'F32']])
    """
    if "name" not in columns:
        return list(columns), [list(row) for row in rows]
    at = list(columns).index("name")
    groups: dict[tuple[str, ...], list[list[int]]] = {}
    for row in rows:
        numbers = [int(number) for number in _NUMBER.findall(row[at])]
        pattern = _NUMBER.sub("\0", row[at])
        groups.setdefault((*row[:at], pattern, *row[at + 1 :]), []).append(numbers)
    table = []
    for key, group in groups.items():
        name = _name_of(key[at], group)
        table.append([str(len(group)) if group[1:] else "", *key[:at], name, *key[at + 1 :]])
    if not any(row[0] for row in table):
        return list(columns), [row[1:] for row in table]
    return ["", *columns], table


def alike(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of names that differ only in their numbers, by a name for all of them.

    Examples
    --------
    >>> alike(["h.0.w", "h.1.w", "b"])
    {'h.{0..1}.w': [0, 1], 'b': [2]}
    """
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(_NUMBER.sub("\0", name), []).append(place)
    numbers = (
        [[int(each) for each in _NUMBER.findall(names[place])] for place in group]
        for group in groups.values()
    )
    return {
        _name_of(pattern, found): places
        for (pattern, places), found in zip(groups.items(), numbers, strict=True)
    }


def _name_of(pattern: str, numbers: Sequence[Sequence[int]]) -> str:
    """Return a name for all names of a pattern, given the numbers of each in the pattern's places."""
    ranges = [_range(sorted(set(column))) for column in zip(*numbers, strict=True)]
    return "".join(part + each for part, each in zip(pattern.split("\0"), [*ranges, ""], strict=True))


def _range(numbers: Sequence[int]) -> str:
    """Return numbers as text, such as ``{0..11}`` or ``{0,2}``."""
    if not numbers[1:]:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{{{numbers[0]}..{numbers[-1]}}}"
    return f"{{{','.join(map(str, numbers))}}}"


def _print_by_rich(columns: list[str], rows: list[list[str]]) -> bool:
    try:
        with _signals.held():
            from rich.console import Console
            from rich.padding import Padding
            from rich.table import Table
            from rich.text import Text
    except ImportError:
        return False
    console = Console()
    columns, rows = folded(columns, rows)
    widths = [max(map(cells, column)) for column in zip(columns, *rows, strict=True)]
    shown = Table(box=None, header_style="bold", pad_edge=False)
    least = [
        min(width, _LEAST.get(column, _LEAST_OF_OTHERS))
        for column, width in zip(columns, widths, strict=True)
    ]
    spare = console.width - sum(least) - 2 * (len(least) - 1)
    if spare >= 0:
        for column, width, wanted in zip(columns, least, widths, strict=True):
            more = min(wanted - width, spare)
            spare -= more
            shown.add_column(column, overflow="fold", width=width + more)
        for row in rows:
            shown.add_row(*map(Text, row))
    else:  # each row is lines: up to its name, and below, the other cells with their columns' names
        shown.show_header = False
        shown.add_column(overflow="fold")
        at = columns.index("name") if "name" in columns else 0
        for row in rows:
            rest = [
                f"{key} {cell}" for key, cell in zip(columns[at + 1 :], row[at + 1 :], strict=True) if cell
            ]
            shown.add_row(Text(" ".join(filter(None, row[: at + 1])), style="bold"))
            shown.add_row(Padding(Text("  ".join(rest)), (0, 0, 0, 4)))
    console.print(shown)
    return True
