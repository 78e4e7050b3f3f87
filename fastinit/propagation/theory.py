"""What mean-field theory predicts of an infinitely wide network.

Before the activation, a unit's values over random weights are normal. `q` is their mean square and `e` the
variance of two inputs' difference, halved: ``e = q (1 - c)``, with c the correlation of the inputs.

References
----------
Poole et al., "Exponential expressivity in deep neural networks through transient chaos", 2016.
Schoenholz et al., "Deep information propagation", 2017.
Yang et al., "A mean field theory of batch normalization", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .activations import Activation, Array
from .chains import Layer

# Added to a variance under the root of a norm, as torch has it.
EPSILON = 1e-5

_REACH = 9.0  # standard deviations, beyond which 2e-19 of a normal's mass lies


def _graded() -> tuple[Array, Array]:
    """Return nodes and weights of an integral over (0, 1) of what may be steep near 0.

    Gauss-Hermite quadrature, the usual one, converges slowly for functions with a kink at 0, as ReLU and SELU
    have. These are Gauss-Legendre nodes in panels that halve towards 0.
    """
    nodes, weights = np.polynomial.legendre.leggauss(10)
    edges = np.concatenate([[0.0], 1 / 2.0 ** np.arange(9, -1, -1)])
    low, width = edges[:-1, None], np.diff(edges)[:, None]
    return (low + width * (nodes + 1) / 2).ravel(), (width * weights / 2).ravel()


def _mass(x: Array) -> Array:
    """Return the standard normal density."""
    density: Array = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return density


_UNIT, _WIDTH = _graded()
_POSITIVE = _REACH * _UNIT
_HALF = _REACH * _WIDTH * _mass(_POSITIVE)
_NODES, _WEIGHTS = np.concatenate([-_POSITIVE[::-1], _POSITIVE]), np.concatenate([_HALF[::-1], _HALF])


class Moments(NamedTuple):
    """Moments of an activation whose input is normal: E[f], E[f^2], E[f'^2], E[(f(u) - f(v))^2] / 2."""

    mean: float
    square: float
    slope: float
    apart: float


def moments(activation: Activation, q: float, e: float) -> Moments:
    """Return the moments of an activation.

    Parameters
    ----------
    activation : Activation
    q : float
        The mean square of the input, which has mean 0.
    e : float
        Half the mean square of the difference of two inputs u and v.

    Examples
    --------
    >>> from fastinit.propagation.activations import Activation
    >>> [round(each, 6) for each in moments(Activation("relu"), 1.0, 1.0)]
    [0.398942, 0.5, 0.5, 0.340845]
    """
    x = np.sqrt(q) * _NODES
    y = activation(x)
    slope = activation.slope(x, y)
    apart = _apart(activation, q, e)
    return Moments(float(_WEIGHTS @ y), float(_WEIGHTS @ (y * y)), float(_WEIGHTS @ slope**2), apart)


def _apart(activation: Activation, q: float, e: float) -> float:
    """Return E[(f(u) - f(v))^2] / 2 for normal u and v with mean square `q` and half squared difference `e`.

    They are ax + by and ax - by with independent x and y. So no digits cancel if they are alike.
    """
    a, b = np.sqrt(max(q - e / 2, 0.0)), np.sqrt(e / 2)
    y = _POSITIVE[:, None]  # the integrand is even in y
    bend = np.minimum(b * y, _REACH * a) / a if a > 0.0 else np.zeros_like(y)  # where u or v is 0
    x = np.concatenate([bend * (1 - _UNIT), bend + _REACH * _UNIT], axis=1)
    weights = np.concatenate(
        [bend * _WIDTH, np.broadcast_to(_REACH * _WIDTH, bend.shape[:1] + _WIDTH.shape)], 1
    )
    weights = weights * _mass(x) * _HALF[:, None]
    squares = (activation(a * side * x + b * y) - activation(a * side * x - b * y) for side in (1, -1))
    return float(sum((weights * each * each).sum() for each in squares))


def predict(
    chain: Sequence[Layer],
    variances: Sequence[float],
    activation: Activation,
    *,
    norm: str = "none",
    residual: bool = False,
) -> dict[str, Array]:
    """Return what theory predicts at each place of a network, the input's first.

    Parameters
    ----------
    chain : sequence of Layer
    variances : sequence of float
        The variance of each layer's weights, whose mean is 0.
    activation : Activation
    norm : {"none", "layer", "batch"}
    residual : bool
        Whether the input of a square layer is added to its output.

    Returns
    -------
    dict of str to ndarray
        mean, std, spread (the std of a unit between inputs), gradient (the std of the loss's gradient, 1 at
        the output) and stretch (the root mean square of the Jacobian's singular values), each of shape
        (layers + 1,).
    """
    mean, square, apart = [0.0], [1.0], [1.0]
    chi = []
    for layer, variance in zip(chain, variances, strict=True):
        q, e = (layer.fan_in * variance * each for each in (square[-1], apart[-1]))
        kept = {"none": 1.0, "layer": q + EPSILON, "batch": e + EPSILON}[norm]
        q, e = (e if norm == "batch" else q) / kept, e / kept
        own = moments(activation, q, e)
        adds = residual and layer.fan_in == layer.fan_out
        chi.append(adds + layer.fan_out * variance * own.slope / kept)
        # What is added to a unit has weights of its own: the mean of their product is that of the means.
        square.append(own.square + (square[-1] + 2 * mean[-1] * own.mean if adds else 0.0))
        apart.append(own.apart + (apart[-1] if adds else 0.0))
        mean.append(own.mean + (mean[-1] if adds else 0.0))
    means = np.array(mean)
    return {
        "mean": means,
        "std": np.sqrt(np.maximum(np.array(square) - means**2, 0.0)),
        "spread": np.sqrt(apart),
        "gradient": np.sqrt(np.cumprod([1.0, *chi[::-1]])[::-1]),
        "stretch": np.sqrt(np.cumprod([1.0, *chi])),
    }
