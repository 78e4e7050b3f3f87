"""Buffers: tensors whose elements follow from their index and the shape, without random draws."""

from __future__ import annotations

import base64
import functools
import math
import re
import zlib
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes, init

from .spec import TensorSpec
from .storage import DTYPES, dtype_name

Shape = tuple[int, ...]
Indices = npt.NDArray[np.int64]
_INV_FREQ = re.compile(r"inv_freq(?:\(base=([1-9]\d*(?:\.\d*)?(?:e\d+)?)\))?")
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


def packed(values: npt.NDArray[Any]) -> str:
    """Return an array as text: the dtype's name in safetensors, a colon, and the compressed elements.

    Examples
    --------
    >>> unpacked(packed(np.array([1, 2], np.int16)))
    array([1, 2], dtype=int16)
    """
    stored = np.ascontiguousarray(values)
    text = base64.b64encode(zlib.compress(stored.tobytes(), 9)).decode()
    return f"{dtype_name(stored.dtype)}:{text}"


@functools.lru_cache(16)  # layers have the same tables
def unpacked(text: str) -> npt.NDArray[Any]:
    """Return the elements of a text from `packed`, 1-D. ValueError if it is malformed."""
    name, _, data = text.partition(":")
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(data, validate=True)), DTYPES[name].storage)
    except (KeyError, ValueError, zlib.error) as error:
        raise ValueError(f"data is malformed: {error}") from None


def plan(text: str, tensor: TensorSpec, data: str | None = None) -> BufferPlan | None:
    """Return the plan of a buffer, or None if `text` must be an initialiser of floats.

    ``data`` takes the elements from `data`, a text from `packed`. ``arange`` counts along the last axis,
    ``tril`` is 1 on and below the diagonal of the last two axes, and ``inv_freq(base=10000)``, or
    ``inv_freq`` alone, holds the inverse frequencies of rotary embeddings, ``base ** (-i / n)``.
    Integers and BOOL also take ``zeros``, ``ones`` and ``constant``; C64, F8_E8M0 and F4 take only these.

    Raises
    ------
    ValueError
        The shape or the dtype does not fit the buffer.
    """
    if not tensor.size:  # as in torch, nothing is done and nothing is wrong
        return BufferPlan(tensor, _arange)
    stored = tensor.stored
    base = _INV_FREQ.fullmatch(text)
    if text == "data":
        elements = unpacked(data or "")
        if elements.size != tensor.size:
            raise ValueError(f"data has {elements.size} elements, but shape {tensor.shape} has {tensor.size}")
        moments = _moments(elements)
        if stored.floating is None and not stored.counts and stored.parts == 1:
            if stored.packed > 1:
                raise ValueError(f"data cannot make {tensor.dtype}, which can be zeros, ones or constant")
            numbers, places = np.unique(elements, return_inverse=True)
            elements = np.array([stored.word(float(number)) for number in numbers], stored.storage)[places]
        return BufferPlan(tensor, functools.partial(_taken, elements), *moments)
    if is_buffer(text) and stored.floating is None and not stored.counts:
        raise ValueError(f"{text} cannot make {tensor.dtype}, which can be zeros, ones or constant")
    if text == "arange":
        _require_axes(text, tensor, 1)
        return BufferPlan(tensor, _arange)
    if text == "tril":
        _require_axes(text, tensor, 2)
        return BufferPlan(tensor, _tril)
    if base:
        _require_axes(text, tensor, 1)
        if not math.isfinite(float(base[1] or 10000)):
            raise ValueError(f"{base[1]} is too large a base")
        return BufferPlan(tensor, functools.partial(_inverse_frequencies, base[1] or "10000"))
    if stored.floating is not None:
        return None
    constant = init.get(text).plan((1, 1), dtype="float64")
    if constant.distribution != "constant":
        buffers = ", constant, arange or tril" if stored.counts else " or constant"
        raise ValueError(f"{text} makes floats; {tensor.dtype} can be zeros, ones{buffers}")
    (value,) = constant.parameters
    word = stored.word(value)
    std = 0.0 if stored.parts == 1 else None
    mean = value if stored.parts == 1 else None
    return BufferPlan(tensor, functools.partial(_filled, word), mean=mean, std=std)


# Functions of a module and `partial`, unlike lambdas, can be pickled.
def _arange(index: Indices, shape: Shape) -> npt.NDArray[Any]:
    return index % shape[-1]


def _tril(index: Indices, shape: Shape) -> npt.NDArray[Any]:
    return index % shape[-1] <= index // shape[-1] % shape[-2]


def _taken(elements: npt.NDArray[Any], index: Indices, shape: Shape) -> npt.NDArray[Any]:
    return elements[index]


def _filled(word: Any, index: Indices, shape: Shape) -> npt.NDArray[Any]:
    return np.full(index.shape, word)


def is_buffer(text: str) -> bool:
    """Whether `text` is a buffer that no initialiser makes."""
    return text in ("arange", "data", "tril") or _INV_FREQ.fullmatch(text) is not None


def _moments(elements: npt.NDArray[Any]) -> tuple[float, float] | tuple[None, None]:
    if elements.dtype.kind == "c":
        return None, None
    numbers = elements.astype(np.float64)
    if not (numbers.size and np.isfinite(numbers).all()):
        return None, None
    return float(numbers.mean()), float(numbers.std())


def _require_axes(text: str, tensor: TensorSpec, axes: int) -> None:
    if len(tensor.shape) < axes:
        raise ValueError(f"{text} needs {axes} axes or more, not shape {tensor.shape}")


def _inverse_frequencies(base: str, index: Indices, shape: Shape) -> npt.NDArray[Any]:
    """Return the frequencies at indices alone: a shape may promise more than anyone needs."""
    places, again = np.unique(index % shape[-1], return_inverse=True)
    return np.array([_inverse_frequency(base, int(place), shape[-1]) for place in places])[again]


@functools.lru_cache(1 << 12)
def _inverse_frequency(base: str, i: int, n: int) -> float:
    # Decimal's ln and exp are correctly rounded on every machine. No libm's pow promises that.
    context = Context(prec=40)
    power = context.divide(context.multiply(context.ln(Decimal(base)), -i), n)
    return float(context.exp(power))
