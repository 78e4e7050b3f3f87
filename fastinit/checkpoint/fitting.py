"""Laws: the distribution that a rule promises, and how well a tensor's values fit it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastinit import init
from fastinit._distributions import DISTRIBUTIONS, named

from .choices import Choice
from .sketches import REACH, Sketch
from .spec import TensorSpec

Float64s = npt.NDArray[np.float64]

#: The most cells of a test, and the least number of values that each is expected to have, twice over.
CELLS = 65
VALUES = 20

_NORMAL = NormalDist()


class Law(NamedTuple):
    """A distribution with its parameters, as `init.Plan` has them. Its text is a spec.

    Attributes
    ----------
    distribution : str
    parameters : tuple of float
    """

    distribution: str
    parameters: tuple[float, ...]

    def __str__(self) -> str:
        names = ("value",) if self.constant else named(self.distribution).parameters
        words = (f"{name}={value:.6g}" for name, value in zip(names, self.parameters, strict=True))
        return f"{self.distribution}({', '.join(words)})"

    @property
    def constant(self) -> bool:
        """Whether all values are one."""
        return self.distribution == "constant"

    @property
    def extent(self) -> tuple[float, float]:
        """Where nearly all values are."""
        if self.constant:
            return self.parameters * 2  # type: ignore[return-value]
        mean, std, _ = named(self.distribution).moments(*self.parameters)
        low, high = self._bounds
        return max(low, mean - REACH * std), min(high, mean + REACH * std)

    @property
    def _bounds(self) -> tuple[float, float]:
        if self.distribution == "normal":
            return -math.inf, math.inf
        low, high, *scale = self.parameters
        mean, std = scale or (0.0, 1.0)
        return mean + std * low, mean + std * high

    def cumulative(self, values: Float64s) -> Float64s:
        """Return the probability below each value."""
        low, high = self._bounds
        if self.distribution == "uniform":
            share: Float64s = (np.clip(values, low, high) - low) / (high - low)
            return share
        mean, std = self.parameters[-2:]
        left, right, mirrored = self._cut
        at = np.clip((values - mean) / std * (-1 if mirrored else 1), left, right)
        least, most = _phi(left), _phi(right)
        below = np.array([(_phi(each) - least) / (most - least) for each in at.tolist()])
        return 1.0 - below if mirrored else below

    def quantiles(self, shares: Float64s) -> Float64s:
        """Return the values below which a share of all lies, of shares between 0 and 1."""
        low, high = self._bounds
        if self.distribution == "uniform":
            return low + (high - low) * shares
        mean, std = self.parameters[-2:]
        left, right, mirrored = self._cut
        least, most = _phi(left), _phi(right)
        wanted = least + (1.0 - shares if mirrored else shares) * (most - least)
        places = np.array(
            [_NORMAL.inv_cdf(each) if 0.0 < each < 1.0 else math.nan for each in wanted.tolist()]
        )
        return mean + std * (-places if mirrored else places)

    @property
    def _cut(self) -> tuple[float, float, bool]:
        """The bounds in standard deviations, and whether they are mirrored: the left tail has all digits."""
        left, right = (
            self.parameters[:2] if self.distribution == "truncated_normal" else (-math.inf, math.inf)
        )
        return (-right, -left, True) if left + right > 0 else (left, right, False)


def _phi(value: float) -> float:
    return 0.5 * math.erfc(-value * math.sqrt(0.5))


def of(choice: Choice) -> Law | None:
    """Return the law of a tensor's values, or None if they are not draws of one.

    Steps, parts and joined tensors have none.
    """
    plan = choice.plan
    if plan.distribution == "constant" and choice.mean is not None and choice.std == 0.0:
        return Law("constant", (choice.mean,))
    if not isinstance(plan, init.Plan) or plan.distribution not in DISTRIBUTIONS:
        return None
    law = Law(plan.distribution, tuple(map(float, plan.parameters)))
    if not plan.std:
        return Law("constant", (plan.mean,)) if plan.mean is not None else None
    if law.distribution == "truncated_normal" and not _mass(law):
        return None
    return law


def _mass(law: Law) -> float:
    left, right, _ = law._cut
    return _phi(right) - _phi(left)


def p_value(law: Law, sketch: Sketch, spec: TensorSpec) -> float | None:
    """Return the p-value of Pearson's chi-square test, or None if there are too few values or cells.

    The cells have about the same probability each, which follows from the law alone. Their edges lie between
    two values of the dtype, so rounding to it is part of the law. Their number is odd: of an even number of
    degrees of freedom, the distribution has a closed form.
    """
    cells = min(CELLS, sketch.size // VALUES)
    found = _cells(law, spec.dtype, cells, sketch.celled) if cells >= 3 else None
    if found is None:
        return None
    edges, probabilities = found
    counts = np.diff(sketch.before(edges), prepend=0, append=sketch.size)
    expected = probabilities * sketch.size
    return chi_square(float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1)


@functools.lru_cache(1024)  # tensors of one kind share a law
def _cells(law: Law, dtype: str, count: int, celled: bool) -> tuple[Float64s, Float64s] | None:
    """Return the edges between the cells of a test, and the cells' probabilities."""
    stored = TensorSpec("x", dtype, ()).stored
    aimed = law.quantiles(np.arange(1, count) / count)
    empty = Sketch(np.array([]), np.array([0]), celled, exact=False)
    edges = empty.fitted(aimed[np.isfinite(aimed)], stored)
    kept, shares, last = list[float](), list[float](), 0.0
    for edge, share in zip(edges.tolist(), law.cumulative(edges).tolist(), strict=True):
        if min(share - last, 1.0 - share) >= 0.5 / count:
            kept.append(edge)
            shares.append(share)
            last = share
    if len(kept) % 2:  # then the number of cells is even
        kept.pop(), shares.pop()
    if len(kept) < 2:
        return None
    return np.array(kept), np.diff(shares, prepend=0.0, append=1.0)


def chi_square(statistic: float, freedom: int) -> float:
    """Return the probability of a larger chi-square, of an even number of degrees of freedom.

    It is that of fewer than ``freedom / 2`` events of a Poisson process in ``statistic / 2``.

    Examples
    --------
    >>> round(chi_square(18.307038, 10), 6)
    0.05
    """
    half = 0.5 * statistic
    if not half:
        return 1.0
    terms = (math.exp(k * math.log(half) - half - math.lgamma(k + 1)) for k in range(freedom // 2))
    return min(1.0, math.fsum(terms))


def corrected(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Holm 1979). None stays, and is not counted.

    If each tensor is right, the chance that any corrected value is below a number is at most that number.

    Examples
    --------
    >>> corrected([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    tested = sorted((value, place) for place, value in enumerate(values) if value is not None)
    result: list[float | None] = [None] * len(values)
    largest = 0.0
    for number, (value, place) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - number)))
        result[place] = largest
    return result
