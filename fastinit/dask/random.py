"""Random Dask arrays, whose values no chunk sizes change.

Each block is made where it is needed, from its place in the stream. All blocks together are the array that
`fastinit.random.Generator` gives for the same seed and shape.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from fastinit import _dtypes, _sampling
from fastinit import random as _random

__all__ = ["Generator", "default_rng"]

Shape = int | tuple[int, ...] | None
_METHODS = ("random", "uniform", "standard_normal", "normal", "truncated_normal")


def default_rng(seed: Any = None) -> Generator:
    """Return a generator of Dask arrays.

    Parameters
    ----------
    seed : optional
        As for `fastinit.random.default_rng`. Normals are made by Box-Muller.

    Examples
    --------
    >>> from fastinit import random
    >>> lazy = default_rng(7).standard_normal((300, 200), chunks=(100, 70))
    >>> bool((lazy.compute() == random.default_rng(7).standard_normal((300, 200))).all())
    True
    """
    return Generator(_random.default_rng(seed))


class Generator:
    """Makes lazy arrays, one after another from one stream, as a generator of NumPy's does.

    Parameters
    ----------
    rng : fastinit.random.Generator
        Over PCG64 or PCG64DXSM. It moves past each array at once, before any block is made.

    Notes
    -----
    The methods take numbers as parameters; `size`, without which the array has no axes; `chunks`, as
    `dask.array` does; and `dtype`, as `fastinit.random` does. Names of arrays follow from the position of the
    stream and all arguments, so equal programs give equal graphs. Every other method of NumPy's raises
    NotImplementedError, as its values can't be made from the middle of a stream.
    """

    def __init__(self, rng: _random.Generator) -> None:
        if not isinstance(rng, _random.Generator):
            raise TypeError(f"rng must be a fastinit.random.Generator, not {type(rng).__name__}")
        if rng.normals == "ziggurat":
            raise ValueError(
                "a ziggurat's normals can't be made block by block: normals must be 'box-muller'"
            )
        self._rng = rng

    def random(self, size: Shape = None, dtype: npt.DTypeLike = np.float64, chunks: Any = "auto") -> da.Array:
        """Uniform values in [0, 1), as `fastinit.random.Generator.random` makes them."""
        return self._array("uniform", (0.0, 1.0), size, dtype, chunks)

    def uniform(
        self,
        low: float = 0.0,
        high: float = 1.0,
        size: Shape = None,
        dtype: npt.DTypeLike = np.float64,
        chunks: Any = "auto",
    ) -> da.Array:
        """Uniform values, as `fastinit.random.Generator.uniform` makes them."""
        return self._array("uniform", (low, high), size, dtype, chunks)

    def standard_normal(
        self, size: Shape = None, dtype: npt.DTypeLike = np.float64, chunks: Any = "auto"
    ) -> da.Array:
        """Normal values of mean 0 and standard deviation 1, by Box-Muller."""
        return self._array("normal", (0.0, 1.0), size, dtype, chunks)

    def normal(
        self,
        loc: float = 0.0,
        scale: float = 1.0,
        size: Shape = None,
        dtype: npt.DTypeLike = np.float64,
        chunks: Any = "auto",
    ) -> da.Array:
        """Normal values, as `fastinit.random.Generator.normal` makes them."""
        return self._array("normal", (loc, scale), size, dtype, chunks)

    def truncated_normal(
        self,
        low: float,
        high: float,
        loc: float = 0.0,
        scale: float = 1.0,
        size: Shape = None,
        dtype: npt.DTypeLike = np.float64,
        chunks: Any = "auto",
    ) -> da.Array:
        """Truncated normals, as `fastinit.random.Generator.truncated_normal` makes them."""
        return self._array("truncated_normal", (low, high, loc, scale), size, dtype, chunks)

    def __getattr__(self, name: str) -> Any:
        if callable(getattr(_random.Generator, name, None)) and not name.startswith("_"):
            raise NotImplementedError(f"{name} has no lazy form: there are {', '.join(_METHODS)}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, _position(self._rng))

    def _array(
        self, distribution: str, parameters: tuple[float, ...], size: Shape, dtype: npt.DTypeLike, chunks: Any
    ) -> da.Array:
        record = _dtypes.of(np.float64 if dtype is None else dtype)
        numbers = tuple(map(_number, parameters))
        shape = (
            ()
            if size is None
            else tuple(map(operator.index, size if isinstance(size, Iterable) else (size,)))
        )
        if min(shape, default=0) < 0:
            raise ValueError("negative dimensions are not allowed")
        getattr(self._rng, distribution)(
            *numbers, size=0, dtype=dtype
        )  # raises its errors, and draws nothing
        divided = da.core.normalize_chunks(chunks, shape, dtype=record.numpy)
        made = distribution, record.tag, *numbers
        position = _position(self._rng)
        _sampling.consume(self._rng, math.prod(shape), distribution, record.tag)
        return da.map_blocks(
            _block,
            position,
            shape,
            made,
            record.name,
            chunks=divided,
            dtype=record.numpy,
            meta=np.empty((0,) * len(shape), record.numpy),
            name=f"{distribution}-{tokenize(position, shape, divided, made)}",
        )


_Position = tuple[type, dict[str, Any]]


def _position(rng: _random.Generator) -> _Position:
    bits: Any = rng.bit_generator
    return type(bits), bits.state


def _number(value: Any) -> float:
    if np.ndim(value):
        raise NotImplementedError("parameters that are arrays have no lazy form: give numbers")
    return float(value)


def _block(
    position: _Position, shape: tuple[int, ...], made: tuple[Any, ...], name: str, *, block_info: Any
) -> npt.NDArray[Any]:
    """Return one block of an array."""
    kind, state = position
    bits = kind(0)
    bits.state = state
    record = _dtypes.of(name)
    place = block_info[None]["array-location"]
    out = np.empty([stop - start for start, stop in place], record.numpy)
    block = [(start, stop, 1) for start, stop in place]
    _sampling.fill_block(_random.Generator(bits), record.view(out), shape, block, *made)
    return out
