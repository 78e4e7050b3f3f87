"""The initialisers of independent values. Each function checks its own arguments and returns a scheme.

Formulas use only + - * / and sqrt of float64, which round alike everywhere. `register` makes the public
functions; `Initializer.__call__` documents the parameters that they share.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastinit._dispatch import default_fp
from fastinit._distributions import named
from fastinit._dtypes import Dtype
from fastinit._truncation import cut_std, std_before

from .checks import finite, known, not_negative, one_or_more
from .fans import fans_of, finite_square, resolve_axes, squared_gain
from .initializer import Scheme
from .plans import Plan, Sampled, Shape
from .registry import register

if TYPE_CHECKING:
    from fastinit._typing import FanMode, Mode, Nonlinearity

__all__: list[str] = []

Axes = dict[str, Any]

_MODES: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: math.sqrt(fan_in * fan_out),
}


def scaled(scale: float, mode: Mode, distribution: str, groups: int, cut: float = 2.0) -> Scheme:
    """Return the scheme with mean 0 and variance ``scale / fan``."""
    known("mode", mode, _MODES)
    centred = named(distribution).centred
    not_negative("scale", scale)
    one_or_more("groups", groups)

    def plan(shape: Shape, dtype: Dtype, axes: Axes) -> Plan:
        # A fan is 0 only if there are no elements, and then any will do. As in torch, one axis will do, too.
        fans = None if shape == (0,) else fans_of(shape, resolve_axes(shape, **axes), groups)
        fan = (_MODES[mode](*fans) if fans else 0) or 1
        return Sampled(shape, dtype, distribution, centred(scale, fan, cut), fans=fans)

    return plan


def sampled(distribution: str, *parameters: float) -> Scheme:
    """Return the scheme with one distribution for every shape."""
    return lambda shape, dtype, axes: Sampled(shape, dtype, distribution, parameters)


#: Registers an initialiser whose scale depends on fans.
scaling = functools.partial(register, axes=True, keywords=("cut", "groups"))


@scaling()
def variance_scaling(
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: str = "truncated_normal",
    *,
    cut: float = 2.0,
    groups: int = 1,
) -> Scheme:
    """Draw with mean 0 and variance ``scale / n``, n being a fan of the shape.

    Parameters
    ----------
    shape : int or sequence of int
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        Which fan n is. The averages are the arithmetic and the geometric mean of both fans.
    distribution : str
        Any, such as ``"normal"``.
    cut : float
        The truncated normal is cut at so many of its standard deviations. These are made larger, by
        1 / 0.8796... for 2 as in JAX and Keras, so that the variance after the cut is ``scale / n``.
    groups : int
        Groups of a convolution, as `compute_fans` takes them. With 1 group, fans are torch's.
    **options
        See `Initializer.__call__`.

    Examples
    --------
    >>> w = variance_scaling((256, 784), 2.0, "fan_out", "normal", rng=0)
    >>> bool(abs(w.std() / (2 / 256) ** 0.5 - 1) < 0.01)
    True
    """
    if not cut > 0.0:
        raise ValueError(f"cut must be above 0, not {cut}")
    if cut != 2.0 and distribution != "truncated_normal":
        raise ValueError(f"cut is an argument of the truncated normal, not of distribution={distribution}")
    return scaled(scale, mode, distribution, groups, cut)


@scaling(alias="glorot_uniform")
def xavier_uniform(*, gain: float = 1.0, groups: int = 1) -> Scheme:
    """Draw uniformly from ``[-b, b)``, ``b = gain * sqrt(6 / (fan_in + fan_out))``; for tanh and sigmoid.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> w = xavier_uniform((256, 784), rng=0)
    >>> bool(abs(w).max() < (6 / (784 + 256)) ** 0.5)
    True
    """
    return scaled(finite_square("gain", gain), "fan_avg", "uniform", groups)


@scaling(alias="glorot_normal")
def xavier_normal(*, gain: float = 1.0, groups: int = 1) -> Scheme:
    """Draw normals with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``; see `xavier_uniform`.

    JAX's and Keras's glorot_normal is ``variance_scaling(shape, 1.0, "fan_avg", "truncated_normal")``.
    """
    return scaled(finite_square("gain", gain), "fan_avg", "normal", groups)


def _kaiming(a: float, mode: FanMode, nonlinearity: Nonlinearity, distribution: str, groups: int) -> Scheme:
    known("mode", mode, ("fan_in", "fan_out"))
    finite_square("a, the negative slope,", a)
    return scaled(squared_gain(nonlinearity, a), mode, distribution, groups)


@scaling(alias="he_uniform")
def kaiming_uniform(
    *, a: float = 0.0, mode: FanMode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu", groups: int = 1
) -> Scheme:
    """Draw uniformly from ``[-b, b)``, ``b = gain * sqrt(3 / fan)``; for ReLU and its kin.

    Parameters
    ----------
    shape : int or sequence of int
    a : float
        Negative slope of leaky_relu. Other nonlinearities ignore it.
    mode : {"fan_in", "fan_out"}
        ``"fan_in"`` keeps the variance of activations, ``"fan_out"`` that of gradients.
    nonlinearity : str
        A name that `calculate_gain` takes. It sets the gain.
    groups : int
        As of `variance_scaling`.
    **options
        See `Initializer.__call__`.

    Notes
    -----
    torch.nn.Linear and the convolutions use ``a=sqrt(5)`` for their weights.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> kaiming_uniform((64, 3, 7, 7), a=5 ** 0.5, rng=0).std().round(3)
    np.float32(0.048)
    """
    return _kaiming(a, mode, nonlinearity, "uniform", groups)


@scaling(alias="he_normal")
def kaiming_normal(
    *, a: float = 0.0, mode: FanMode = "fan_in", nonlinearity: Nonlinearity = "leaky_relu", groups: int = 1
) -> Scheme:
    """Draw normals with standard deviation ``gain / sqrt(fan)``; parameters as of `kaiming_uniform`.

    JAX's and Keras's he_normal is ``variance_scaling(shape, 2.0, "fan_in", "truncated_normal")``.

    Examples
    --------
    >>> kaiming_normal((3, 3, 64, 128), layout="io", mode="fan_out", rng=0).std().round(3)
    np.float32(0.042)
    """
    return _kaiming(a, mode, nonlinearity, "normal", groups)


@scaling()
def lecun_uniform(*, groups: int = 1) -> Scheme:
    """Draw uniformly from ``[-b, b)``, ``b = sqrt(3 / fan_in)``; with SELU.

    References
    ----------
    LeCun et al., "Efficient BackProp", 1998; Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return scaled(1.0, "fan_in", "uniform", groups)


@scaling()
def lecun_normal(*, groups: int = 1) -> Scheme:
    """Draw normals with standard deviation ``sqrt(1 / fan_in)``; see `lecun_uniform`.

    JAX's and Keras's lecun_normal is ``variance_scaling(shape, 1.0, "fan_in", "truncated_normal")``.
    """
    return scaled(1.0, "fan_in", "normal", groups)


@register(names={"low": "a", "high": "b"}, note=" The values are in ``[a, b)``.")
def uniform(*, low: float = 0.0, high: float = 1.0) -> Scheme:
    """Draw uniformly from ``[low, high)``."""
    finite("low", low)
    finite("high", high)
    if not low <= high:
        raise ValueError(f"low={low} is above high={high}")
    return sampled("uniform", low, high)


@register()
def normal(*, mean: float = 0.0, std: float = 1.0) -> Scheme:
    """Draw normals.

    Examples
    --------
    >>> full = normal((1000, 1000), std=0.02, rng=7)
    >>> part = normal((1000, 1000), std=0.02, rng=7, block=(slice(500, 600), slice(None, None, -3)))
    >>> bool((part == full[500:600, ::-3]).all())
    True
    """
    finite("mean", mean)
    not_negative("std", std)
    return sampled("normal", mean, std)


def standard_bounds(mean: float, std: float, a: float, b: float, keep_std: bool = False) -> dict[str, float]:
    """Return bounds in standard deviations from the mean. Rounded back, none is outside [a, b]."""
    finite("mean", mean)
    finite("std", std)
    with default_fp():
        if not std > 0.0:
            raise ValueError(f"std must be above 0, not {std}")
        if not a <= b:
            raise ValueError(f"a={a} is above b={b}")
        if keep_std:
            std = std_before(*map(float, (std, mean, a, b)))
        if (a - mean) / std == math.inf or (b - mean) / std == -math.inf:
            raise ValueError(
                f"std={std} is too small for a={a}, b={b} around mean={mean}: no draw gets there"
            )
        mean, std = _nearer(mean, std, a, b)
        low, high = (a - mean) / std, (b - mean) / std
        while -math.inf < low and mean + std * low < a:
            low = float(np.nextafter(low, math.inf))
        while high < math.inf and mean + std * high > b:
            high = float(np.nextafter(high, -math.inf))
    return {"mean": mean, "std": std, "low": low, "high": max(low, high)}


# From so many standard deviations on, a tail is exponential to 2^-19.
_FAR = 512.0


def _nearer(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Return a mean and std of the same tail. ``mean + std * t`` would lose the digits of one that is far."""
    bound = min(max(mean, a), b)
    distance = abs(bound - mean) / std
    if distance <= _FAR:
        return mean, std
    std = max(std * (_FAR / distance), sys.float_info.min)
    return bound + math.copysign(_FAR * std, mean - bound), std


@register(
    in_place="trunc_normal_",
    names={"low": "a", "high": "b"},
    convert=standard_bounds,
    keywords=("keep_std",),
    note=" The bounds `a` and `b` are values, as in torch, with `keep_std`, too.",
)
def truncated_normal(
    *, mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0, keep_std: bool = False
) -> Scheme:
    """Draw normals that lie between bounds.

    Parameters
    ----------
    shape : int or sequence of int
    mean, std : float
        Mean and standard deviation before truncation.
    low, high : float
        The bounds in standard deviations from the mean, as in JAX and SciPy. Those of `trunc_normal_` are
        values, as in torch.
    keep_std : bool
        If True, `std` is the standard deviation after truncation. The one before is made larger: it is
        ``std / s``, s being that of the standard normal between the bounds. The mean moves if the bounds are
        not symmetric.
    **options
        See `Initializer.__call__`.

    Examples
    --------
    >>> bool(abs(truncated_normal((100, 100), std=0.02, rng=0)).max() <= 0.04)
    True
    >>> truncated_normal((100, 100), std=0.02, low=-1, high=1, keep_std=True, rng=0).std().round(3)
    np.float32(0.02)
    """
    finite("mean", mean)
    not_negative("std", std)
    if not low <= high or low == math.inf or high == -math.inf:
        raise ValueError(f"no value lies between low={low} and high={high}")
    if keep_std and low == high:
        raise ValueError(f"no std is kept between low={low} and high={high}")
    if keep_std:
        std /= cut_std(low, high)
    return sampled("truncated_normal", low, high, mean, std)
