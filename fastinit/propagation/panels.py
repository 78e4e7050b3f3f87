"""What the charts of a page and of a picture show of a `Trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .activations import Array
from .nets import RESOLVED
from .report import Report, Trace

#: Colours of lines that read well on white and on black.
COLOURS = ("#e4572e", "#3b82c4", "#2f9e77", "#c0872d", "#8e6bbf", "#c9498f", "#4aa3c7", "#7a8f3c")


class Panel(NamedTuple):
    """A chart: a quantity over the places of a network."""

    heading: str
    quantity: str
    log: bool


#: The order of a page. A picture has those of `SHORT`.
PANELS = (
    Panel("Signal: std of a layer's values", "std", True),
    Panel("Gradient: std at a layer's values", "gradient", True),
    Panel("Jacobian: singular values, root mean square", "singular", True),
    Panel("Difference between inputs: std of a unit", "spread", True),
    Panel("Mean of a layer's values", "mean", False),
    Panel("Saturated: share of values with a flat slope", "saturated", False),
    Panel("Dead: share of units that are flat for all inputs", "dead", False),
)
SHORT = tuple(panel for panel in PANELS if panel.quantity in ("std", "gradient", "singular"))


class Line(NamedTuple):
    """A line with its band and, if theory has one, its prediction."""

    label: str
    x: Array
    low: Array
    middle: Array
    high: Array
    predicted: Array | None


def line(trace: Trace, panel: Panel) -> Line | None:
    """Return what a panel shows of a trace, or None if that was not measured."""
    if panel.quantity == "singular":
        return _singular(trace)
    if panel.quantity not in trace.measured:
        return None
    low, middle, high = trace.band(panel.quantity)
    if not (panel.log or (np.abs(middle) > 0.01).any()):  # a share or a mean that nobody would notice
        return None
    theory = trace.predicted.get(panel.quantity)
    if panel.log:
        low, middle, high = map(_positive, (low, middle, high))
        theory = None if theory is None else _positive(theory)
    return Line(trace.init, np.arange(len(trace.places)), low, middle, high, theory)


def _singular(trace: Trace) -> Line | None:
    """Return the singular values' root mean square, in a band from their 10th percentile to the largest.

    What float32 cannot tell from 0 is at its limit.
    """
    if trace.singular is None or not trace.singular.size or "stretch" not in trace.measured:
        return None
    at = list(trace.depths)
    _, low, _, _, largest = trace.stretches()
    middle = trace.band("stretch").median[at]
    theory = trace.predicted.get("stretch")
    low = np.maximum(low, RESOLVED * largest)
    predicted = None if theory is None else _positive(theory[at])
    return Line(trace.init, np.array(at), _positive(low), _positive(middle), _positive(largest), predicted)


def groups(report: Report) -> Iterator[tuple[str, list[Trace]]]:
    """Yield each activation with its traces."""
    for activation in dict.fromkeys(trace.activation for trace in report.traces):
        yield activation, [trace for trace in report.traces if trace.activation == activation]


def labels(traces: Iterable[Trace]) -> list[str]:
    """Return the initialisers' names, each once: each has one colour in all charts."""
    return list(dict.fromkeys(trace.init for trace in traces))


def width_of(number: int, count: int) -> float:
    """Return a line's width: the first are wider, so that lines that lie on each other are all seen."""
    return 1.6 + 1.6 * (count - 1 - number)


def summary(report: Report) -> str:
    """Return the settings as a sentence."""
    settings = report.settings
    parts = []
    if widths := settings.get("widths"):
        same = len(set(widths)) == 1
        units = str(widths[0]) if same else f"{min(widths)} to {max(widths)}"
        short = len(widths) < 8 and not same
        parts.append("-".join(map(str, widths)) if short else f"{len(widths) - 1} layers of {units} units")
    if "layers" in settings:
        parts.append("a chain without the rest of the model")
    if settings.get("norm", "none") != "none":
        parts.append(f"{settings['norm']} norm")
    if settings.get("residual"):
        parts.append("residual")
    for key, what in (("batch", "input"), ("seeds", "seed")):
        if key in settings:
            parts.append(f"{settings[key]} {what}{'s' * (settings[key] > 1)}")
    return ", ".join(parts)


def _positive(values: Array) -> Array:
    """Return values for a logarithmic axis: NaN for what has no place there."""
    return np.where((values > 0.0) & np.isfinite(values), values, np.nan)
