"""``fastinit propagate``: whether an initialisation keeps signals and gradients through the layers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastinit.checkpoint import BadInput
from fastinit.checkpoint.configs import is_model

from . import terminal
from .tables import folded, print_table
from .terminal import print_json, printable, progress

_EPILOG = """examples:
  fastinit propagate --depth 50 --activation relu --init xavier_normal,kaiming_normal
  fastinit propagate --widths 784,256,10 --activation tanh --init recommended
  fastinit propagate --activation 'leaky_relu(negative_slope=0.1)' --init 'kaiming_normal(a=0.1)'
  fastinit propagate -o report.html                   # a page with charts; .png, .svg and .json, too
  fastinit propagate model.json --activation relu     # the layers of a model, by its own initialisers
"""

_BARS = 8
_COLUMNS = ("activation", "init", "forward", "theory", "backward", "theory", "dead", "flat")


def add_parser(verbs: Any) -> None:
    """Add the verb's arguments."""
    parser = verbs.add_parser(
        "propagate",
        help="see whether an initialisation keeps signals and gradients",
        description="Run random networks forward and backward, and say of each activation and initialiser"
        " whether signals and gradients vanish, stay stable or explode, and what theory says.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        metavar="MANIFEST",
        help="take the layers of a list of tensors or a recording, as generate takes them, by their own"
        " initialisers unless --init says others: the longest chain of matrices whose fans match",
    )
    add("--depth", type=int, metavar="N", help="the number of layers; 50 if left out")
    add("--width", type=int, metavar="N", help="the units of each layer; 512 if left out")
    add("--widths", metavar="N,N,...", help="the input's width and each layer's instead, such as 784,256,10")
    add(
        "--activation",
        metavar="NAMES",
        help="relu, leaky_relu, selu, tanh, sigmoid, linear, with commas; the first five if left out",
    )
    add(
        "--init",
        metavar="SPECS",
        help="initialisers as in rules, several with commas, each with its own default gain; recommended is"
        " each activation's; xavier_normal,kaiming_normal,lecun_normal if left out",
    )
    add("--batch", type=int, default=256, metavar="N", help="the number of inputs; 256 if left out")
    add(
        "--seeds", type=int, default=8, metavar="N", help="the number of networks of each kind; 8 if left out"
    )
    add("--seed", type=int, default=0, metavar="N", help="the seed of all; 0 if left out")
    add("--residual", action="store_true", help="add each square layer's input to its output")
    add("--norm", default="none", metavar="KIND", help="normalise before activations: none, layer or batch")
    add(
        "--directions",
        type=int,
        default=128,
        metavar="N",
        help="the inputs by which the Jacobian is taken; 128 if left out, 0 for none",
    )
    add("-o", "--output", metavar="FILE", help="write a page (.html), a picture (.png, .svg) or .json")
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="print only warnings and errors")


def run(args: argparse.Namespace) -> int:
    """Run the networks; print a table, write the report."""
    from fastinit import propagation  # its threads and fractions take 20 ms to import
    from fastinit.propagation import report as reports

    if args.output is not None:
        reports.writer(args.output)  # refuses before the work
    if args.model is not None and is_model(args.model):
        raise BadInput(f"{args.model}: first record it: fastinit generate {args.model} --record FILE.json")
    given = {key: getattr(args, key) for key in ("activation", "init") if getattr(args, key) is not None}
    with progress(quiet=args.quiet, what="networks") as report:
        found = propagation.propagate(
            **given,
            **_layers(args),
            **{
                key: getattr(args, key)
                for key in ("batch", "seeds", "seed", "residual", "norm", "directions")
            },
            progress=report,
        )
    if args.output is not None:
        found.save(args.output)
    if args.json:
        print_json(found.as_dict())
    elif not args.quiet:
        _show(found, args.output)
    return 0


def _layers(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that say which layers there are."""
    ways = {"a list of tensors": args.model, "--widths": args.widths, "--depth": args.depth or args.width}
    if len(chosen := [way for way, value in ways.items() if value is not None]) > 1:
        raise BadInput(f"{chosen[0]} and {chosen[1]} both say the layers: give one")
    if args.widths is not None:
        try:
            return {"widths": [int(width) for width in args.widths.split(",")]}
        except ValueError:
            raise BadInput(f"--widths: numbers with commas are wanted, not {args.widths!r}") from None
    given = {"model": args.model, "depth": args.depth, "width": args.width}
    return {key: value for key, value in given.items() if value is not None}


def _show(found: Any, output: str | None) -> None:
    """Print the table and what it means."""
    from fastinit.propagation import panels

    print_table(_COLUMNS, [_row(trace) for trace in found.traces])
    print(f"\n{panels.summary(found)}. Bars: first layer to last, a step for half a decade.")
    print("x: the factor a layer; what is more than tenfold over all layers vanishes or explodes.")
    print(
        "dead, flat: shares of units that no input moves, and of values with a flat slope, in the worst one."
    )
    if any(trace.forward.of == "spread" for trace in found.traces):
        print("~: of what differs between inputs: the values stay, but all inputs come to give the same.")
    if layers := found.settings.get("layers"):
        _, names = folded(["name"], [[layer] for layer in layers])
        print(printable(f"layers: {', '.join(name for *_, name in names)}"))
    for advice in dict.fromkeys(trace.advice for trace in found.traces if trace.advice):
        print(f"better: {printable(advice)}")
    if output is not None:
        print(printable(f"written: {output}"))


def _row(trace: Any) -> Sequence[str]:
    signal = "spread" if trace.forward.of == "spread" else "std"
    verdicts = []
    for verdict, quantity in ((trace.forward, signal), (trace.backward, "gradient")):
        mark = "~" if verdict.of == "spread" else "x"
        verdicts.append(
            f"{bars(trace.band(quantity).median[1:])} {verdict.word} {mark}{_number(verdict.factor)}"
        )
        verdicts.append("" if verdict.predicted is None else f"x{_number(verdict.predicted)}")
    shares = []
    for name in ("dead", "saturated"):
        share = trace.band(name).median[1:] if name in trace.measured else np.array([math.nan])
        shares.append("" if np.isnan(share).all() else f"{np.nanmax(share):.0%}")
    return [trace.activation, trace.init, *verdicts, *shares]


def _number(factor: float) -> str:
    return "?" if math.isnan(factor) else f"{factor:.3g}"


def bars(sizes: Sequence[float], count: int = _BARS) -> str:
    """Return sizes as small bars, by their logarithms: full for the largest, a step for each half decade.

    Examples
    --------
    >>> bars([1.0, 0.1, 0.01, 0.001])
    '█▆▄▂'
    """
    values = np.asarray(sizes, dtype=np.float64)
    values = values[np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)]
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(values)
    finite = decades[np.isfinite(decades)]
    top = finite.max() if finite.size else 0.0
    steps = np.clip(7 + 2 * (decades - top), 0, 7)
    return terminal.bars(None if math.isnan(step) else round(step) for step in steps)
