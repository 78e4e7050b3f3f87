"""Gradients of the activations, from the gradient of the output and the input or output."""

from __future__ import annotations

from typing import Any

from fastinit import _activations as _a
from fastinit import _fused_bias

from .dropout import run_dropout

__all__ = [
    "alpha_dropout_backward",
    "bias_leaky_relu_backward",
    "bias_selu_backward",
    "leaky_relu_backward",
    "relu_backward",
    "selu_backward",
    "sigmoid_backward",
    "tanh_backward",
]


def relu_backward(grad: Any, x: Any, *, out: Any = None) -> Any:
    """Return the gradient of `relu`'s input.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    x : array_like
        Its input or its output, of the dtype and shape of `grad`.
    out : array, optional
        As for `relu`; it may be an operand.

    Raises
    ------
    TypeError, ValueError
        As for `relu`, or `grad` and `x` differ in dtype or shape.

    Examples
    --------
    >>> relu_backward([5.0, 5.0], [-2.0, 3.0])
    array([0., 5.])
    """
    return _a.elementwise(_a.RELU_BACKWARD, grad, x, out)


def leaky_relu_backward(grad: Any, x: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """Return the gradient of `leaky_relu`'s input.

    Parameters
    ----------
    grad, out
        As for `relu_backward`.
    x : array_like
        Its input, or its output if the slope is positive.
    negative_slope : float, optional

    Examples
    --------
    >>> leaky_relu_backward([5.0, 5.0], [-2.0, 3.0], 0.1)
    array([0.5, 5. ])
    """
    return _a.elementwise(_a.LEAKY_RELU_BACKWARD, grad, x, out, negative_slope)


def selu_backward(
    grad: Any, y: Any = None, *, x: Any = None, out: Any = None, dropout_p: float = 0.0, rng: Any = None
) -> Any:
    """Return the gradient of `selu`'s input, from its output or its input.

    Parameters
    ----------
    grad, out
        As for `relu_backward`.
    y : array_like, optional
        Its output, after the dropout. Give either `y` or `x`.
    x : array_like, optional
        Its input. With dropout, the sign of an x smaller than the rounding of y is lost in `y`.
    dropout_p : float, optional
        As given to `selu`.
    rng : Generator or seed, optional
        At the position before the call of `selu`. It does not move.

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
    return run_dropout(op, grad, y if x is None else x, out, dropout_p, rng, False)


def sigmoid_backward(grad: Any, y: Any, *, out: Any = None) -> Any:
    """Return the gradient of `sigmoid`'s input from its output y.

    Parameters
    ----------
    grad, y : array_like
        The gradient of the output, and the output.
    out : array, optional
        As for `relu_backward`.

    Examples
    --------
    >>> sigmoid_backward([1.0], [0.5])
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

    Examples
    --------
    >>> tanh_backward([1.0], [0.5])
    array([0.75])
    """
    return _a.elementwise(_a.TANH_BACKWARD, grad, y, out)


def alpha_dropout_backward(grad: Any, p: float, rng: Any, *, out: Any = None) -> Any:
    """Return the gradient of `alpha_dropout`'s input.

    Parameters
    ----------
    grad, out
        As for `relu_backward`.
    p : float
        As given to `alpha_dropout`.
    rng : Generator or seed
        At the position before the call of `alpha_dropout`. It does not move.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit import nn
    >>> x = np.linspace(-1, 1, 1000)
    >>> slope = nn.alpha_dropout(x + 1, 0.5, 7) - nn.alpha_dropout(x, 0.5, 7)
    >>> np.allclose(nn.alpha_dropout_backward(np.ones(1000), 0.5, 7), slope)
    True
    """
    return run_dropout(_a.ALPHA_DROPOUT_BACKWARD, grad, None, out, p, rng, False)


def bias_leaky_relu_backward(
    grad: Any, x: Any, bias: Any, negative_slope: float = 0.01, *, out: Any = None
) -> tuple[Any, Any]:
    """Return the gradients of `bias_leaky_relu`'s input and bias, in one pass over memory.

    Parameters
    ----------
    grad : array_like
        The gradient of its output.
    x, bias : array_like
        As given to `bias_leaky_relu`.
    negative_slope : float, optional
    out : array or tuple of two, optional
        For the gradient of x, or for both; as for `relu_backward`.

    Returns
    -------
    grad_x : ndarray, or `out`
    grad_bias : ndarray, or the second of `out`
        Of shape (n,): the sum of grad_x over all rows, before rounding to a half type. The order of the sum
        depends on the shape alone.

    Examples
    --------
    >>> grad_x, grad_bias = bias_leaky_relu_backward([[1.0], [1.0]], [[-2.0], [3.0]], [1.0], 0.1)
    >>> grad_bias
    array([1.1])
    """
    return _fused_bias.with_bias_backward(_a.BIAS_LEAKY_RELU_BACKWARD, grad, x, bias, out, negative_slope)


def bias_selu_backward(grad: Any, y: Any, *, out: Any = None) -> tuple[Any, Any]:
    """Return the gradients of `bias_selu`'s input and bias from its output y, in one pass over memory.

    Parameters
    ----------
    grad, out
        As for `bias_leaky_relu_backward`.
    y : array_like
        Its output.

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
    return _fused_bias.with_bias_backward(_a.BIAS_SELU_BACKWARD, grad, y, None, out)
