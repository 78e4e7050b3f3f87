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


def _half_line() -> tuple[Array, Array]:
    """Return nodes on (0, 9) and weights times the normal density.

    Gauss-Hermite quadrature, the usual one, converges slowly for functions with a kink at 0, as ReLU and SELU
    have. These are Gauss-Legendre nodes in panels that halve towards 0, which also follow a steep sigmoid.
    """
    nodes, weights = np.polynomial.legendre.leggauss(10)
    edges = np.concatenate([[0.0], _REACH / 2.0 ** np.arange(12, -1, -1)])
    low, width = edges[:-1, None], np.diff(edges)[:, None]
    x = (low + width * (nodes + 1) / 2).ravel()
    return x, (width * weights / 2).ravel() * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


_POSITIVE, _MASS = _half_line()
_NODES, _WEIGHTS = np.concatenate([-_POSITIVE[::-1], _POSITIVE]), np.concatenate([_MASS[::-1], _MASS])


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
    # u and v are a + b and a - b, of which b is small if the inputs are alike: no digits cancel.
    a = np.sqrt(max(q - e / 2, 0.0)) * _NODES[:, None]
    b = np.sqrt(e / 2) * _POSITIVE
    difference = activation(a + b) - activation(a - b)
    apart = _WEIGHTS @ (difference * difference) @ (2 * _MASS) / 2
    return Moments(float(_WEIGHTS @ y), float(_WEIGHTS @ (y * y)), float(_WEIGHTS @ slope**2), float(apart))


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
