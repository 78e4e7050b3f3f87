"""``fastinit inspect``: statistics of a checkpoint's tensors."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from fastinit.checkpoint import Statistics, inspect

from .terminal import as_json, print_table, progress

_COLUMNS = ("", "name", "dtype", "shape", "mean", "std", "expected", "min", "max", "zeros", "nan", "inf")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "inspect",
        help="show statistics of a checkpoint's tensors",
        description="Show mean, std, extremes, zeros, NaNs and infinities of each tensor. A tensor is marked"
        " with ! if it has NaNs or infinities, or if its mean or std is further from what the rules in the"
        " metadata give than sampling explains.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .safetensors file, an index of shards, or a folder with either")
    add("--threads", type=int, metavar="N", help="the number of threads; one for each CPU if left out")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the statistics."""
    with progress(quiet=args.json) as report:
        statistics = inspect(args.file, threads=args.threads, progress=report)
    if args.json:
        print(as_json([each._asdict() for each in statistics]))
        return 0
    print_table(_COLUMNS, [_row(each) for each in statistics])
    parameters = sum(math.prod(each.shape) for each in statistics)
    marked = sum(each.marked for each in statistics)
    print(f"\n{len(statistics)} tensors, {parameters:,} parameters, {marked} marked !")
    return 0


def _row(each: Statistics) -> Sequence[str]:
    numbers = (each.mean, each.std, each.expected_std, each.min, each.max)
    return [
        "!" if each.marked else "",
        each.name,
        each.dtype,
        str(list(each.shape)),
        *("" if number is None else f"{number:.6g}" for number in numbers),
        f"{each.zeros:.3%}",
        str(each.nan),
        str(each.inf),
    ]
