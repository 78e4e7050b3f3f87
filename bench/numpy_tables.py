"""Tables of the methods of Generator, from the lines of bench_numpy.py."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import numpy as np

from fastinit.random import Generator, default_rng

from .methods import METHODS, OWN, Method
from .report import Line, figure

LINE = re.compile(r"Generator\.(.+), (1 Mi|64 Ki|40|one)")
DTYPES = "float16", "bfloat16", "float32", "float64"

#: The rows of the short table.
SHORT = (
    "random()",
    "uniform(-1, 1)",
    "standard_normal()",
    "standard_normal(dtype=float32)",
    "exponential(2)",
    "integers(1000)",
    "bytes(8 n)",
    "shuffle(n)",
    "choice(1000)",
    "choice(1000, p=p)",
    "gamma(2.5, 1)",
    "poisson(5)",
)

Figures = dict[str, dict[tuple[str, str], Line]]  # by label, then by size and instruction set


def figures(lines: list[Line]) -> Figures:
    """The lines of each call. The instruction set that the record is of has no name."""
    found: Figures = {}
    for line in lines:
        if match := LINE.fullmatch(line.what):
            label, size = match.groups()
            isa = line.against.partition(", ")[2]
            found.setdefault(label, {})["few" if size in ("40", "one") else "many", isa or size] = line
    return found


def short(lines: list[Line]) -> Iterator[list[str]]:
    """The calls that are used most."""
    found = figures(lines)
    yield ["`Generator`, NumPy's own bits", "ns a value", "1 Mi values", "40 values", "one value"]
    for label in (each for each in SHORT if each in found):
        large = found[label]["many", "1 Mi"]
        few = (_ratio(found[label].get(("few", size))) for size in ("40", "one"))
        yield [f"`{label}`", large.speed.removesuffix(" ns"), _ratio(large), *few]


def whole(lines: list[Line]) -> Iterator[list[str]]:
    """Every call: each size, and 1 Mi values by each other instruction set."""
    found = figures(lines)
    sizes = {"1 Mi", "64 Ki"}
    isas = list(dict.fromkeys(isa for by in found.values() for size, isa in by if size == "many"))
    isas = [isa for isa in isas if isa not in sizes]
    yield ["one thread", "ns a value", "1 Mi values", "40 values", "one value", *isas]
    for label, by in found.items():
        large = next((line for (size, isa), line in by.items() if size == "many" and isa in sizes), None)
        few = (_bounded(by.get(("few", size))) for size in ("40", "one"))
        others = (_bounded(by.get(("many", isa))) for isa in isas)
        speed = large.speed.removesuffix(" ns") if large else ""
        yield [f"`{label}`", speed, _bounded(large, tell=True), *few, *others]


def methods(lines: list[Line]) -> Iterator[list[str]]:
    """What a user must know of each method: bits, code, threads, `out=`, `dtype=`, and the speed."""
    found = figures(lines)
    yield ["method", "bits", "code", "threads", "`out=`", "`dtype=`", "1 Mi values"]
    for name, method in sorted({**METHODS, **OWN}.items()):
        threads = "yes" if method.threads else ""
        yield [
            f"`{name}`",
            method.bits,
            method.code,
            threads,
            out_of(name),
            dtypes_of(name),
            _speed(method, found),
        ]


def out_of(name: str) -> str:
    """Whether the method takes `out=`, and whether NumPy's does."""
    ours, numpys = (
        inspect.signature(getattr(each, name)).parameters if hasattr(each, name) else ()
        for each in (Generator, np.random.Generator)
    )
    return ("as in NumPy" if "out" in numpys else "yes") if "out" in ours else ""


def dtypes_of(name: str) -> str:
    """The dtypes that the method takes, by a call with each."""
    if "dtype" not in inspect.signature(getattr(Generator, name)).parameters:
        return ""
    if name == "integers":
        return "every integer, bool"
    arguments = {"standard_gamma": (2,), "truncated_normal": (-1, 1)}.get(name, ())

    def takes(dtype: str) -> bool:
        try:
            getattr(default_rng(7), name)(*arguments, size=1, dtype=dtype)
        except TypeError:
            return False
        return True

    taken = [dtype for dtype in DTYPES if takes(dtype)]
    return "float16 to float64" if taken == [*DTYPES] else ", ".join(taken)


def _speed(method: Method, found: Figures) -> str:
    """The first call's ratio."""
    for call in method.calls[:1]:
        for key in (("many", "1 Mi"), ("few", "40")):
            if line := found.get(call.label, {}).get(key):
                return _ratio(line) + (" (40)" if key[0] == "few" else "")
    return ""


def _ratio(line: Line | None) -> str:
    return figure(line.median, "x") if line else ""


def _bounded(line: Line | None, tell: bool = False) -> str:
    if line is None:
        return ""
    missed = f" (≥ {line.at_least:g}x, missed)" if line.kept is False else ""
    kept = f" (≥ {line.at_least:g}x)" if tell and not missed and line.at_least != 1 else ""
    return _ratio(line) + missed + kept


TABLES = {"numpys": short, "generator": whole, "methods": methods}
