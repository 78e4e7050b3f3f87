"""What the examples share: a claim is measured, with the error of its sample, and compared with what it says.

`docs/theory.md` has a row for each claim, whose numbers the tests compute again.
"""

import math
from typing import NamedTuple

import numpy as np


class Measurement(NamedTuple):
    """A mean, its standard error, and the number of values behind it; 0 of an exact number."""

    value: float
    error: float
    count: int


#: What the running example has measured, by its claim.
measured = {}


def claim(text, sample, expected, *, wide=0.0):
    """Assert that the mean of independent values is what theory expects.

    The mean of n values has the standard error s / sqrt(n), with s their standard deviation. By chance it is
    more than 5 standard errors off once in 2 million claims of many values.

    Parameters
    ----------
    text : str
    sample : array_like
        Values that don't depend on each other, of seeds or of layers with weights of their own.
    expected : float
    wide : float
        A share of `expected` that is allowed, too: theory is of infinitely wide layers, and what it leaves
        out is of the order of depth / width.
    """
    sample = np.asarray(sample, dtype=np.float64).ravel()
    mean, error = (
        float(sample.mean()),
        float(sample.std(ddof=1)) / math.sqrt(sample.size),
    )
    measured[text] = Measurement(mean, error, sample.size)
    print(f"{text}: {mean:.4g} ± {error:.1g}, theory {expected:.4g}")
    assert abs(mean - expected) <= 5 * error + wide * abs(expected), (
        text,
        mean,
        error,
        expected,
    )


def exact(text, value, expected):
    """Assert that two numbers that no sample is behind agree to rounding."""
    measured[text] = Measurement(float(value), 0.0, 0)
    print(f"{text}: {value:.6g}")
    assert math.isclose(value, expected, rel_tol=1e-12, abs_tol=1e-12), (
        text,
        value,
        expected,
    )


def larger(text, sample):
    """Assert that the mean of independent differences is more than 5 standard errors above 0."""
    sample = np.asarray(sample, dtype=np.float64)
    mean, error = (
        float(sample.mean()),
        float(sample.std(ddof=1)) / math.sqrt(sample.size),
    )
    measured[text] = Measurement(mean, error, sample.size)
    print(f"{text}: {mean:.4g} ± {error:.1g}")
    assert mean > 5 * error, (text, mean, error)


def forward(trace):
    """Return by how much each layer of each network multiplies the mean square of the values.

    The weights of each layer are new, so the factors are independent but for what the values already are.
    """
    square = trace.measured["std"] ** 2 + trace.measured["mean"] ** 2
    return square[:, 1:] / square[:, :-1]


def backward(trace):
    """Return by how much each layer multiplies the variance of the gradient, from its output to its input."""
    square = trace.measured["gradient"] ** 2
    return square[:, :-1] / square[:, 1:]


def plot(axes, trace, quantity="std", **style):
    """Draw a quantity by layer: the median of the networks, its 10% to 90% band, and theory, dashed."""
    band = trace.band(quantity)
    [line] = axes.plot(band.median, **{"label": trace.init, **style})
    axes.fill_between(
        range(len(band.median)),
        band.low,
        band.high,
        alpha=0.2,
        color=line.get_color(),
    )
    axes.plot(trace.predicted[quantity], "--", linewidth=1, color=line.get_color())
    axes.set(
        yscale="log",
        xlabel="layer",
        title={"std": "signal", "gradient": "gradient"}[quantity],
    )
