"""Misreadings of the pages, each as a change of the second implementation.

Rows of tests/vectors.json must notice each: ``python -m tools.second.misreadings`` lists which row does.

The files in the folder misreadings have a paragraph for each: what is misread; in brackets, the table of
vectors.json or the distribution and dtypes whose rows are enough; the text that is there, after "- "; and the
text in its place, after "+ ". Their first line names the file that is changed.
"""

import json
import re
from ctypes import c_uint32, c_uint64
from typing import NamedTuple

from .native import Native
from .rows import HERE, VECTORS, Second, differences


class Misreading(NamedTuple):
    """One change: the file's text `old` becomes `new`. Rows of `where` notice it."""

    what: str
    where: str
    file: str
    old: str
    new: str


def read(path):
    """Yield the misreadings in a file."""
    first, *paragraphs = path.read_text().rstrip("\n").split("\n\n")
    file = re.match(r"# Misreadings in (\S+);", first)[1]
    for paragraph in paragraphs:
        head, *lines = paragraph.split("\n")
        what, where = re.fullmatch(r"(.*) \[(.*)\]", head).groups()
        old, new = ("\n".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
        yield Misreading(what, where, file, old, new)


MISREADINGS = [each for path in sorted((HERE / "misreadings").glob("*.txt")) for each in read(path)]

#: The arrays of coefficients: their sizes, the numbers of those whose last digits rounding hides in almost
#: every value, and where each array is used.
COEFFICIENTS = {
    "normal_l32": (8, range(1), "normal f32"),
    "normal_s32": (4, range(0), "normal f32"),
    "normal_c32": (4, range(0), "normal f32"),
    "normal_l64": (7, range(5), "normal f64"),
    "normal_s64": (7, range(3), "normal f64"),
    "normal_c64": (8, range(4), "normal f64"),
    "truncated_c32": (10, range(0), "truncated_normal f32"),
    "truncated_t32": (8, range(0), "truncated_normal f32"),
    "truncated_c64": (22, range(8), "truncated_normal f64"),
    "truncated_g": (6, range(0), "truncated_normal f64"),
    "truncated_e": (7, range(0), "truncated_normal f64"),
    "truncated_b": (7, range(6, 7), "truncated_normal f64"),
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


def unnoticed_digits(name, vectors):
    """The numbers of a table's coefficients that may differ in their last digit unseen.

    Those that rounding hides differ in the last 6 bits (float32) or 26 bits (float64).
    """
    native = Native()
    size, hidden, where = COEFFICIENTS[name]
    array = ((c_uint32 if name.endswith("32") else c_uint64) * size).in_dll(native.library, name)
    unnoticed = []
    for at in range(size):
        was = array[at]
        array[at] += 1 if at not in hidden else 1 << (6 if name.endswith("32") else 26)
        if noticed(Second(native=native), where, vectors) is None:
            unnoticed.append(at)
        array[at] = was
    return unnoticed


def main():
    vectors = json.loads(VECTORS.read_text())
    missed = 0
    for misreading in MISREADINGS:
        found = noticed(changed(misreading), misreading.where, vectors)
        missed += found is None
        print(f"{misreading.what}: {found or 'NOT NOTICED'}", flush=True)
    print(f"{len(MISREADINGS)} misreadings, {missed} not noticed")
    for name in COEFFICIENTS:
        print(f"{name}: last digits that are not noticed: {unnoticed_digits(name, vectors)}", flush=True)


if __name__ == "__main__":
    main()
