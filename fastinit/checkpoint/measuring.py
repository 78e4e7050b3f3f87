"""What one pass over a checkpoint's files measures of each tensor: moments, and a sketch of its values."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .formats import Stored
from .pieces import PIECE, ranges
from .sketches import Counter, Sketch
from .spec import TensorSpec


def jobs(stored: Sequence[Stored]) -> Iterator[tuple[Sequence[Stored], int, int]]:
    """Yield the pieces of tensors: the tensors, the first word, and the one behind the last.

    Small neighbours of one dtype and size share a piece.
    """
    row: list[Stored] = []
    for tensor in sorted(stored, key=lambda tensor: (os.fspath(tensor.path), tensor.offset)):
        size = tensor.spec.nbytes
        if row and (
            tensor.offset != row[0].offset + len(row) * size
            or tensor.spec.dtype != row[0].spec.dtype
            or row[0].spec.nbytes != size
            or (len(row) + 1) * size > PIECE
            or tensor.path != row[0].path
        ):
            yield row, 0, len(row) * row[0].spec.words
            row = []
        if 0 < size <= PIECE:
            row.append(tensor)
        else:
            yield from (([tensor], *piece) for piece in ranges(tensor.spec))
    if row:
        yield row, 0, len(row) * row[0].spec.words


class Moments(NamedTuple):
    """Moments and counts of a part of a tensor. `squares`: sum of squared distances from the mean."""

    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0
    nan: int = 0
    inf: int = 0

    @property
    def std(self) -> float:
        """The standard deviation of the finite numbers, if there are some."""
        return math.sqrt(self.squares / self.finite)

    @classmethod
    def of(cls, rows: npt.NDArray[Any]) -> Iterator[Moments]:
        """Yield the moments of each row, which has one value or more."""
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            yield from map(cls._of_any, rows)
            return
        size = rows.shape[1]
        # Distances from the first value give a constant a deviation of exactly 0.
        origins = rows[:, :1].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            distances = rows.astype(np.float64)
            distances -= origins
            means = distances.mean(axis=1)
            # A dot product would depend on the number of BLAS threads.
            squares = np.square(distances, out=distances).sum(axis=1) - means * means * size
            means += origins[:, 0]
        columns = (
            means,
            np.maximum(squares, 0.0),
            rows.min(axis=1),
            rows.max(axis=1),
            np.count_nonzero(rows == 0, axis=1),
        )
        yield from map(cls, [size] * len(rows), *(column.tolist() for column in columns))

    @classmethod
    def _of_any(cls, values: npt.NDArray[Any]) -> Moments:
        """Return the moments of values that may be NaN or infinite."""
        finite = values[np.isfinite(values)]
        nan = int(np.count_nonzero(np.isnan(values)))
        (moments,) = cls.of(finite[None]) if finite.size else [cls()]
        return moments._replace(nan=nan, inf=values.size - finite.size - nan)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both parts together (Chan, Golub and LeVeque 1979)."""
        if self == NOTHING:
            return other
        finite = self.finite + other.finite
        share = other.finite / finite if finite else 0.0
        gap = other.mean - self.mean
        return Moments(
            finite,
            self.mean + gap * share if self.finite else other.mean,
            self.squares + other.squares + (gap * gap * self.finite * share if self.finite else 0.0),
            min(self.min, other.min),
            max(self.max, other.max),
            self.zeros + other.zeros,
            self.nan + other.nan,
            self.inf + other.inf,
        )


NOTHING = Moments()


class Tally:
    """Collects the pieces of a tensor. Any thread may add one, in any order.

    Parameters
    ----------
    spec : TensorSpec
        The tensor.
    sketched : bool
        Whether there is a sketch, too.
    """

    def __init__(self, spec: TensorSpec, *, sketched: bool) -> None:
        self._lock = threading.Lock()
        self._missing = spec.size * spec.stored.parts
        self._counter = Counter(spec) if sketched else None
        self._pieces: list[tuple[int, Moments]] = []

    def add(self, start: int, numbers: npt.NDArray[Any], moments: Moments) -> bool:
        """Add the numbers of a piece with their moments. Return whether it was the last."""
        if self._counter is not None:
            self._counter.add(numbers)
        with self._lock:
            self._pieces.append((start, moments))
            self._missing -= numbers.size
            return self._missing == 0

    def result(self) -> tuple[Moments, Sketch | None]:
        """Return what was measured."""
        # Merge in order, so that rounding does not depend on the threads.
        moments = reduce(Moments.merged, (each for _, each in sorted(self._pieces)), NOTHING)
        return moments, None if self._counter is None else self._counter.sketch()
