from collections.abc import Sequence
from typing import Any, Self, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from numpy.random import BitGenerator, RandomState
from numpy.random.bit_generator import ISeedSequence

__all__ = ["Generator", "default_rng"]

_Size: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
_Real: TypeAlias = float | np.floating[Any] | np.integer[Any] | np.bool[bool]
_Like: TypeAlias = npt.ArrayLike
_Array: TypeAlias = npt.NDArray[Any]
_DType: TypeAlias = npt.DTypeLike | None
_Out: TypeAlias = _Array | None

# A float if neither an array nor a size is given, else an array.
class Generator(np.random.Generator):
    def spawn(self, n_children: int) -> list[Any]: ...  # of Self, but NumPy's signature has its own class
    def fold_in(self, key: str | int | np.integer[Any]) -> Self: ...
    @overload
    def random(self, size: None = None, dtype: _DType = ..., out: None = None) -> float: ...
    @overload
    def random(self, size: _Size = None, dtype: _DType = ..., out: _Out = None) -> _Array: ...
    @overload
    def standard_normal(self, size: None = None, dtype: _DType = ..., out: None = None) -> float: ...
    @overload
    def standard_normal(self, size: _Size = None, dtype: _DType = ..., out: _Out = None) -> _Array: ...
    @overload
    def uniform(
        self, low: _Real = 0.0, high: _Real = 1.0, size: None = None, dtype: _DType = ..., out: None = None
    ) -> float: ...
    @overload
    def uniform(
        self, low: _Like = 0.0, high: _Like = 1.0, size: _Size = None, dtype: _DType = ..., out: _Out = None
    ) -> _Array: ...
    @overload
    def normal(
        self, loc: _Real = 0.0, scale: _Real = 1.0, size: None = None, dtype: _DType = ..., out: None = None
    ) -> float: ...
    @overload
    def normal(
        self, loc: _Like = 0.0, scale: _Like = 1.0, size: _Size = None, dtype: _DType = ..., out: _Out = None
    ) -> _Array: ...
    @overload
    def truncated_normal(
        self,
        low: _Real,
        high: _Real,
        loc: _Real = 0.0,
        scale: _Real = 1.0,
        size: None = None,
        dtype: _DType = ...,
        out: None = None,
    ) -> float: ...
    @overload
    def truncated_normal(
        self,
        low: _Like,
        high: _Like,
        loc: _Like = 0.0,
        scale: _Like = 1.0,
        size: _Size = None,
        dtype: _DType = ...,
        out: _Out = None,
    ) -> _Array: ...

def default_rng(
    seed: npt.ArrayLike | ISeedSequence | BitGenerator | np.random.Generator | RandomState | None = None,
) -> Generator: ...
