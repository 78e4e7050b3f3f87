"""The dtypes: their names, limits and conversions of arrays."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastinit import _dispatch
from fastinit._dispatch import default_fp

__all__ = ["DTYPES", "Dtype", "of", "rounded"]


class Dtype(NamedTuple):
    """One dtype.

    Attributes
    ----------
    name : str
        The name in NumPy and the frameworks.
    tag : str
        The name in the C core (FI_EACH_DTYPE).
    stored_as : str
        The name in safetensors.
    storage : numpy.dtype
        The dtype of arrays for kernels and files. bfloat16 is uint16 here, so that only arrays for users need
        ml_dtypes.
    max : float
        The largest finite value.
    epsilon : float
        The distance from 1 to the next value.
    """

    name: str
    tag: str
    stored_as: str
    storage: np.dtype[Any]
    max: float
    epsilon: float

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of users' arrays. That of bfloat16 comes from ``ml_dtypes``.

        Examples
        --------
        >>> of("float16").numpy
        dtype('float16')
        """
        if self.name == self.storage.name:
            return self.storage
        try:
            import ml_dtypes
        except ImportError:
            raise ImportError(f"{self.name} arrays need ml_dtypes: pip install ml_dtypes") from None
        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.name))
        return dtype

    @property
    def working_max(self) -> float:
        """The largest finite value of the working precision: float64 for float64, else float32."""
        return max(self.max, float.fromhex("0x1.fffffep127"))

    def view(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array of this dtype or its storage as its storage. Raise TypeError for another dtype."""
        if array.dtype == self.storage:
            return array
        if array.dtype.name == self.name and array.dtype.isnative:
            return array.view(self.storage)
        raise TypeError(f"array has dtype {array.dtype}, but {self.name} is wanted")

    def widen(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return stored values exactly, in a dtype that NumPy computes with: half types as float32."""
        if self.name == "bfloat16":
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return stored.astype(np.float32) if self.storage.itemsize < 4 else stored


DTYPES = {
    dtype.tag: dtype
    for dtype in (
        Dtype("float16", "f16", "F16", np.dtype(np.float16), 65504.0, 2.0**-10),
        Dtype("bfloat16", "bf16", "BF16", np.dtype(np.uint16), float.fromhex("0x1.fep127"), 2.0**-7),
        Dtype("float32", "f32", "F32", np.dtype(np.float32), float.fromhex("0x1.fffffep127"), 2.0**-23),
        Dtype("float64", "f64", "F64", np.dtype(np.float64), sys.float_info.max, 2.0**-52),
    )
}
if DTYPES.keys() != _dispatch.DTYPES.keys():
    raise ImportError(f"the C core has dtypes {[*_dispatch.DTYPES]}, but fastinit._dtypes has {[*DTYPES]}")
_BY_NAME = {dtype.name: dtype for dtype in DTYPES.values()}


def of(dtype: npt.DTypeLike | Dtype) -> Dtype:
    """Return the record of a dtype.

    Parameters
    ----------
    dtype : dtype, type, str or Dtype
        A NumPy dtype, scalar type or name, but not a tag: NumPy's ``"f16"`` has 16 bytes. The name
        ``"bfloat16"`` needs no ``ml_dtypes``.

    Raises
    ------
    TypeError
        The dtype is another one, or in foreign byte order.

    Examples
    --------
    >>> of(np.float32).tag, of("bfloat16").tag, of("f8").tag
    ('f32', 'bf16', 'f64')
    """
    if isinstance(dtype, Dtype):
        return dtype
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype]
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is not None and dtype is not None and found.isnative and found.name in _BY_NAME:
        return _BY_NAME[found.name]
    raise TypeError(f"dtype must be one of {', '.join(_BY_NAME)} (in native byte order), not {dtype!r}")


def rounded(values: npt.NDArray[np.float64] | np.float64, dtype: Dtype) -> npt.NDArray[Any]:
    """Return float64 values rounded once, to nearest even, into the storage of a dtype."""
    with default_fp(), np.errstate(over="ignore", invalid="ignore"):
        if dtype.name == dtype.storage.name:
            return np.asarray(values).astype(dtype.storage)
        # bfloat16: to float32 rounded to odd, whose last bit is set if inexact. So the second rounding, to
        # nearest, decides every tie correctly.
        single = np.atleast_1d(values.astype(np.float32))
        exact = np.atleast_1d(values)
        bits = single.view(np.uint32)
        bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
        bits |= (bits.view(np.float32) != exact).astype(np.uint32)
        half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        half[np.isnan(exact)] = 0x7FC0
        return half.reshape(values.shape)
