"""Misreadings of the pages, each as a change of the second implementation.

Rows of tests/vectors.json must notice each: ``python -m tools.second.misreadings`` lists which row does. `where` is a
table of that file, or a distribution and dtypes, whose rows are enough.
"""

import json
from ctypes import c_uint32, c_uint64
from typing import NamedTuple

from . import misread_python, misread_stream, misread_truncated
from .native import SOURCES, Native
from .rows import HERE, VECTORS, Second, differences


class Misreading(NamedTuple):
    """One change: the file's text `old` becomes `new`."""

    what: str
    file: str
    old: str
    new: str
    where: str


MISREADINGS = [
    Misreading(*each) for each in (*misread_stream.LIST, *misread_truncated.LIST, *misread_python.LIST)
]

#: The arrays of coefficients, and where each is used.
COEFFICIENTS = {
    "normal_l32": (8, "normal f32"),
    "normal_s32": (4, "normal f32"),
    "normal_c32": (4, "normal f32"),
    "normal_l64": (7, "normal f64"),
    "normal_s64": (7, "normal f64"),
    "normal_c64": (8, "normal f64"),
    "truncated_c32": (10, "truncated_normal f32"),
    "truncated_t32": (8, "truncated_normal f32"),
    "truncated_c64": (22, "truncated_normal f64"),
    "truncated_g": (6, "truncated_normal f64"),
    "truncated_e": (7, "truncated_normal f64"),
    "truncated_b": (8, "truncated_normal f64"),
}


def changed(misreading):
    """The second implementation with a misreading."""
    text = (HERE / misreading.file).read_text()
    if text.count(misreading.old) != 1:
        raise ValueError(f"{misreading.what}: {misreading.file} has {text.count(misreading.old)} such places")
    return Second({misreading.file: text.replace(misreading.old, misreading.new)}, native=RIGHT())


class _Right:
    """The library without misreadings, made once."""

    def __init__(self):
        self.native = None

    def __call__(self):
        self.native = self.native or Native()
        return self.native


RIGHT = _Right()


def wanted(where):
    """The function that says whether rows of a table belong to `where`."""
    names = set(where.split())

    def row_is(table, row):
        if table in names:
            return True
        kind = {row.get("distribution"), row.get("dtype")}
        return table in ("fills", "starts", "extremes") and kind <= names

    return row_is


def noticed(second, where, vectors):
    """Return the first row that notices a misreading, or None."""
    return next(differences(second, vectors, wanted(where)), None)


def last_digit(native, name, at, up):
    """Change the last digit of one coefficient of a library."""
    kind, step = (c_uint32, 1) if name.endswith("32") else (c_uint64, 1)
    array = (kind * (at + 1)).in_dll(native.library, name)
    array[at] += step if up else -step


def main():
    vectors = json.loads(VECTORS.read_text())
    missed = 0
    for misreading in MISREADINGS:
        found = noticed(changed(misreading), misreading.where, vectors)
        missed += found is None
        print(f"{misreading.what}: {found or 'NOT NOTICED'}", flush=True)
    print(f"{len(MISREADINGS)} misreadings, {missed} not noticed")


if __name__ == "__main__":
    main()
