"""The dtypes of tensors in files."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes
from fastinit._dtypes import Dtype

__all__ = ["DTYPES", "StoredDtype", "dtype_name"]

Array = npt.NDArray[Any]


def _itself(stored: Array) -> Array:
    return stored


class StoredDtype(NamedTuple):
    """A dtype of tensors in files.

    Attributes
    ----------
    name : str
        Its name in safetensors.
    numpy_name : str
        Its name in NumPy or ``ml_dtypes``.
    storage : numpy.dtype
        The dtype of stored words, little-endian. A word is one element, unless the dtype is packed.
    word : callable
        From a value to the word whose elements have this value. ValueError if there is none.
    widen : callable
        From stored elements to numbers of a dtype that NumPy computes with, exact.
    floating : Dtype or None
        The record of a dtype that initialisers fill. The others take constants only.
    counts : bool
        True for integers and BOOL, which are also filled with indices and padding rows.
    packed : int
        The elements in a word, the first in the lowest bits.
    parts : int
        The numbers in an element: 2 for a complex one.
    """

    name: str
    numpy_name: str
    storage: np.dtype[Any]
    word: Callable[[float], Any]
    widen: Callable[[Array], Array] = _itself
    floating: Dtype | None = None
    counts: bool = False
    packed: int = 1
    parts: int = 1

    def numbers(self, words: Array) -> Array:
        """Return the numbers in words: `parts` of each element, in a dtype that holds each exactly."""
        return self.widen(self.elements(words))

    def elements(self, words: Array) -> Array:
        """Return the stored elements in words: a packed dtype's in a byte each, others' as they are."""
        if self.packed == 1:
            return words
        bits = 8 * self.storage.itemsize // self.packed
        shifts = np.arange(0, 8 * self.storage.itemsize, bits, dtype=self.storage)
        return (words[:, None] >> shifts & (1 << bits) - 1).reshape(-1)

    def array(self, words: Array) -> Array:
        """Return the elements in words, in the dtype of users' arrays."""
        if self.floating is not None:
            return words.view(self.floating.numpy)
        if hasattr(np, self.numpy_name):
            return words
        return self.elements(words).view(_dtypes.of_ml_dtypes(self.numpy_name))


def _float(dtype: Dtype) -> StoredDtype:
    return StoredDtype(
        dtype.stored_as,
        dtype.name,
        dtype.storage.newbyteorder("<"),
        lambda value: _dtypes.rounded(np.float64(value), dtype),
        dtype.widen,
        floating=dtype,
    )


def _integer(name: str, numpy_name: str, least: int, most: int) -> StoredDtype:
    def word(value: float) -> int:
        if not (least <= value <= most and value == int(value)):
            raise ValueError(f"{name} cannot hold {value}")
        return int(value)

    storage = np.dtype(numpy_name).newbyteorder("<")
    widen = _itself if storage.kind != "b" else lambda stored: stored.view(np.uint8)
    return StoredDtype(name, numpy_name, storage, word, widen, counts=True)


def _table(name: str, numpy_name: str, values: Array, packed: int = 1) -> StoredDtype:
    """A dtype of few values, each at the index that is its code."""

    def word(value: float) -> int:
        codes = np.flatnonzero((values == value) & (np.signbit(values) == np.signbit(value)))
        if not codes.size:
            raise ValueError(f"{name} cannot hold {value}")
        return sum(int(codes[0]) << 8 // packed * each for each in range(packed))

    return StoredDtype(name, numpy_name, np.dtype(np.uint8), word, values.take, packed=packed)


def _complex_word(value: float) -> np.complex64:
    with np.errstate(over="ignore"):
        part = np.float32(value)
    if math.isfinite(value) and np.isinf(part):
        raise ValueError(f"C64 cannot hold {value}")
    return np.complex64(part)


_SIZES = (64, 32, 16, 8)
# OCP's microscaling formats: a power of two or NaN, and a sign, two bits of exponent and one of fraction.
_SCALES = np.append(np.ldexp(np.float32(1), np.arange(-127, 128)), np.float32(np.nan))
_FOUR_BITS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)

#: safetensors' name of a dtype -> its record. Wide floats come first.
DTYPES: dict[str, StoredDtype] = {
    dtype.name: dtype
    for dtype in (
        *(_float(_dtypes.DTYPES[tag]) for tag in ("f64", "f32", "f16", "bf16")),
        *map(_float, _dtypes.FLOAT8),
        *(_integer(f"I{n}", f"int{n}", -(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in _SIZES),
        *(_integer(f"U{n}", f"uint{n}", 0, 2**n - 1) for n in _SIZES),
        _integer("BOOL", "bool", 0, 1),
        _table("F8_E8M0", "float8_e8m0fnu", _SCALES),
        _table("F4", "float4_e2m1fn", np.concatenate([_FOUR_BITS, -_FOUR_BITS]), packed=2),
        StoredDtype(
            "C64",
            "complex64",
            np.dtype("<c8"),
            _complex_word,
            lambda stored: stored.view(np.float32),
            parts=2,
        ),
    )
}
_SPELLINGS = {
    spelling: name
    for name, dtype in DTYPES.items()
    for module in ("", "torch.", "np.", "numpy.", "jnp.")
    for spelling in (name, name.lower(), f"{module}{dtype.numpy_name}")
    if spelling not in ("f4", "i8", "u8")  # NumPy's names of wider dtypes
}
# Plain "float", "int" and "long" are left out: they are wider in NumPy than in torch.
_SPELLINGS |= {"fp16": "F16", "fp32": "F32", "fp64": "F64", "half": "F16", "double": "F64"}
_SPELLINGS |= {"torch.half": "F16", "torch.float": "F32", "torch.double": "F64"}
_SPELLINGS |= {"torch.short": "I16", "torch.int": "I32", "torch.long": "I64"}


def dtype_name(dtype: Any) -> Any:
    """Return safetensors' name of a dtype of NumPy or torch, or of its name. Return anything else itself.

    Unlike in NumPy, the string F8 does not mean float64.

    Examples
    --------
    >>> dtype_name("torch.bfloat16"), dtype_name("f32"), dtype_name("f8")
    ('BF16', 'F32', 'f8')
    """
    text = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", dtype))
    return _SPELLINGS.get(str(text), dtype)
