"""From an initialiser's arguments to its plan: every check and every formula of a bound or a standard
deviation.

The formulas use + - * / and sqrt on float64 alone, which round alike everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastinit._dispatch import default_fp
from fastinit._plan import Constant, DeltaOrthogonal, Draws, Ones, Orthogonal, Plan, Sparse
from fastinit.fans import compute_fans, finite_square, resolve_axes, squared_gain

__all__ = [
    "constant",
    "delta_orthogonal",
    "dirac",
    "eye",
    "kaiming",
    "normal",
    "orthogonal",
    "scaled",
    "sparse",
    "standard_bounds",
    "truncated_normal",
    "uniform",
    "xavier",
]

# A law turns a shape, a dtype's tag and the axes (keyword arguments of compute_fans) into a plan.
Law = Callable[[tuple[int, ...], str, dict[str, Any]], Plan]

_MODES: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: math.sqrt(fan_in * fan_out),
}
_DISTRIBUTIONS = ("uniform", "normal", "truncated_normal")

# Standard deviation of the standard normal cut at -2 and 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)). JAX and
# Keras have the same digits.
_CUT_STD = 0.87962566103423978


def scaled(scale: float, mode: str, distribution: str) -> Law:
    """Variance ``scale / fan``: the one place where fans, gains and distributions meet."""
    _known("mode", mode, _MODES)
    _known("distribution", distribution, _DISTRIBUTIONS)
    _not_negative("scale", scale)

    def plan(shape: tuple[int, ...], tag: str, axes: dict[str, Any]) -> Plan:
        fans = compute_fans(shape, **axes)
        fan = _MODES[mode](*fans)
        if fan == 0:
            raise ValueError(f"{mode} of shape {shape} is 0, so no variance can make up for it")
        if distribution == "uniform":
            bound = math.sqrt(3.0 * scale / fan)
            return Draws(shape, tag, distribution, (-bound, bound), fans=fans)
        std = math.sqrt(scale / fan)
        if distribution == "normal":
            return Draws(shape, tag, distribution, (0.0, std), fans=fans)
        return Draws(shape, tag, distribution, (-2.0, 2.0, 0.0, std / _CUT_STD), fans=fans)

    return plan


def xavier(gain: float, distribution: str) -> Law:
    """Glorot's: the fans of both directions."""
    return scaled(finite_square("gain", gain), "fan_avg", distribution)


def kaiming(a: float, mode: str, nonlinearity: str, distribution: str) -> Law:
    """He's: the gain of the activation, and the fan of one direction."""
    _known("mode", mode, ("fan_in", "fan_out"))
    finite_square("a, the negative slope,", a)
    return scaled(squared_gain(nonlinearity, a), mode, distribution)


def uniform(low: float, high: float) -> Law:
    """Between two bounds."""
    _finite("low", low)
    _finite("high", high)
    if not low <= high:
        raise ValueError(f"low={low} is above high={high}")
    return lambda shape, tag, axes: Draws(shape, tag, "uniform", (low, high))


def normal(mean: float, std: float) -> Law:
    """Of a mean and a standard deviation."""
    _finite("mean", mean)
    _not_negative("std", std)
    return lambda shape, tag, axes: Draws(shape, tag, "normal", (mean, std))


def truncated_normal(mean: float, std: float, low: float, high: float) -> Law:
    """Between two bounds in standard deviations."""
    _finite("mean", mean)
    _not_negative("std", std)
    if not low <= high or low == math.inf or high == -math.inf:
        raise ValueError(f"no value lies between low={low} and high={high}")
    return lambda shape, tag, axes: Draws(shape, tag, "truncated_normal", (low, high, mean, std))


def standard_bounds(mean: float, std: float, a: float, b: float) -> tuple[float, float]:
    """Return the bounds a and b in standard deviations from the mean, so that none is outside when undone."""
    _finite("mean", mean)
    _finite("std", std)
    with default_fp():
        if not std > 0.0:
            raise ValueError(f"std must be above 0, not {std}")
        if not a <= b:
            raise ValueError(f"a={a} is above b={b}")
        low, high = (a - mean) / std, (b - mean) / std
        if low == math.inf or high == -math.inf:
            raise ValueError(
                f"std={std} is too small for a={a}, b={b} around mean={mean}: no draw gets there"
            )
        while -math.inf < low and mean + std * low < a:
            low = float(np.nextafter(low, math.inf))
        while high < math.inf and mean + std * high > b:
            high = float(np.nextafter(high, -math.inf))
    return low, max(low, high)


def constant(value: float) -> Law:
    """One value, which may be infinite."""
    return lambda shape, tag, axes: Constant(shape, tag, value)


def eye() -> Law:
    """The identity."""
    return lambda shape, tag, axes: Ones(_of_rank("eye", shape, 2), tag, 0, 1, shape[0])


def dirac(groups: int) -> Law:
    """The identity of a convolution."""
    if groups < 1:
        raise ValueError(f"groups must be 1 or more, not {groups}")

    def plan(shape: tuple[int, ...], tag: str, axes: dict[str, Any]) -> Plan:
        out_axis, in_axis = _channels("dirac", shape, axes)
        if shape[out_axis] % groups:
            raise ValueError(
                f"groups={groups} does not divide the {shape[out_axis]} outputs of shape {shape}"
            )
        return Ones(shape, tag, out_axis, in_axis, shape[out_axis] // groups)

    return plan


def orthogonal(gain: float) -> Law:
    """Orthonormal rows or columns."""
    _finite("gain", gain)

    def plan(shape: tuple[int, ...], tag: str, axes: dict[str, Any]) -> Plan:
        _, outs, batch = resolve_axes(shape, **axes)
        return Orthogonal(shape, tag, gain, batch, outs)

    return plan


def delta_orthogonal(gain: float) -> Law:
    """Orthonormal at the middle of a kernel."""
    _finite("gain", gain)

    def plan(shape: tuple[int, ...], tag: str, axes: dict[str, Any]) -> Plan:
        out_axis, in_axis = _channels("delta_orthogonal", shape, axes)
        if shape[in_axis] > shape[out_axis]:
            raise ValueError(
                f"delta_orthogonal needs at least as many outputs as inputs: shape {shape} has "
                f"{shape[out_axis]} and {shape[in_axis]}"
            )
        return DeltaOrthogonal(shape, tag, gain, out_axis, in_axis)

    return plan


def sparse(sparsity: float, std: float) -> Law:
    """Normals with zeros in every column."""
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity must be between 0 and 1, not {sparsity}")
    _not_negative("std", std)
    return lambda shape, tag, axes: Sparse(_of_rank("sparse", shape, 2), tag, sparsity, std)


def _channels(name: str, shape: tuple[int, ...], axes: dict[str, Any]) -> tuple[int, int]:
    ins, outs, batch = resolve_axes(_of_rank(name, shape, 3, 5), **axes)
    if len(ins) != 1 or len(outs) != 1 or batch:
        raise ValueError(f"{name} takes one in_axis, one out_axis and no batch_axis")
    return outs[0], ins[0]


def _of_rank(name: str, shape: tuple[int, ...], least: int, most: int | None = None) -> tuple[int, ...]:
    if not least <= len(shape) <= (most or least):
        needs = f"{least} to {most}" if most else f"{least}"
        raise ValueError(f"{name} needs {needs} axes: shape {shape} has {len(shape)}")
    return shape


def _known(what: str, name: str, names: Any) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(names)}")


def _finite(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{what} must be finite, not {value}")


def _not_negative(what: str, value: float) -> None:
    _finite(what, value)
    if value < 0.0:
        raise ValueError(f"{what} must not be negative, not {value}")
