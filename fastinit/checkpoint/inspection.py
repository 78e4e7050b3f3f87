"""Statistics of a checkpoint's tensors (moments, extremes, counts) in one pass over the files."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastinit import _threads

from . import formats, rules
from .choices import Choice
from .errors import BadInput
from .files import Files
from .formats import Stored
from .manifest import select
from .matching import Model
from .pieces import PIECE, Progress, Report, number_of_threads, ranges
from .spec import TensorSpec

#: A tensor is marked if a moment is off by more standard errors than this: by chance, one in 10^9 is.
SIGMAS = 6.0


class Statistics(NamedTuple):
    """Statistics of a tensor's elements.

    Attributes
    ----------
    name, dtype, shape
        The tensor.
    mean, std, min, max : float or None
        Of the finite elements; None if there are none. Each part of a complex element counts as one.
    zeros : float
        The share of elements that are zero, from 0 to 1.
    nan, inf : int
        The number of NaNs, and of infinities.
    expected_mean, expected_std : float or None
        The moments that the rules in the metadata give.
    invalid : bool
        True if there are NaNs, or infinities that no rule gives.
    marked : bool
        True if the tensor is invalid, or its mean or std is more than `SIGMAS` standard errors from the
        expected one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros: float
    nan: int
    inf: int
    expected_mean: float | None
    expected_std: float | None
    invalid: bool
    marked: bool


def inspect(
    path: str | os.PathLike[str],
    *,
    only: str | Sequence[str] = (),
    threads: int | None = None,
    progress: Report | None = None,
) -> list[Statistics]:
    """Read a checkpoint and compute statistics of its tensors.

    It reads any safetensors file. Only files of fastinit have expected moments. Memory does not grow with the
    checkpoint.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    only : str or sequence of str, optional
        Globs. Only tensors whose names match one are read.
    threads, progress
        As for `generate`. The result does not depend on the number of threads.

    Returns
    -------
    list of Statistics
        In the order of the file.

    Raises
    ------
    BadInput
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from fastinit import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = checkpoint.generate({"fc.weight": {"dtype": "F32", "shape": [10, 784]}}, folder, init="he")
    ...     (fc,) = checkpoint.inspect(folder)
    >>> round(fc.std, 3), round(fc.expected_std, 3), fc.marked
    (0.051, 0.051, False)
    """
    everything, metadata = formats.read(path)
    specs = [tensor.spec for tensor in everything]
    selected = {spec.name for spec in select(specs, only)}
    stored = [tensor for tensor in everything if tensor.spec.name in selected]
    pieces: dict[str, list[tuple[int, _Moments]]] = {tensor.spec.name: [] for tensor in stored}
    reported = Progress(sum(tensor.spec.nbytes for tensor in stored), progress)

    with Files(stored) as files:

        def measure(job: tuple[Sequence[Stored], int, int]) -> None:
            tensors, start, stop = job
            words = files.read(tensors[0], start, stop)
            numbers = tensors[0].spec.as_numbers(words).reshape(len(tensors), -1)
            for tensor, moments in zip(tensors, _Moments.of(numbers), strict=True):
                pieces[tensor.spec.name].append((start, moments))
            reported.add(words.nbytes)

        _threads.run(measure, _jobs(stored), number_of_threads(threads))

    expected = _expected(specs, selected, metadata, str(path))
    statistics = []
    for tensor in stored:
        # Merge in order, so that rounding does not depend on the threads.
        moments = reduce(_Moments.merged, (each for _, each in sorted(pieces[tensor.spec.name])), _NOTHING)
        statistics.append(_statistics(tensor.spec, moments, expected.get(tensor.spec.name)))
    return statistics


def _jobs(stored: Sequence[Stored]) -> Iterator[tuple[Sequence[Stored], int, int]]:
    """Yield the pieces of tensors. Small neighbours of one dtype and size share a piece."""
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


def _expected(
    specs: Sequence[TensorSpec], selected: Container[str], metadata: Mapping[str, str], where: str
) -> dict[str, Choice]:
    """Return the choices of the selected tensors of a model."""
    choices: dict[str, Choice] = {}
    model = Model(specs, rules.of_metadata(metadata, where) or [], where)
    for spec in (spec for spec in specs if spec.name in selected):
        # A tensor that was added later has no rule, so no expected moments.
        with contextlib.suppress(BadInput):
            choices[spec.name] = model.choose(spec, model.match(spec))
    return choices


class _Moments(NamedTuple):
    """Moments and counts of a part of a tensor. `squares`: sum of squared distances from the mean."""

    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0
    nan: int = 0
    inf: int = 0

    @classmethod
    def of(cls, rows: npt.NDArray[Any]) -> Iterator[_Moments]:
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
    def _of_any(cls, values: npt.NDArray[Any]) -> _Moments:
        """Return the moments of values that may be NaN or infinite."""
        finite = values[np.isfinite(values)]
        nan = int(np.count_nonzero(np.isnan(values)))
        (moments,) = cls.of(finite[None]) if finite.size else [cls()]
        return moments._replace(nan=nan, inf=values.size - finite.size - nan)

    def merged(self, other: _Moments) -> _Moments:
        """Return the moments of both parts together (Chan, Golub and LeVeque 1979)."""
        if self == _NOTHING:
            return other
        finite = self.finite + other.finite
        share = other.finite / finite if finite else 0.0
        gap = other.mean - self.mean
        return _Moments(
            finite,
            self.mean + gap * share if self.finite else other.mean,
            self.squares + other.squares + (gap * gap * self.finite * share if self.finite else 0.0),
            min(self.min, other.min),
            max(self.max, other.max),
            self.zeros + other.zeros,
            self.nan + other.nan,
            self.inf + other.inf,
        )


_NOTHING = _Moments()


def _statistics(spec: TensorSpec, moments: _Moments, choice: Choice | None) -> Statistics:
    measured = moments.finite > 0
    std = math.sqrt(moments.squares / moments.finite) if measured else None
    mean = None if choice is None else choice.mean
    invalid = bool(moments.nan or (moments.inf and not (mean is not None and math.isinf(mean))))
    return Statistics(
        name=spec.name,
        dtype=spec.dtype,
        shape=spec.shape,
        mean=moments.mean if measured else None,
        std=std,
        min=moments.min if measured else None,
        max=moments.max if measured else None,
        zeros=moments.zeros / (spec.size * spec.stored.parts) if spec.size else 0.0,
        nan=moments.nan,
        inf=moments.inf,
        expected_mean=mean,
        expected_std=None if choice is None else choice.std,
        invalid=invalid,
        marked=invalid or _is_off(moments, std, choice),
    )


def _is_off(moments: _Moments, std: float | None, choice: Choice | None) -> bool:
    if std is None or choice is None or choice.mean is None or choice.std is None:
        return False
    mean, spread = choice.mean, choice.std
    n = moments.finite
    # In a structured tensor, such as a sparse one, zeros are not drawn and carry no information on the scale.
    draws = n - moments.zeros if choice.plan.distribution == "structured" else n
    # The standard error of the std, at least a normal's.
    error = SIGMAS * math.sqrt((max(choice.plan.kurtosis, 3.0) - 1.0) / (4.0 * draws)) if draws else 0.0
    rounding, step = (dtype.epsilon, dtype.tiny) if (dtype := choice.spec.floating) else (0.0, 0.0)
    of_std = spread * (error + rounding) + step / 2
    of_mean = spread * SIGMAS / math.sqrt(n) + abs(mean) * rounding + step / 2
    return not (abs(std - spread) <= of_std and abs(moments.mean - mean) <= of_mean)
