"""Activations and their gradients at the speed of memory, fused with the bias before, the dropout after them.

Every function takes arrays of float16, bfloat16, float32 or float64, in any layout, from NumPy or from
whoever speaks the buffer protocol or DLPack (a torch tensor on the CPU, a JAX array, an ``array.array``).
Half types are computed in float32 and rounded once. `out` is such an array too; it may be an operand itself,
and it is what is returned. Results are the same bits on every instruction set and for any number of threads.
"""

from __future__ import annotations

from typing import Any

from fastinit import _activations as _a
from fastinit import random

__all__ = [
    "alpha_dropout",
    "alpha_dropout_backward",
    "bias_leaky_relu",
    "bias_leaky_relu_backward",
    "bias_selu",
    "bias_selu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "relu",
    "relu_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]


def relu(x: Any, *, out: Any = None) -> Any:
    """Return x where it is positive, else 0.

    Parameters
    ----------
    x : array_like
        Of float16, bfloat16, float32 or float64.
    out : array, optional
        Of x's dtype and shape, to write to; may be x.

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    TypeError
        x is of another dtype, or `out` is not of x's.
    ValueError
        `out` has another shape, is read-only, or is an expanded tensor, whose elements share memory.
    RuntimeError
        A torch tensor requires grad.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.relu([-2.0, 3.0])
    array([0., 3.])
    """
    return _a.elementwise(_a.RELU, x, None, out)


def leaky_relu(x: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """Return x where it is positive, else ``negative_slope * x``.

    Parameters
    ----------
    x : array_like
        As for `relu`.
    negative_slope : float, optional
        Any number, NaN and infinities included.
    out : array, optional
        As for `relu`.

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    OverflowError
        `negative_slope` is finite and float32 can't hold it, of any dtype but float64.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.leaky_relu([-2.0, 3.0], 0.1)
    array([-0.2,  3. ])
    """
    return _a.elementwise(_a.LEAKY_RELU, x, None, out, negative_slope)


def selu(x: Any, *, out: Any = None, dropout_p: float = 0.0, rng: Any = None) -> Any:
    """Return ``lambda * x`` where x is positive, else ``lambda * alpha * (exp(x) - 1)``.

    Within 2 units in the last place of the exact value, near zero included.

    Parameters
    ----------
    x : array_like
        As for `relu`.
    out : array, optional
        As for `relu`.
    dropout_p : float, optional
        Follow with `alpha_dropout` of this probability, in the same pass over memory.
    rng : Generator or seed, optional
        As for `alpha_dropout`; needed where `dropout_p` is not 0.

    Returns
    -------
    ndarray, or `out`

    References
    ----------
    Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.selu([-1.0, 1.0]).round(4)
    array([-1.1113,  1.0507])
    """
    if dropout_p == 0:
        return _a.elementwise(_a.SELU, x, None, out)
    return _dropout(_a.SELU_DROPOUT, x, None, out, dropout_p, rng, True)


def sigmoid(x: Any, *, out: Any = None) -> Any:
    """Return ``1 / (1 + exp(-x))``, within 2 units in the last place.

    Parameters
    ----------
    x : array_like
        As for `relu`.
    out : array, optional
        As for `relu`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.sigmoid([0.0, 2.0]).round(4)
    array([0.5   , 0.8808])
    """
    return _a.elementwise(_a.SIGMOID, x, None, out)


def tanh(x: Any, *, out: Any = None) -> Any:
    """Return the hyperbolic tangent, within 2 units in the last place.

    Parameters
    ----------
    x : array_like
        As for `relu`.
    out : array, optional
        As for `relu`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.tanh([0.0, 1.0]).round(4)
    array([0.    , 0.7616])
    """
    return _a.elementwise(_a.TANH, x, None, out)


def alpha_dropout(x: Any, p: float, rng: Any, *, out: Any = None) -> Any:
    """Drop to what SELU gives far below zero, then move and scale all, so that mean 0 and variance 1 stay.

    Element i, in C order, is dropped where the i-th 32-bit word of the generator's stream is below
    ``round(p * 2**32)``: a pure function of (`rng`, i), so the backward functions make the mask again. NaN
    stays NaN even where it would be dropped; a dropped infinity is dropped as all others are.

    Parameters
    ----------
    x : array_like
        As for `relu`.
    p : float
        The probability of being dropped, from 0 to 1. Nothing is drawn for 0; all is 0 for 1.
    rng : Generator or seed
        A generator of fastinit, or of NumPy over PCG64 or PCG64DXSM; it moves past one word an element. Give
        `alpha_dropout_backward` one that stands where this one stood: the same seed, the same ``fold_in``, or
        a copy made before.
    out : array, optional
        As for `relu`.

    Returns
    -------
    ndarray, or `out`

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
    >>> from fastinit import nn
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> y = nn.alpha_dropout(x, 0.1, 7)
    >>> bool(abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02)
    True
    """
    return _dropout(_a.ALPHA_DROPOUT, x, None, out, p, rng, True)


def relu_backward(grad: Any, x: Any, *, out: Any = None) -> Any:
    """Return the gradient of `relu`'s input.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    x : array_like
        Its input or its output, of the dtype and shape of `grad`.
    out : array, optional
        As for `relu`; may be an operand.

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    TypeError, ValueError
        As `relu`, and where `grad` and `x` differ in dtype or shape.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.relu_backward([5.0, 5.0], [-2.0, 3.0])
    array([0., 5.])
    """
    return _a.elementwise(_a.RELU_BACKWARD, grad, x, out)


def leaky_relu_backward(grad: Any, x: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """Return the gradient of `leaky_relu`'s input.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    x : array_like
        Its input; for a positive slope its output does too.
    negative_slope : float, optional
    out : array, optional
        As for `relu_backward`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.leaky_relu_backward([5.0, 5.0], [-2.0, 3.0], 0.1)
    array([0.5, 5. ])
    """
    return _a.elementwise(_a.LEAKY_RELU_BACKWARD, grad, x, out, negative_slope)


def selu_backward(
    grad: Any, y: Any = None, *, x: Any = None, out: Any = None, dropout_p: float = 0.0, rng: Any = None
) -> Any:
    """Return the gradient of `selu`'s input, from its output or its input.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    y : array_like, optional
        Its output, the dropout included.
    x : array_like, optional
        Its input. One of `y` and `x` is given. After dropout, `y` no longer tells on which side of zero an
        x stood that is smaller than the rounding of y; `x` does.
    out : array, optional
        As for `relu_backward`.
    dropout_p : float, optional
        What `selu` was given.
    rng : Generator or seed, optional
        Standing where that of `selu` stood before it; it does not move.

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    TypeError
        Both `y` and `x` are given, or neither.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.selu_backward([1.0, 1.0], x=[-1.0, 1.0]).round(4)
    array([0.6468, 1.0507])
    >>> nn.selu_backward([1.0, 1.0], nn.selu([-1.0, 1.0])).round(4)
    array([0.6468, 1.0507])
    """
    if (y is None) == (x is None):
        raise TypeError("selu_backward takes one of y, the output, and x, the input")
    if dropout_p == 0:
        op = _a.SELU_BACKWARD if x is None else _a.SELU_BACKWARD_X
        return _a.elementwise(op, grad, y if x is None else x, out)
    op = _a.SELU_DROPOUT_BACKWARD if x is None else _a.SELU_DROPOUT_BACKWARD_X
    return _dropout(op, grad, y if x is None else x, out, dropout_p, rng, False)


def sigmoid_backward(grad: Any, y: Any, *, out: Any = None) -> Any:
    """Return the gradient of `sigmoid`'s input from its output y.

    Parameters
    ----------
    grad, y : array_like
        The gradient of the output, and the output.
    out : array, optional
        As for `relu_backward`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.sigmoid_backward([1.0], [0.5])
    array([0.25])
    """
    return _a.elementwise(_a.SIGMOID_BACKWARD, grad, y, out)


def tanh_backward(grad: Any, y: Any, *, out: Any = None) -> Any:
    """Return the gradient of `tanh`'s input from its output y.

    Parameters
    ----------
    grad, y : array_like
        The gradient of the output, and the output.
    out : array, optional
        As for `relu_backward`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.tanh_backward([1.0], [0.5])
    array([0.75])
    """
    return _a.elementwise(_a.TANH_BACKWARD, grad, y, out)


def alpha_dropout_backward(grad: Any, p: float, rng: Any, *, out: Any = None) -> Any:
    """Return the gradient of `alpha_dropout`'s input.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    p : float
        What `alpha_dropout` was given.
    rng : Generator or seed
        Standing where that of `alpha_dropout` stood before it; it does not move.
    out : array, optional
        As for `relu_backward`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit import nn
    >>> x = np.linspace(-1, 1, 1000)
    >>> slope = nn.alpha_dropout(x + 1, 0.5, 7) - nn.alpha_dropout(x, 0.5, 7)
    >>> np.allclose(nn.alpha_dropout_backward(np.ones(1000), 0.5, 7), slope)
    True
    """
    return _dropout(_a.ALPHA_DROPOUT_BACKWARD, grad, None, out, p, rng, False)


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

    Returns
    -------
    ndarray, or `out`

    Raises
    ------
    TypeError, ValueError
        As `relu`, and where `x` and `bias` do not fit.

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.bias_leaky_relu([[-2.0, 3.0]], [1.0, 1.0], 0.1)
    array([[-0.1,  4. ]])
    """
    return _a.with_bias(_a.BIAS_LEAKY_RELU, x, bias, out, negative_slope)


def bias_selu(x: Any, bias: Any, *, out: Any = None) -> Any:
    """Return ``selu(x + bias)`` in one pass over memory.

    Parameters
    ----------
    x, bias : array_like
        As for `bias_leaky_relu`.
    out : array, optional
        As for `relu`.

    Returns
    -------
    ndarray, or `out`

    Examples
    --------
    >>> from fastinit import nn
    >>> nn.bias_selu([[-2.0, 0.0]], [1.0, 1.0]).round(4)
    array([[-1.1113,  1.0507]])
    """
    return _a.with_bias(_a.BIAS_SELU, x, bias, out)


def bias_leaky_relu_backward(
    grad: Any, x: Any, bias: Any, negative_slope: float = 0.01, *, out: Any = None
) -> tuple[Any, Any]:
    """Return the gradients of `bias_leaky_relu`'s input and bias, in one pass over memory.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    x, bias : array_like
        What it was given.
    negative_slope : float, optional
    out : array, optional
        For the gradient of x; as for `relu_backward`.

    Returns
    -------
    grad_x : ndarray, or `out`
    grad_bias : ndarray
        Of shape (n,): the sum of grad_x over all rows, in an order that depends on the shape alone; of a half
        type, the sum of what grad_x was before it was rounded.

    Examples
    --------
    >>> from fastinit import nn
    >>> grad_x, grad_bias = nn.bias_leaky_relu_backward([[1.0], [1.0]], [[-2.0], [3.0]], [1.0], 0.1)
    >>> grad_bias
    array([1.1])
    """
    return _a.with_bias_backward(_a.BIAS_LEAKY_RELU_BACKWARD, grad, x, bias, out, negative_slope)


def bias_selu_backward(grad: Any, y: Any, *, out: Any = None) -> tuple[Any, Any]:
    """Return the gradients of `bias_selu`'s input and bias from its output y, in one pass over memory.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    y : array_like
        Its output.
    out : array, optional
        For the gradient of x; as for `relu_backward`.

    Returns
    -------
    grad_x : ndarray, or `out`
    grad_bias : ndarray
        As for `bias_leaky_relu_backward`.

    Examples
    --------
    >>> from fastinit import nn
    >>> grad_x, grad_bias = nn.bias_selu_backward([[1.0], [1.0]], nn.bias_selu([[-2.0], [0.0]], [1.0]))
    >>> grad_bias.round(4)
    array([1.6975])
    """
    return _a.with_bias_backward(_a.BIAS_SELU_BACKWARD, grad, y, None, out)


def _dropout(op: int, x: Any, y: Any, out: Any, p: float, rng: Any, moves: bool) -> Any:
    if not 0 <= p <= 1:
        raise ValueError(f"the probability of dropout must be in [0, 1], not {p}")
    if p == 0:  # only the functions without SELU come here so, and they change nothing
        return _a.elementwise(_a.LEAKY_RELU, x, None, out, 1.0)
    if rng is None:
        raise TypeError("dropout needs rng: a generator, or a seed")
    if not hasattr(rng, "_source"):
        rng = random.default_rng(rng)
    return _a.dropout(op, x, y, out, p, rng, moves)
