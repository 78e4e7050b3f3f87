"""The distributions: their parameters, moments and errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastinit import _dispatch
from fastinit._dtypes import Dtype
from fastinit._truncation import cut_std

Parameters = tuple[float, ...]


class Distribution(NamedTuple):
    """One distribution.

    Attributes
    ----------
    parameters : tuple of str
        Their names, in the order of src_c/distributions.def.
    moments : callable
        (parameters) -> (mean, standard deviation, kurtosis, which is 3 for a normal).
    centred : callable
        (scale, fan, cut=2) -> the parameters that give mean 0 and variance ``scale / fan``, a truncated
        normal being cut at `cut` standard deviations.
    reach : callable
        (parameters, mean) -> the numbers that the working precision must hold.
    values : callable
        (parameters) -> values that are likely, which the dtype must hold.
    refusal : callable
        (dtype, parameters) -> the error, for parameters that the C core refuses.
    """

    parameters: tuple[str, ...]
    moments: Callable[..., tuple[float, float, float]]
    centred: Callable[..., Parameters]
    reach: Callable[..., Parameters]
    values: Callable[..., Parameters]
    refusal: Callable[..., Exception] = lambda _, *parameters: ValueError(f"{parameters} are out of range")


# Standard deviation of the standard normal cut at -2 and 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)). JAX and
# Keras have the same digits.
_CUT_STD = 0.87962566103423978


@np.errstate(all="ignore")  # whatever the caller's
def _truncated_moments(low: float, high: float, mean: float, std: float) -> tuple[float, float, float]:
    """Integrate by the midpoint rule, to about six digits for any bounds."""
    mode = min(max(0.0, low), high)
    extent = min(12.0, 40.0 / max(abs(mode), 1e-9))  # the density is negligible beyond
    left, right = max(low, mode - extent) - mode, min(high, mode + extent) - mode
    points = left + (right - left) * (np.arange(4096) + 0.5) / 4096
    weights = np.exp(-points * (points / 2.0 + mode))
    weights /= weights.sum()
    centre = float(weights @ points)
    squares = (points - centre) ** 2
    variance = float(weights @ squares)
    kurtosis = float(weights @ squares**2) / (variance**2 or 1.0)
    return mean + std * (mode + centre), std * math.sqrt(variance), kurtosis


def _no_value_between(dtype: Dtype, low: float, high: float, mean: float, std: float) -> Exception:
    if math.isnan(low) or math.isnan(high):
        return ValueError("low and high must not be NaN")
    return ValueError("low > high" if low > high else f"no value lies between low={low} and high={high}")


def _too_wide(dtype: Dtype, low: float, high: float) -> Exception:
    if math.isfinite(high - low):
        where = f"the valid bounds of {dtype.name}, which ends at {dtype.max:g}"
        return OverflowError(f"low={low} or high={high} is outside {where}")
    return OverflowError("high - low range exceeds valid bounds")


def _bounds(scale: float, fan: float, cut: float = 2.0) -> Parameters:
    bound = math.sqrt(3.0 * scale / fan)
    return -bound, bound


def _cut(scale: float, fan: float, cut: float = 2.0) -> Parameters:
    kept = _CUT_STD if cut == 2.0 else cut_std(-cut, cut)
    return -cut, cut, 0.0, math.sqrt(scale / fan) / kept


DISTRIBUTIONS = {
    "uniform": Distribution(
        ("low", "high"),
        moments=lambda low, high: (low / 2.0 + high / 2.0, (high - low) / math.sqrt(12.0), 1.8),
        centred=_bounds,
        reach=lambda low, high, mean: (low, high, high - low),
        values=lambda low, high: (low, high),
        refusal=_too_wide,
    ),
    "normal": Distribution(
        ("mean", "std"),
        moments=lambda mean, std: (mean, std, 3.0),
        centred=lambda scale, fan, cut=2.0: (0.0, math.sqrt(scale / fan)),
        reach=lambda mean, std, _: (mean, std),
        values=lambda mean, std: (mean - std, mean + std),
    ),
    "truncated_normal": Distribution(
        ("low", "high", "mean", "std"),  # the bounds are in standard deviations from the mean
        moments=_truncated_moments,
        centred=_cut,
        # The bounds are not values of the dtype, so they may be of any size.
        reach=lambda low, high, mean, std, expected: (mean, std, expected),
        values=lambda low, high, mean, std: tuple(
            mean + std * min(max(bound, -1.0), 1.0) for bound in (low, high)
        ),
        refusal=_no_value_between,
    ),
}
if {name: len(each.parameters) for name, each in DISTRIBUTIONS.items()} != _dispatch.PARAMETERS:
    raise ImportError(
        f"the C core has distributions with so many parameters: {_dispatch.PARAMETERS}; "
        f"fastinit._distributions has { ({name: each.parameters for name, each in DISTRIBUTIONS.items()}) }"
    )


def named(name: str) -> Distribution:
    """Return a distribution by name. The ValueError for an unknown name lists the known ones."""
    if name not in DISTRIBUTIONS:
        raise ValueError(f"unknown distribution {name!r}; known are {', '.join(DISTRIBUTIONS)}")
    return DISTRIBUTIONS[name]
