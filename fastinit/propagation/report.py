"""`Report`: what was measured of networks, what theory says, and the verdicts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastinit.checkpoint import BadInput, reports

from . import verdicts
from .activations import Array
from .verdicts import Verdict


class Band(NamedTuple):
    """The tenth percentile, the median and the ninetieth percentile over seeds, at each place."""

    low: Array
    median: Array
    high: Array


@dataclass(frozen=True)
class Trace:
    """A network: what was measured of it at each place, over seeds.

    Attributes
    ----------
    activation : str
        Its activation, by which charts are grouped.
    init : str
        Its initialiser, or what else tells it from the others of its group.
    places : tuple of str
        The names of the input and of each layer's output.
    measured : mapping of str to ndarray
        Each of shape (seeds, places), NaN where nothing is known: std and gradient, which must be there;
        mean; spread, the std of a unit between inputs (root mean square over units); dead, the share of
        units whose slope is flat for every input; saturated, the share of flat values; and stretch, the root
        mean square of the norms of the Jacobian's columns.
    predicted : mapping of str to ndarray
        What theory says of these, each of shape (places,). It may be empty.
    depths : tuple of int
        The places whose Jacobian was decomposed.
    singular : ndarray, optional
        The Jacobian's singular values, sorted down, of shape (seeds, depths, directions).
    advice : str
        What would mend it, if a verdict is bad.
    widths : tuple of int
        The units of each place. If it is empty, they are all the same.
    """

    activation: str
    init: str
    places: tuple[str, ...]
    measured: Mapping[str, Array]
    predicted: Mapping[str, Array] = field(default_factory=dict)
    depths: tuple[int, ...] = ()
    singular: Array | None = None
    advice: str = ""
    widths: tuple[int, ...] = ()

    @cached_property
    def forward(self) -> Verdict:
        """The verdict on the signal."""
        return verdicts.forward(self.measured, self.predicted)

    @cached_property
    def backward(self) -> Verdict:
        """The verdict on the gradient."""
        return verdicts.backward(self.measured, self.predicted, self.widths)

    @property
    def verdicts(self) -> tuple[Verdict, Verdict]:
        """Both verdicts."""
        return self.forward, self.backward

    def band(self, quantity: str) -> Band:
        """Return the band of a quantity of `measured`. It is NaN where no seed has a number."""
        return Band(*quantiles(self.measured[quantity], (0.1, 0.5, 0.9)))

    def stretches(self) -> Array:
        """Return the quantiles 0, 0.1, 0.5, 0.9 and 1 of the singular values at `depths`, (5, depths)."""
        if self.singular is None:
            return np.empty((5, 0))
        return quantiles(
            np.moveaxis(self.singular, 1, -1).reshape(-1, len(self.depths)), (0, 0.1, 0.5, 0.9, 1)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all but the single seeds' values, for JSON. What is not finite is None."""
        measured = {
            name: {key: _plain(values) for key, values in self.band(name)._asdict().items()}
            for name in self.measured
        }
        return {
            "activation": self.activation,
            "init": self.init,
            "forward": _finite(asdict(self.forward)),
            "backward": _finite(asdict(self.backward)),
            "advice": self.advice,
            "places": list(self.places),
            "measured": measured,
            "predicted": {name: _plain(values) for name, values in self.predicted.items()},
            "depths": list(self.depths),
            "singular": [_plain(values) for values in self.stretches()],
        }


@dataclass(frozen=True)
class Report:
    """What `propagate` found.

    Attributes
    ----------
    traces : tuple of Trace
        One for each activation and initialiser.
    settings : dict
        What was asked for.

    Examples
    --------
    >>> import fastinit
    >>> report = fastinit.propagate("relu", "xavier_normal,kaiming_normal", depth=20, width=64, seeds=2)
    >>> for trace in report.traces:
    ...     print(trace.init, trace.forward.word, trace.backward.word)
    xavier_normal vanishes vanishes
    kaiming_normal stable stable
    """

    traces: tuple[Trace, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of all traces, forward and backward in turn."""
        return tuple(verdict for trace in self.traces for verdict in trace.verdicts)

    @property
    def tables(self) -> Sequence[tuple[str, Sequence[Sequence[str]]]]:
        """The tables at the end of a page: the heading and the rows of each, the titles first."""
        return ()

    def __str__(self) -> str:
        lines = []
        for trace in self.traces:
            lines += [f"{trace.activation}, {trace.init}", *(f"  {each.text}" for each in trace.verdicts)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {"settings": dict(self.settings), "traces": [trace.as_dict() for trace in self.traces]}

    def to_json(self) -> str:
        """Return the report as JSON. Numbers that are not finite are null."""
        return json.dumps(self.as_dict(), default=str, allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a page (.html), a picture (.png, .svg) or the numbers (.json).

        Raises
        ------
        BadInput
            The path has another suffix, cannot be written, or needs a library that is missing.
        """
        write = writer(path)
        try:
            write(self, Path(path))
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def _json(report: Report, path: Path) -> None:
    path.write_text(report.to_json() + "\n", encoding="utf-8")


def _by(module: str, library: str) -> Callable[[Report, Path], None]:
    """Return the function ``write`` of a module of this package, which needs a library."""
    return reports.drawing(f"{__package__}.{module}", library).write  # type: ignore[no-any-return]


_WRITERS: dict[str, Callable[[], Callable[[Report, Path], None]]] = {
    ".html": lambda: _by("page", "plotly"),
    ".png": lambda: _by("picture", "matplotlib"),
    ".svg": lambda: _by("picture", "matplotlib"),
    ".json": lambda: _json,
}


def writer(path: str | os.PathLike[str]) -> Callable[[Report, Path], None]:
    """Return the function that writes a report to such a path.

    Raises
    ------
    BadInput
        The suffix is unknown, the folder cannot be written to, or a library is missing.
    """
    reports.check_target(path, _WRITERS)
    return _WRITERS[Path(path).suffix]()


def quantiles(values: Array, at: Sequence[float]) -> Array:
    """Return quantiles over the first axis, of what is finite. NaN if nothing is."""
    found = np.full((len(at), *values.shape[1:]), np.nan)
    for place in np.ndindex(values.shape[1:]):
        column = values[(slice(None), *place)]
        column = column[np.isfinite(column)]
        if column.size:
            found[(slice(None), *place)] = np.quantile(column, at)
    return found


def _plain(values: Array) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def _finite(verdict: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in verdict.items()
    }
