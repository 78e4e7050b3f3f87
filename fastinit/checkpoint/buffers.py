"""Buffers: tensors whose elements follow from their index and the shape, without random draws."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes, init

from .spec import TensorSpec

Shape = tuple[int, ...]
Indices = npt.NDArray[np.int64]
_INV_FREQ = re.compile(r"inv_freq\(base=([1-9]\d*(?:\.\d*)?(?:e\d+)?)\)")
Values = Callable[[Indices, Shape], npt.NDArray[Any]]


class BufferPlan:
    """The plan of a buffer, used like an `init.Plan`.

    Parameters
    ----------
    tensor : TensorSpec
        The buffer.
    values : callable
        Called as ``values(indices, shape)`` with flat indices; returns the values there.
    mean, std : float, optional
        The moments of the values, if they are known.
    """

    fans: tuple[int, int] | None = None
    distribution = "constant"
    addressable = exact = True
    kurtosis = 3.0

    def __init__(
        self, tensor: TensorSpec, values: Values, mean: float | None = None, std: float | None = None
    ) -> None:
        self.shape = tensor.shape
        self.dtype = tensor.floating
        self.values = values
        self.mean = mean
        self.std = std

    def fill(self, out: npt.NDArray[Any], rng: object, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` in C order. `rng` is not used."""
        values = self.values(np.arange(start, start + out.size), self.shape)
        if self.dtype is not None:
            values = _dtypes.rounded(np.asarray(values, np.float64), self.dtype)
        out[...] = values


def plan(text: str, tensor: TensorSpec) -> BufferPlan | None:
    """Return the plan of a buffer, or None if `text` must be an initialiser of floats.

    ``arange`` counts along the last axis, ``tril`` is 1 on and below the diagonal of the last two axes, and
    ``inv_freq(base=10000)`` holds the inverse frequencies of rotary embeddings, ``base ** (-i / n)``.
    Integers and BOOL also take ``zeros``, ``ones`` and ``constant``.

    Raises
    ------
    ValueError
        The shape or the dtype does not fit the buffer.
    """
    base = _INV_FREQ.fullmatch(text)
    if text == "arange":
        _require_axes(text, tensor, 1)
        return BufferPlan(tensor, lambda index, shape: index % shape[-1])
    if text == "tril":
        _require_axes(text, tensor, 2)
        return BufferPlan(tensor, lambda index, shape: index % shape[-1] <= index // shape[-1] % shape[-2])
    if base:
        _require_axes(text, tensor, 1)
        frequencies = _inverse_frequencies(Decimal(base[1]), tensor.shape[-1])
        return BufferPlan(tensor, lambda index, shape: frequencies[index % shape[-1]])
    if tensor.floating is not None:
        return None
    constant = init.get(text).plan((1, 1), dtype="float64")
    if constant.distribution != "constant":
        raise ValueError(f"{text} makes floats; {tensor.dtype} can be zeros, ones, constant, arange or tril")
    (value,) = constant.parameters
    least, most = (
        (0, 1) if tensor.dtype == "BOOL" else (np.iinfo(tensor.storage).min, np.iinfo(tensor.storage).max)
    )
    if not (least <= value <= most and value == int(value)):
        raise ValueError(f"{tensor.dtype} cannot hold {value}")
    return BufferPlan(tensor, lambda index, shape: np.full(index.shape, value), mean=value, std=0.0)


def is_buffer(text: str) -> bool:
    """Whether `text` is a buffer that no initialiser makes."""
    return text in ("arange", "tril") or _INV_FREQ.fullmatch(text) is not None


def _require_axes(text: str, tensor: TensorSpec, axes: int) -> None:
    if len(tensor.shape) < axes:
        raise ValueError(f"{text} needs {axes} axes or more, not shape {tensor.shape}")


def _inverse_frequencies(base: Decimal, n: int) -> npt.NDArray[np.float64]:
    # Decimal's ln and exp are correctly rounded on every machine. No libm's pow promises that.
    context = Context(prec=40)
    log = context.ln(base)
    return np.array([float(context.exp(context.divide(context.multiply(log, -i), n))) for i in range(n)])
