"""``fastinit inspect``: statistics of a checkpoint's tensors."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from fastinit.checkpoint import Statistics, inspect

from .tables import print_table
from .terminal import print_json, progress

_COLUMNS = ("", "name", "dtype", "shape", "mean", "std", "expected", "min", "max", "zeros", "nan", "inf")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "inspect",
        help="show statistics of a checkpoint's tensors",
        description="Show mean, std, extremes, zeros, NaNs and infinities of each tensor. A tensor is marked"
        " with ! if it has NaNs or infinities, or if its mean or std is further from what the rules in the"
        " metadata give than sampling explains. The exit status is 1 if a tensor has NaNs or infinities that"
        " no rule gives.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .safetensors file, an index of shards, or a folder with either")
    add(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tensors whose names match; repeatable",
    )
    add("--threads", type=int, metavar="N", help="the number of threads; one for each CPU if left out")
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="print nothing; the exit status says it")


def run(args: argparse.Namespace) -> int:
    """Print the statistics."""
    with progress(quiet=args.json or args.quiet) as report:
        statistics = inspect(args.file, only=args.only, threads=args.threads, progress=report)
    parameters = sum(math.prod(each.shape) for each in statistics)
    marked = sum(each.marked for each in statistics)
    if args.json:
        tensors = [each._asdict() for each in statistics]
        print_json({"parameters": parameters, "marked": marked, "tensors": tensors})
    elif not args.quiet:
        print_table(_COLUMNS, [_row(each) for each in statistics])
        print(f"\n{len(statistics)} tensors, {parameters:,} parameters, {marked} marked !")
    return 1 if any(each.invalid for each in statistics) else 0


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
