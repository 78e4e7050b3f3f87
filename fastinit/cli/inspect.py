"""``fastinit inspect``: statistics of a checkpoint's tensors, and what differs between two checkpoints."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastinit.checkpoint import BadInput, Comparison, Histogram, Statistics, compare, inspect, reports

from .tables import print_table
from .terminal import bars, print_json, printable, progress

_EPILOG = """examples:
  fastinit inspect model.safetensors                  # a table
  fastinit inspect checkpoint/ -o report.html         # a page with charts, for a browser
  fastinit inspect checkpoint/ --init gpt2            # others' weights against a preset's distributions
  fastinit inspect step0/ step1000/                   # two checkpoints: std ratio, KS statistic, equal bits
"""

_COLUMNS = (
    *("", "name", "dtype", "shape", "values", "p", "mean", "std", "expected"),
    *("min", "max", "zeros", "nan", "inf"),
)
_DRAWN = ("values", "p")
_COMPARED = ("name", "dtype", "shape", "equal", "std", "std ratio", "KS", "note")
# A step of a sparkline is so many bins of a histogram.
_STEP = 2


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "inspect",
        help="show statistics of a checkpoint's tensors, or compare two checkpoints",
        description="Show each tensor's histogram, moments, extremes, zeros, NaNs and infinities, and how"
        " well it fits the distribution that the rules in the metadata give. A tensor is marked with ! if it"
        " has NaNs or infinities, or if it is further from what the rules give than sampling explains. The"
        " exit status is 1 if a tensor has NaNs or infinities that no rule gives. Given two checkpoints, show"
        " what differs; the exit status is 0.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", help="a .safetensors file, an index of shards, or a folder with either")
    add("other", nargs="?", metavar="OTHER", help="a second checkpoint, to be compared with the first")
    add(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tensors whose names match; repeatable",
    )
    add("--init", metavar="PRESET_OR_TOML", help="the rules; the metadata's if left out")
    add("-o", "--output", metavar="FILE", help="write a page with charts (.html)")
    add(
        "--no-histograms",
        dest="histograms",
        action="store_false",
        help="only moments, extremes and counts, in half the time",
    )
    add("--exit-code", action="store_true", help="of two checkpoints: the exit status is 1 if they differ")
    add("--threads", type=int, metavar="N", help="the number of threads; one for each CPU if left out")
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="print nothing; the exit status says it")


def run(args: argparse.Namespace) -> int:
    """Print the statistics, or the comparison."""
    if args.output is not None:
        reports.check_target(args.output, [".html"])  # refuses before the work
        reports.drawing(f"{__package__}.inspect_page", "plotly")
    return _inspect(args) if args.other is None else _compare(args)


def _inspect(args: argparse.Namespace) -> int:
    if args.exit_code:
        raise BadInput("--exit-code is for two checkpoints")
    drawn = args.output is not None or (args.histograms and not args.quiet)
    with progress(quiet=args.json or args.quiet) as report:
        found = inspect(
            args.file,
            only=args.only,
            init=args.init,
            histograms=drawn,
            threads=args.threads,
            progress=report,
        )
    parameters = sum(math.prod(each.shape) for each in found)
    marked = sum(each.marked for each in found)
    summary = f"{len(found)} tensors, {parameters:,} parameters, {marked} marked"
    rows = [row(each) for each in found] if args.output is not None or not (args.json or args.quiet) else []
    if args.output is not None:
        _write(args, "statistics", found, rows, summary)
    if args.json:
        tensors = [each.as_dict() for each in found]
        print_json({"parameters": parameters, "marked": marked, "tensors": tensors})
    elif not args.quiet:
        kept = [at for at, name in enumerate(_COLUMNS) if name not in _DRAWN or drawn]
        print_table([_COLUMNS[at] for at in kept], [[each[at] for at in kept] for each in rows])
        print(f"\n{summary} !")
        if any(each.p_corrected is not None for each in found):
            print("p: chance of a worse fit to the rule's distribution, corrected for the number of tensors.")
        _say_written(args)
    return 1 if any(each.invalid for each in found) else 0


def _compare(args: argparse.Namespace) -> int:
    if args.init is not None:
        raise BadInput("--init is for one checkpoint")
    with progress(quiet=args.json or args.quiet) as report:
        found = compare(
            args.file,
            args.other,
            only=args.only,
            histograms=args.output is not None or (args.json and args.histograms),
            threads=args.threads,
            progress=report,
        )
    same = sum(each.same for each in found)
    summary = f"{len(found)} tensors: {same} with equal bits, {len(found) - same} that differ"
    rows = [compared(each) for each in found]
    if args.output is not None:
        _write(args, "comparisons", found, rows, summary)
    if args.json:
        print_json({"same": same == len(found), "tensors": [each.as_dict() for each in found]})
    elif not args.quiet:
        print_table(_COMPARED, rows)
        print(f"\n{summary}")
        _say_written(args)
    return 1 if args.exit_code and same < len(found) else 0


def _write(
    args: argparse.Namespace, kind: str, found: Sequence[Any], rows: Sequence[Sequence[str]], summary: str
) -> None:
    """Write the page."""
    page = reports.drawing(f"{__package__}.inspect_page", "plotly")
    columns = _COLUMNS if kind == "statistics" else _COMPARED
    text = getattr(page, kind)(args.file, args.other, found, [columns, *rows], summary)
    try:
        Path(args.output).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInput(f"{args.output}: cannot be written: {error.strerror}") from None


def _say_written(args: argparse.Namespace) -> None:
    if args.output is not None:
        print(printable(f"written: {args.output}"))


def row(each: Statistics) -> Sequence[str]:
    """Return a tensor's cells of a table."""
    numbers = (each.mean, each.std, each.expected_std, each.min, each.max)
    return [
        "!" if each.marked else "",
        each.name,
        each.dtype,
        str(list(each.shape)),
        "" if each.histogram is None else sparkline(each.histogram),
        fit(each),
        *("" if number is None else f"{number:.6g}" for number in numbers),
        f"{each.zeros:.3%}",
        str(each.nan),
        str(each.inf),
    ]


def fit(each: Statistics) -> str:
    """Return the corrected p-value, or why there is none although a rule has made the tensor."""
    if each.p_corrected is not None:
        return f"{each.p_corrected:.2g}"
    return "no law" if each.histogram and each.law is None and each.expected_std is not None else ""


def compared(each: Comparison) -> Sequence[str]:
    """Return two tensors' cells of a table."""
    one, other = each.specs
    spec = one or other
    assert spec is not None
    note = ""
    if one is None or other is None:
        note = f"only in the {'second' if one is None else 'first'}"
    elif one != other:
        changes = ((one.dtype, other.dtype), (list(one.shape), list(other.shape)))
        note = ", ".join(f"{before} -> {after}" for before, after in changes if before != after)
    ks = "" if each.ks is None else f"{each.ks:.4f}"
    if each.ks_slack >= 5e-5:
        ks += f" to {min(1.0, (each.ks or 0.0) + each.ks_slack):.4f}"
    return [
        each.name,
        spec.dtype,
        str(list(spec.shape)),
        "" if each.equal is None else _share(each.equal),
        "" if each.stds[1] is None else f"{each.stds[1]:.6g}",
        "" if each.std_ratio is None else f"{each.std_ratio:.6g}",
        ks,
        note,
    ]


def _share(share: float) -> str:
    """Return a share in percent; what is not all is never 100%, and what is not nothing never 0%."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 1e-5), 1 - 1e-5):.3%}"


def sparkline(histogram: Histogram) -> str:
    """Return a histogram as small bars: densities, full for the largest, and blank where nothing is."""
    edges, counts = np.asarray(histogram.edges), np.asarray(histogram.counts)
    starts = np.arange(0, len(counts), _STEP)
    held = np.add.reduceat(counts, starts)
    densities = held / np.add.reduceat(np.diff(edges), starts)
    levels = np.floor(8 * densities / (densities.max() or 1.0)).clip(max=7).astype(int).tolist()
    return bars(level if count else None for level, count in zip(levels, held.tolist(), strict=True))
