"""The dtypes: their names, limits and conversions of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

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
        The name in the C core (FI_EACH_DTYPE). A dtype that the core lacks has that of the dtype in which its
        values are made.
    stored_as : str
        The name in safetensors.
    storage : numpy.dtype
        The dtype of arrays for kernels and files. bfloat16 is uint16 here, and float8 is uint8, so that only
        arrays for users need ml_dtypes.
    max : float
        The largest finite value.
    epsilon : float
        The distance from 1 to the next value.
    tiny : float
        The smallest value above 0.
    narrow, widen : callable
        From float64 values, or those of the dtype in which its values are made, to its storage, rounded once;
        and from its storage to a dtype that NumPy computes with, exact.
    """

    name: str
    tag: str
    stored_as: str
    storage: np.dtype[Any]
    max: float
    epsilon: float
    tiny: float
    narrow: Callable[[Array], Array]
    widen: Callable[[Array], Array]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of users' arrays. Those of bfloat16 and float8 come from ``ml_dtypes``."""
        return self.storage if self.storage.kind == "f" else of_ml_dtypes(self.name)

    @property
    def made(self) -> Dtype:
        """The dtype in which its values are made: itself, if the C core has it."""
        return DTYPES[self.tag]

    def __reduce__(self) -> tuple[Callable[[str], Dtype], tuple[str]]:
        return _recorded, (self.name,)  # a pickle comes back as the record itself

    @property
    def working_max(self) -> float:
        """The largest finite value of the working precision: float64 for float64, else float32."""
        return max(self.max, float.fromhex("0x1.fffffep127"))

    def names(self, dtype: np.dtype[Any]) -> bool:
        """Whether a NumPy dtype is this one, in native byte order."""
        try:
            return _name_of(dtype) == self.name
        except TypeError:  # unhashable
            return False

    def view(self, array: Array) -> Array:
        """Return an array of this dtype or its storage as its storage. Raise TypeError for another dtype."""
        if array.dtype == self.storage:
            return array
        if self.names(array.dtype):
            return array.view(self.storage)
        raise TypeError(f"array has dtype {array.dtype}, but {self.name} is wanted")


@functools.lru_cache(64)  # np.dtype.name takes 4 us
def _name_of(dtype: np.dtype[Any]) -> str | None:
    return dtype.name if dtype.isnative else None


def of_ml_dtypes(name: str) -> np.dtype[Any]:
    """Return a dtype of ``ml_dtypes``. Raise ImportError if that is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(f"{name} arrays need ml_dtypes: pip install ml_dtypes") from None
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def _to_odd(values: Array) -> npt.NDArray[np.uint32]:
    """Round to float32, to odd: its last bit is set if inexact. So the second rounding decides ties right."""
    exact = np.atleast_1d(values)
    if exact.dtype == np.float32:
        return exact.view(np.uint32)
    single = exact.astype(np.float32)
    bits = single.view(np.uint32)
    bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
    bits |= (bits.view(np.float32) != exact).astype(np.uint32)
    return bits


def _narrow_bfloat16(values: Array) -> Array:
    bits = _to_odd(values)
    half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    half[np.isnan(np.atleast_1d(values))] = 0x7FC0
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
        float(limits.smallest_subnormal),
        narrow=lambda values: np.asarray(values).astype(storage),
        widen=lambda stored: stored.astype(working, copy=False),
    )


#: Values whose temporary arrays fit in the L2 cache. It is even, so that no pair of normals is drawn twice.
CHUNK = 1 << 15


def _float8(name: str, stored_as: str, exponent_bits: int, nan: int, infinity: int | None) -> Dtype:
    """A dtype of 8 bits, whose values are made in float32, with the codes of a NaN and of infinity, if any.

    A finite value that is too large becomes the largest finite value. So does infinity if it has no code.
    """
    digits = 7 - exponent_bits
    exponents, fractions = np.divmod(np.arange(128), 1 << digits)
    significands = np.where(exponents == 0, fractions, fractions + (1 << digits))
    places = np.maximum(exponents, 1) - (1 << (exponent_bits - 1)) + 1 - digits
    values = np.ldexp(significands, places).astype(np.float32)
    finite = values[: nan if infinity is None else infinity]
    values[len(finite) :] = np.nan
    if infinity is not None:
        values[infinity] = np.inf
    signed = np.concatenate([values, -values])

    @functools.cache
    def table() -> npt.NDArray[np.uint8]:
        """Return the code of each bfloat16 that was rounded to odd, which keeps its side of a tie."""
        magnitudes = _widen_bfloat16(np.arange(1 << 15))
        ties = (finite[1:] + finite[:-1]) / 2  # exact
        codes = np.searchsorted(ties, magnitudes)
        codes += np.isin(magnitudes, ties) & (codes % 2 == 1)
        if infinity is not None:
            codes[np.isinf(magnitudes)] = infinity
        codes[np.isnan(magnitudes)] = nan
        return np.concatenate([codes, codes | 0x80]).astype(np.uint8)

    def narrow(values: Array) -> Array:
        flat = values.reshape(-1)
        out = np.empty(flat.size, np.uint8)
        for start in range(0, flat.size, CHUNK):
            bits = _to_odd(flat[start : start + CHUNK])
            # The lower half, if it is not 0, sets the last bit of the upper half.
            halves = ((bits & np.uint32(0xFFFF)) + np.uint32(0xFFFF) | bits) >> np.uint32(16)
            table().take(
                halves.astype(np.intp), out=out[start : start + CHUNK], mode="clip"
            )  # "raise" would buffer
        return out.reshape(values.shape)

    return Dtype(
        name,
        "f32",
        stored_as,
        np.dtype(np.uint8),
        float(finite[-1]),
        2.0**-digits,
        float(finite[1]),
        narrow=narrow,
        widen=signed.take,
    )


_BFLOAT16 = Dtype(
    "bfloat16",
    "bf16",
    "BF16",
    np.dtype(np.uint16),
    float.fromhex("0x1.fep127"),
    2.0**-7,
    2.0**-133,
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
#: The dtypes that only checkpoints have.
FLOAT8 = (
    _float8("float8_e4m3fn", "F8_E4M3", 4, nan=0x7F, infinity=None),
    _float8("float8_e5m2", "F8_E5M2", 5, nan=0x7E, infinity=0x7C),
)
if DTYPES.keys() != _dispatch.DTYPES.keys():
    raise ImportError(f"the C core has dtypes {[*_dispatch.DTYPES]}, but fastinit._dtypes has {[*DTYPES]}")
_BY_NAME = {dtype.name: dtype for dtype in DTYPES.values()}
_RECORDS = _BY_NAME | {dtype.name: dtype for dtype in FLOAT8}
_OF_TORCH = {f"torch.{dtype.name}": dtype for dtype in (_BFLOAT16, *FLOAT8)}


def _recorded(name: str) -> Dtype:
    return _RECORDS[name]


@functools.lru_cache(64)
def of_torch(dtype: Any) -> Dtype | None:
    """Return the record of a dtype of torch that NumPy lacks, or None for any other."""
    return _OF_TORCH.get(str(dtype))


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
    kind = type(dtype)
    if kind is Dtype:
        return dtype  # type: ignore[return-value]
    # Other arguments may be equal though their dtypes differ, as np.float32(1) and np.float64(1).
    named = kind is type or kind is str or issubclass(kind, np.dtype)
    found = _found(dtype) if named else _found.__wrapped__(dtype)  # type: ignore[arg-type]
    if found is None:
        raise TypeError(f"dtype must be one of {', '.join(_BY_NAME)} (in native byte order), not {dtype!r}")
    return found


@functools.lru_cache(64)
def _found(dtype: Any) -> Dtype | None:
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype]
    try:
        numpys = np.dtype(dtype)
    except TypeError:
        return None
    return _BY_NAME.get(_name_of(numpys) or "") if dtype is not None else None


def rounded(values: npt.NDArray[np.float64] | np.float64, dtype: Dtype) -> Array:
    """Return float64 values rounded once, to nearest even, into the storage of a dtype."""
    with default_fp(), np.errstate(all="ignore"):
        return dtype.narrow(np.asarray(values))
