"""Activations for `torch.nn.functional`'s, on tensors of the CPU by the kernels of `fastinit.nn`.

DTensors and tensors of other devices, layouts and dtypes go to torch's own functions, errors included.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from . import operations as operations

__all__ = ["bias_leaky_relu", "bias_selu", "leaky_relu", "selu"]

_ops = torch.ops.fastinit
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return the input for each positive value, else ``negative_slope`` times it.

    Parameters
    ----------
    input : torch.Tensor
        Of any shape and strides, which the result keeps as torch's does.
    negative_slope : float, optional
    inplace : bool, optional
        Copy the result to `input` and return that. No memory is saved.

    Raises
    ------
    NotImplementedError
        The input has a tangent: derivatives are in reverse mode alone, of any order.
    OverflowError
        `negative_slope` is finite but overflows float32, and the dtype is not float64.

    Examples
    --------
    >>> leaky_relu(torch.tensor([-2.0, 3.0]), 0.5)
    tensor([-1.,  3.])
    """
    if has_torch_function((input,)):
        return handle_torch_function(leaky_relu, (input,), input, negative_slope, inplace)
    if not _is_ours(input):
        return F.leaky_relu(input, negative_slope, inplace)
    return _put(_ops.leaky_relu(input, negative_slope), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``lambda * x`` for each positive x of the input, else ``lambda * alpha * (exp(x) - 1)``.

    Parameters
    ----------
    input, inplace
        As for `leaky_relu`.

    Raises
    ------
    NotImplementedError
        As for `leaky_relu`.

    Examples
    --------
    >>> selu(torch.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    if has_torch_function((input,)):
        return handle_torch_function(selu, (input,), input, inplace)
    if not _is_ours(input):
        return F.selu(input, inplace)
    return _put(_ops.selu(input), input, inplace)


def bias_leaky_relu(input: Tensor, bias: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return ``leaky_relu(input + bias, negative_slope)`` in one pass over memory, as the gradients are.

    Parameters
    ----------
    input : torch.Tensor
        Of shape (..., n).
    bias : torch.Tensor
        Of shape (n,) and the input's dtype. Under autocast it is cast to that.
    negative_slope : float, optional

    Raises
    ------
    ValueError
        `input` and `bias` do not fit.
    TypeError
        They have different dtypes.
    NotImplementedError, OverflowError
        As for `leaky_relu`.

    Examples
    --------
    >>> bias_leaky_relu(torch.tensor([[-2.0, 3.0]]), torch.tensor([1.0, 1.0]), 0.5)
    tensor([[-0.5000,  4.0000]])
    """
    if has_torch_function((input, bias)):
        return handle_torch_function(bias_leaky_relu, (input, bias), input, bias, negative_slope)
    bias = _fitted(bias, input)
    if not (_is_ours(input) and _is_ours(bias)):
        return F.leaky_relu(input + bias, negative_slope)
    return _ops.bias_leaky_relu(input, bias, negative_slope)


def bias_selu(input: Tensor, bias: Tensor) -> Tensor:
    """Return ``selu(input + bias)`` in one pass over memory, as the gradients are.

    Parameters
    ----------
    input, bias
        As for `bias_leaky_relu`.

    Raises
    ------
    ValueError, TypeError, NotImplementedError
        As for `bias_leaky_relu`.

    Examples
    --------
    >>> bias_selu(torch.tensor([[-2.0, 0.0]]), torch.tensor([1.0, 1.0]))
    tensor([[-1.1113,  1.0507]])
    """
    if has_torch_function((input, bias)):
        return handle_torch_function(bias_selu, (input, bias), input, bias)
    bias = _fitted(bias, input)
    if not (_is_ours(input) and _is_ours(bias)):
        return F.selu(input + bias)
    return _ops.bias_selu(input, bias)


def _is_ours(x: Tensor) -> bool:
    dense = x.is_cpu and x.layout is torch.strided and x.dtype in _DTYPES
    return dense and not hasattr(x, "device_mesh")  # a DTensor


def _put(result: Tensor, input: Tensor, inplace: bool) -> Tensor:
    """Leave the rules of in-place operations to torch: versions, views, leaves and shared memory."""
    return input.copy_(result) if inplace else result


def _fitted(bias: Tensor, input: Tensor) -> Tensor:
    """Return the bias in the input's dtype under autocast. Raise ValueError if its shape doesn't fit."""
    if bias.ndim != 1 or input.ndim < 1 or input.shape[-1] != bias.shape[0]:
        raise ValueError(
            f"a bias of shape {tuple(bias.shape)} does not fit operands of shape {tuple(input.shape)}: "
            "(..., n) takes (n,)"
        )
    if bias.dtype != input.dtype and torch.is_autocast_enabled(input.device.type):
        return bias.to(input.dtype)
    return bias
