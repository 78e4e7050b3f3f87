"""The dtypes: their names, limits and conversions of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastinit import _dispatch
from fastinit._dispatch import default_fp

Array = npt.NDArray[Any]


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
    narrow, widen : callable
        From float64 values to its storage, rounded once, and from its storage to a dtype that NumPy computes
        with, exact.
    """

    name: str
    tag: str
    stored_as: str
    storage: np.dtype[Any]
    max: float
    epsilon: float
    narrow: Callable[[Array], Array]
    widen: Callable[[Array], Array]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of users' arrays. That of bfloat16 comes from ``ml_dtypes``."""
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

    def view(self, array: Array) -> Array:
        """Return an array of this dtype or its storage as its storage. Raise TypeError for another dtype."""
        if array.dtype == self.storage:
            return array
        if array.dtype.name == self.name and array.dtype.isnative:
            return array.view(self.storage)
        raise TypeError(f"array has dtype {array.dtype}, but {self.name} is wanted")


def _narrow_bfloat16(values: Array) -> Array:
    """Round to float32, to odd: its last bit is set if inexact. So the second rounding decides ties right."""
    single = np.atleast_1d(values.astype(np.float32))
    exact = np.atleast_1d(values)
    bits = single.view(np.uint32)
    bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
    bits |= (bits.view(np.float32) != exact).astype(np.uint32)
    half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    half[np.isnan(exact)] = 0x7FC0
    return half.reshape(values.shape)


def _widen_bfloat16(stored: Array) -> Array:
    return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _native(name: str, tag: str, working: type[np.floating[Any]]) -> Dtype:
    """A dtype that NumPy has itself."""
    storage = np.dtype(name)
    limits = np.finfo(storage)
    return Dtype(
        name,
        tag,
        tag.upper(),
        storage,
        float(limits.max),
        float(limits.eps),
        narrow=lambda values: np.asarray(values).astype(storage),
        widen=lambda stored: stored.astype(working, copy=False),
    )


_BFLOAT16 = Dtype(
    "bfloat16",
    "bf16",
    "BF16",
    np.dtype(np.uint16),
    float.fromhex("0x1.fep127"),
    2.0**-7,
    narrow=_narrow_bfloat16,
    widen=_widen_bfloat16,
)
DTYPES = {
    dtype.tag: dtype
    for dtype in (
        _native("float16", "f16", np.float32),
        _BFLOAT16,
        _native("float32", "f32", np.float32),
        _native("float64", "f64", np.float64),
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
    try:
        found = _found(cast(Hashable, dtype))
    except TypeError:  # it is unhashable, as what describes a structured dtype
        found = None
    if found is None:
        raise TypeError(f"dtype must be one of {', '.join(_BY_NAME)} (in native byte order), not {dtype!r}")
    return found


@functools.lru_cache(64)  # np.dtype.name takes 4 us
def _found(dtype: Any) -> Dtype | None:
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype]
    try:
        numpys = np.dtype(dtype)
    except TypeError:
        return None
    return _BY_NAME.get(numpys.name) if dtype is not None and numpys.isnative else None


def rounded(values: npt.NDArray[np.float64] | np.float64, dtype: Dtype) -> Array:
    """Return float64 values rounded once, to nearest even, into the storage of a dtype."""
    with default_fp(), np.errstate(over="ignore", invalid="ignore"):
        return dtype.narrow(np.asarray(values))
