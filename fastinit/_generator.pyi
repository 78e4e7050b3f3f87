from collections.abc import Sequence
from typing import Any, Self, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from numpy.random import BitGenerator, RandomState
from numpy.random.bit_generator import ISeedSequence

__all__ = ["Generator", "default_rng"]

_Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Scalar: TypeAlias = float | np.floating[Any] | np.integer[Any] | np.bool[bool]
_Array: TypeAlias = npt.NDArray[Any]
_DType: TypeAlias = npt.DTypeLike | None

# A float if neither an array nor a size is given, else an array.
class Generator(np.random.Generator):
    def spawn(self, n_children: int) -> list[Any]: ...  # of Self, but NumPy's signature has its own class
    def fold_in(self, key: str | int | np.integer[Any]) -> Self: ...
    @overload
    def random(self, size: None = None, dtype: _DType = ..., out: None = None) -> float: ...
    @overload
    def random(self, size: _Size | None = None, dtype: _DType = ..., out: _Array | None = None) -> _Array: ...
    @overload
    def standard_normal(self, size: None = None, dtype: _DType = ..., out: None = None) -> float: ...
    @overload
    def standard_normal(
        self, size: _Size | None = None, dtype: _DType = ..., out: _Array | None = None
    ) -> _Array: ...
    @overload
    def uniform(
        self,
        low: _Scalar = 0.0,
        high: _Scalar = 1.0,
        size: None = None,
        dtype: _DType = ...,
        out: None = None,
    ) -> float: ...
    @overload
    def uniform(
        self,
        low: npt.ArrayLike = 0.0,
        high: npt.ArrayLike = 1.0,
        size: _Size | None = None,
        dtype: _DType = ...,
        out: _Array | None = None,
    ) -> _Array: ...
    @overload
    def normal(
        self,
        loc: _Scalar = 0.0,
        scale: _Scalar = 1.0,
        size: None = None,
        dtype: _DType = ...,
        out: None = None,
    ) -> float: ...
    @overload
    def normal(
        self,
        loc: npt.ArrayLike = 0.0,
        scale: npt.ArrayLike = 1.0,
        size: _Size | None = None,
        dtype: _DType = ...,
        out: _Array | None = None,
    ) -> _Array: ...
    @overload
    def truncated_normal(
        self,
        low: _Scalar,
        high: _Scalar,
        loc: _Scalar = 0.0,
        scale: _Scalar = 1.0,
        size: None = None,
        dtype: _DType = ...,
        out: None = None,
    ) -> float: ...
    @overload
    def truncated_normal(
        self,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        loc: npt.ArrayLike = 0.0,
        scale: npt.ArrayLike = 1.0,
        size: _Size | None = None,
        dtype: _DType = ...,
        out: _Array | None = None,
    ) -> _Array: ...

def default_rng(
    seed: npt.ArrayLike | ISeedSequence | BitGenerator | np.random.Generator | RandomState | None = None,
) -> Generator: ...
