"""The one place that knows the dtypes: their tags, their storage, and rounding into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit._dispatch import default_fp

__all__ = ["STORAGE", "dtype", "name", "rounded", "storage", "tag"]

# What an array of each tag looks like to the kernels. bfloat16 is a uint16 here and on its way to disk, so
# that only an array handed to a user needs ml_dtypes.
STORAGE: dict[str, np.dtype[Any]] = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
_TAGS = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"}


def tag(dtype: npt.DTypeLike) -> str:
    """Return the tag of a dtype: ``"f16"``, ``"bf16"``, ``"f32"`` or ``"f64"``.

    Parameters
    ----------
    dtype : dtype, type or str
        A NumPy dtype, a scalar type, or a name; no tag: NumPy's ``"f16"`` has 16 bytes. ``"bfloat16"`` needs
        no ``ml_dtypes``.

    Raises
    ------
    TypeError
        For every other dtype, and for one in foreign byte order.

    Examples
    --------
    >>> tag(np.float32), tag("bfloat16"), tag("f8")
    ('f32', 'bf16', 'f64')
    """
    if isinstance(dtype, str) and dtype == "bfloat16":
        return "bf16"
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is not None and dtype is not None and found.isnative and found.name in _TAGS:
        return _TAGS[found.name]
    raise TypeError(f"dtype must be one of {', '.join(_TAGS)} (in native byte order), not {dtype!r}")


def dtype(tag: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a tag; for ``"bf16"`` it comes from ``ml_dtypes``.

    Examples
    --------
    >>> dtype("f16")
    dtype('float16')
    """
    if tag != "bf16":
        return STORAGE[tag]
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError("bfloat16 arrays need ml_dtypes: pip install ml_dtypes") from None
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def storage(array: npt.NDArray[Any], tag: str) -> npt.NDArray[Any]:
    """Return an array of this tag, or of its storage, as its storage; TypeError for another dtype."""
    if array.dtype == STORAGE[tag]:
        return array
    if tag == "bf16" and array.dtype.name == "bfloat16" and array.dtype.isnative:
        return array.view(np.uint16)
    raise TypeError(f"array has dtype {array.dtype}, but {name(tag)} is wanted")


def rounded(values: npt.NDArray[np.float64] | np.float64, tag: str) -> npt.NDArray[Any]:
    """Return float64 values rounded once, to nearest even, into the storage of a dtype."""
    with default_fp(), np.errstate(over="ignore", invalid="ignore"):
        if tag != "bf16":
            return np.asarray(values).astype(STORAGE[tag])
        # float32 on the way is rounded to odd (its last bit says that something was lost), so that the second
        # rounding sees every tie as the first would have.
        single = np.atleast_1d(values.astype(np.float32))
        exact = np.atleast_1d(values)
        bits = single.view(np.uint32)
        bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
        bits |= (bits.view(np.float32) != exact).astype(np.uint32)
        half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        half[np.isnan(exact)] = 0x7FC0
        return half.reshape(values.shape)


def name(tag: str) -> str:
    """Return the name that NumPy and the frameworks have for a tag."""
    return next(spelled for spelled, known in _TAGS.items() if known == tag)
