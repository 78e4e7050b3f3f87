"""Whether a signal vanishes, stays or explodes, from its size at each layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .activations import Array

VANISHES, STABLE, EXPLODES, UNKNOWN = "vanishes", "stable", "explodes", "unknown"

#: A signal is stable if its factor a layer, to the power of the number of layers, is less than this, and more
#: than its inverse.
LIMIT = 10.0

# Differences between inputs below this share of the values are the rounding of float32.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Verdict:
    """What happens to a signal on its way through the layers.

    Attributes
    ----------
    direction : {"forward", "backward"}
    word : {"vanishes", "stable", "explodes", "unknown"}
    factor : float
        What a layer multiplies the signal by: the geometric mean of all steps from the first layer's output
        to the last's, and the median of the seeds.
    low, high : float
        The tenth and the ninetieth percentile of the seeds.
    of : str
        What is judged: ``"rms"``, the root mean square of the values (``"std"``, if their mean isn't known),
        ``"spread"``, the differences between inputs, or ``"gradient"``.
    predicted : float or None
        The same of theory.
    expected : str or None
        The word that theory has.
    """

    direction: str
    word: str
    factor: float
    low: float
    high: float
    of: str
    predicted: float | None = None
    expected: str | None = None

    @property
    def text(self) -> str:
        """A sentence about it.

        Examples
        --------
        >>> print(Verdict("backward", "vanishes", 0.25, 0.2, 0.3, "gradient", 0.25, "vanishes").text)
        backward: vanishes, x0.25 a layer (theory: x0.25, vanishes)
        """
        what = " of what differs between inputs, which become alike" if self.of == "spread" else ""
        theory = "" if self.predicted is None else f" (theory: x{self.predicted:.3g}, {self.expected})"
        return f"{self.direction}: {self.word}, x{self.factor:.3g} a layer{what}{theory}"


def judged(factor: float, layers: int) -> str:
    """Return the word for a factor a layer.

    Examples
    --------
    >>> judged(0.9, 5), judged(0.9, 50), judged(1.1, 50)
    ('stable', 'vanishes', 'explodes')
    """
    if math.isnan(factor):
        return UNKNOWN
    total = layers * (math.log(factor) if factor > 0.0 else -math.inf)
    if abs(total) < math.log(LIMIT):
        return STABLE
    return EXPLODES if total > 0 else VANISHES


def forward(measured: Mapping[str, Array], predicted: Mapping[str, Array]) -> Verdict:
    """Return the verdict on the signal.

    It is that of the root mean square of a layer's values. If this is stable, but all inputs come to give the
    same values, it is that of the spread, the std of a unit's values between inputs: what the output still
    says of the input.

    Parameters
    ----------
    measured : mapping of str to ndarray
        std, and mean and spread if known, of shape (seeds, places).
    predicted : mapping of str to ndarray
        The same of theory, of shape (places,). It may be empty.
    """
    factors = _signals(measured)
    of, word = _judged_forward(factors, measured["std"].shape[1] - 1)
    theory = _signals({name: values[None] for name, values in predicted.items()})
    if of not in theory:
        return Verdict("forward", word, *_middle(factors[of]), of)
    _, expected = _judged_forward(theory, measured["std"].shape[1] - 1)
    return Verdict("forward", word, *_middle(factors[of]), of, float(theory[of][0]), expected)


def backward(
    measured: Mapping[str, Array], predicted: Mapping[str, Array], widths: Sequence[int] = ()
) -> Verdict:
    """Return the verdict on the gradient.

    It is that of its length, the std times the root of the width: a gradient that spreads over more units is
    smaller in each, but not lost.

    Parameters
    ----------
    measured, predicted : mapping of str to ndarray
        As of `forward`, with gradient.
    widths : sequence of int, optional
        The units of each place; all the same by default.
    """
    lengths = np.sqrt(np.array(widths)) if len(widths) else 1.0
    gradient = measured["gradient"] * lengths
    layers = gradient.shape[1] - 1
    factors = np.array([_backward(row) for row in gradient])
    found = "backward", judged(_median(factors), layers), *_middle(factors), "gradient"
    if "gradient" not in predicted:
        return Verdict(*found)
    theory = _backward(predicted["gradient"] * lengths)
    return Verdict(*found, theory, judged(theory, layers))


def _signals(values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the factors of each seed, by the signal."""
    if "std" not in values:
        return {}
    size = np.hypot(values["mean"], values["std"]) if "mean" in values else values["std"]
    found = {"rms" if "mean" in values else "std": np.array([_factor(row[_first(row) :]) for row in size])}
    if "spread" in values:
        kept = np.where(values["spread"] > _ROUNDING * size, values["spread"], np.nan)
        found["spread"] = np.array([_factor(row[_first(row) :]) for row in kept])
    return found


def _judged_forward(factors: Mapping[str, Array], layers: int) -> tuple[str, str]:
    """Return the signal that decides, and its word."""
    of, *more = factors
    word = judged(_median(factors[of]), layers)
    if word == STABLE and more:
        alike = judged(_median(factors["spread"] / factors[of]), layers)
        if alike == VANISHES:
            return "spread", VANISHES
    return of, word


def _backward(gradient: Array) -> float:
    """Return the factor from the last place that has a gradient to the first layer's output."""
    return _factor(gradient[np.isfinite(gradient)][_first(gradient) :][::-1])


def _first(sizes: Array) -> int:
    """Return the place at which a factor begins: the first layer's output, unless there is no other."""
    return min(1, len(sizes) - 2)


def _factor(sizes: Array) -> float:
    """Return the geometric mean of the steps, in order.

    What is past the first size that is not a positive number doesn't count. A step to 0 or to infinity alone
    is a factor of 0 or infinity.
    """
    good = np.isfinite(sizes) & (sizes > 0.0)
    count = len(sizes) if good.all() else int(np.argmin(good))
    if count < 2:
        ends = sizes[count : count + 1]
        return float(ends[0]) if ends.size and not np.isnan(ends[0]) else math.nan
    return math.exp((math.log(sizes[count - 1]) - math.log(sizes[0])) / (count - 1))


def _median(factors: Array) -> float:
    known = factors[~np.isnan(factors)]
    return float(np.median(known)) if known.size else math.nan


def _middle(factors: Array) -> tuple[float, float, float]:
    """Return the median, and the tenth and ninetieth percentiles."""
    known = factors[~np.isnan(factors)]
    if not known.size:
        return math.nan, math.nan, math.nan
    method: Any = "linear" if np.isfinite(known).all() else "nearest"  # nothing is between infinities
    low, high = np.quantile(known, [0.1, 0.9], method=method)
    return _median(factors), float(low), float(high)
