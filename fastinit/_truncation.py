"""Standard deviations of truncated normals, with the same bits on every machine.

exp and erf of float64 differ between C libraries. Those of `decimal` are rounded correctly.
"""

from __future__ import annotations

import functools
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN, Emin=-(10**9), Emax=10**9, traps=[])


@functools.lru_cache(1024)
def cut_std(low: float, high: float) -> float:
    """Return the standard deviation of the standard normal between two bounds, correctly rounded.

    Examples
    --------
    >>> cut_std(-2.0, 2.0), cut_std(-3.0, 3.0)
    (0.8796256610342398, 0.9865783925581086)
    """
    with localcontext(_CONTEXT):
        return float(_variance(Decimal(low), Decimal(high), Decimal(1))[0].sqrt())


@functools.lru_cache(1024)
def std_before(std: float, mean: float, a: float, b: float) -> float:
    """Return the standard deviation of the normal around `mean` that has `std` once it is cut at `a` and `b`.

    Raises
    ------
    ValueError
        There is none: `std` is not below that of the uniform distribution.

    Examples
    --------
    >>> std_before(0.02, 0.0, -0.04, 0.04)
    0.027558042482369628
    """
    with localcontext(_CONTEXT):
        low, high = Decimal(a) - Decimal(mean), Decimal(b) - Decimal(mean)
        if not Decimal(std) ** 2 * 12 < (high - low) ** 2:
            raise ValueError(f"std={std} is too large to be kept between a={a} and b={b}")
        # Newton's method for 1 / variance, which is nearly linear in the precision 1 / std^2.
        wanted = precision = 1 / Decimal(std) ** 2
        for _ in range(100):
            variance, fall = _variance(low, high, precision)
            step = (wanted - 1 / variance) * variance**2 / fall
            precision = max(precision + step, precision / 8)
            if abs(step) < precision * Decimal("1e-20"):
                break
        return float(1 / precision.sqrt())


def _variance(low: Decimal, high: Decimal, precision: Decimal) -> tuple[Decimal, Decimal]:
    """Return the variance of a centred normal between bounds, and minus its derivative by the precision."""
    mode = min(max(Decimal(0), low), high)
    pull = precision * abs(mode)
    reach = 100 / (pull + (pull**2 + 100 * precision).sqrt())  # the density falls by e^50
    left, right = max(low - mode, -reach), min(high - mode, reach)
    middle, half = (left + right) / 2, (right - left) / 2
    points = [middle + half * place for place, _ in _nodes()]
    falls = (precision * x * (x / 2 + mode) for x in points)
    weights = [weight * (-fall).exp() for (_, weight), fall in zip(_nodes(), falls, strict=True)]
    total = sum(weights)

    def mean(values: list[Decimal]) -> Decimal:
        return sum((weight * value for weight, value in zip(weights, values, strict=True)), Decimal()) / total

    centre = mean(points)
    squares = [(x - centre) ** 2 for x in points]
    energies = [(x + mode) ** 2 / 2 for x in points]
    variance, energy = mean(squares), mean(energies)
    return variance, mean([s * (e - energy) for s, e in zip(squares, energies, strict=True)])


@functools.cache
def _nodes() -> list[tuple[Decimal, Decimal]]:
    """Return places in (-1, 1) and weights of the double exponential rule (Takahasi and Mori, 1974)."""
    nodes = []
    for number in range(-106, 107):
        grown = (Decimal(number) / 28).exp()
        twice = (Decimal("1.5708") * (grown - 1 / grown)).exp()
        nodes.append(((twice - 1) / (twice + 1), (grown + 1 / grown) * twice / (twice + 1) ** 2))
    return nodes
