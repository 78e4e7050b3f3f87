"""Activations, alone or fused with a bias before or a dropout after."""

from __future__ import annotations

from typing import Any

from fastinit import _activations as _a
from fastinit import _fused_bias

from .dropout import run_dropout

__all__ = ["alpha_dropout", "bias_leaky_relu", "bias_selu", "leaky_relu", "relu", "selu", "sigmoid", "tanh"]


def relu(x: Any, *, out: Any = None) -> Any:
    """Return x for each positive x, else 0.

    Parameters
    ----------
    x : array_like
        Of float16, bfloat16, float32 or float64.
    out : array, optional
        Array to write to, of x's dtype and shape. It may be x.

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    TypeError
        x has another dtype, or `out` has not x's dtype.
    ValueError
        `out` has another shape, is read-only, or is an expanded tensor, whose elements share memory.
    RuntimeError
        An operand or `out` is a torch tensor that requires grad.

    Examples
    --------
    >>> relu([-2.0, 3.0])
    array([0., 3.])
    """
    return _a.elementwise(_a.RELU, x, None, out)


def leaky_relu(x: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """Return x for each positive x, else ``negative_slope * x``.

    Parameters
    ----------
    x, out
        As for `relu`.
    negative_slope : float, optional
        Any number, NaN and infinities included.

    Raises
    ------
    OverflowError
        `negative_slope` is finite but overflows float32, and the dtype is not float64.

    Examples
    --------
    >>> leaky_relu([-2.0, 3.0], 0.1)
    array([-0.2,  3. ])
    """
    return _a.elementwise(_a.LEAKY_RELU, x, None, out, negative_slope)


def selu(x: Any, *, out: Any = None, dropout_p: float = 0.0, rng: Any = None) -> Any:
    """Return ``lambda * x`` for each positive x, else ``lambda * alpha * (exp(x) - 1)``.

    The error is at most 2 units in the last place, even near zero.

    Parameters
    ----------
    x, out
        As for `relu`.
    dropout_p : float, optional
        Apply `alpha_dropout` with this probability in the same pass over memory.
    rng : Generator or seed, optional
        As for `alpha_dropout`. It is needed unless `dropout_p` is 0.

    References
    ----------
    Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    Examples
    --------
    >>> selu([-1.0, 1.0]).round(4)
    array([-1.1113,  1.0507])
    """
    if dropout_p == 0:
        return _a.elementwise(_a.SELU, x, None, out)
    return run_dropout(_a.SELU_DROPOUT, x, None, out, dropout_p, rng, True)


def sigmoid(x: Any, *, out: Any = None) -> Any:
    """Return ``1 / (1 + exp(-x))``, with an error of at most 2 units in the last place.

    Parameters
    ----------
    x, out
        As for `relu`.

    Examples
    --------
    >>> sigmoid([0.0, 2.0]).round(4)
    array([0.5   , 0.8808])
    """
    return _a.elementwise(_a.SIGMOID, x, None, out)


def tanh(x: Any, *, out: Any = None) -> Any:
    """Return the hyperbolic tangent, with an error of at most 2 units in the last place.

    Parameters
    ----------
    x, out
        As for `relu`.

    Examples
    --------
    >>> tanh([0.0, 1.0]).round(4)
    array([0.    , 0.7616])
    """
    return _a.elementwise(_a.TANH, x, None, out)


def alpha_dropout(x: Any, p: float, rng: Any, *, out: Any = None) -> Any:
    """Set random elements to the limit of SELU at -inf, then restore mean 0 and variance 1 of all.

    Element i, in C order, is dropped if 32-bit word i of the generator's stream is below ``round(p *
    2**32)``. The backward functions compute this mask again. NaN is never dropped; an infinity may be.

    Parameters
    ----------
    x, out
        As for `relu`.
    p : float
        The probability of dropping an element, in [0, 1]. If it is 0, nothing is drawn; if 1, the result is
        0.
    rng : Generator or seed
        A generator of fastinit, or of NumPy over PCG64 or PCG64DXSM. It moves past one word an element.
        `alpha_dropout_backward` needs one at the position before this call: the same seed, the same
        ``fold_in``, or a copy made before.

    Raises
    ------
    ValueError
        `p` is not in [0, 1].

    References
    ----------
    Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> y = alpha_dropout(x, 0.1, 7)
    >>> bool(abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02)
    True
    """
    return run_dropout(_a.ALPHA_DROPOUT, x, None, out, p, rng, True)


def bias_leaky_relu(x: Any, bias: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """Return ``leaky_relu(x + bias)`` in one pass over memory.

    Parameters
    ----------
    x : array_like
        Of shape (..., n).
    bias : array_like
        Of shape (n,) and x's dtype.
    negative_slope : float, optional
    out : array, optional
        As for `relu`.

    Raises
    ------
    TypeError, ValueError
        As for `relu`, or `x` and `bias` do not fit.

    Examples
    --------
    >>> bias_leaky_relu([[-2.0, 3.0]], [1.0, 1.0], 0.1)
    array([[-0.1,  4. ]])
    """
    return _fused_bias.with_bias(_a.BIAS_LEAKY_RELU, x, bias, out, negative_slope)


def bias_selu(x: Any, bias: Any, *, out: Any = None) -> Any:
    """Return ``selu(x + bias)`` in one pass over memory.

    Parameters
    ----------
    x, bias, out
        As for `bias_leaky_relu`.

    Examples
    --------
    >>> bias_selu([[-2.0, 0.0]], [1.0, 1.0]).round(4)
    array([[-1.1113,  1.0507]])
    """
    return _fused_bias.with_bias(_a.BIAS_SELU, x, bias, out)
