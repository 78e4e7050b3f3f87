"""What the tensors of a checkpoint look like: moments, extremes and counts, read in a stream."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from . import rules, safetensors
from .errors import BadInput
from .files import Files
from .parallel import for_each
from .recipe import PIECE
from .spec import TensorSpec
from .values import EPSILON, as_numbers

#: A tensor is marked where it is off by more than this many standard errors: by chance, one in 10^9.
SIGMAS = 6.0


@dataclass(frozen=True)
class Statistics:
    """What a tensor's elements look like. Mean, std, min and max are of the finite ones, None without any.

    Attributes
    ----------
    name, dtype, shape
        The tensor.
    mean, std, min, max : float or None
    zeros : float
        Share of elements that are zero.
    nan, inf : int
        How many elements are not finite.
    expected_mean, expected_std : float or None
        What the rules in the metadata give.
    marked : bool
        There are NaNs, or infinities that no rule gives, or the mean or std is further than `SIGMAS` standard
        errors from the expected one.
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
    marked: bool


def inspect(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[Statistics]:
    """Read a checkpoint and say what its tensors look like.

    Any safetensors file will do; what is expected is known of those that fastinit wrote. Memory does not grow
    with the checkpoint.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    threads : int, optional
        How many threads; `fastinit.get_num_threads` where it is not given. The result does not depend on it.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes, from any thread, one at a time.

    Returns
    -------
    list of Statistics
        In the file's order.

    Raises
    ------
    BadInput
        Where the file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastinit import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     _ = checkpoint.generate({"fc.weight": {"dtype": "F32", "shape": [10, 784]}}, path, init="he")
    ...     (fc,) = checkpoint.inspect(path)
    >>> round(fc.std, 3), round(fc.expected_std, 3), fc.marked
    (0.051, 0.051, False)
    """
    stored, metadata = safetensors.read(path)
    pieces: dict[str, dict[int, _Moments]] = {tensor.spec.name: {} for tensor in stored}
    total = sum(tensor.spec.nbytes for tensor in stored)
    done = 0
    counting = threading.Lock()

    with Files(stored) as files:

        def measure(job: tuple[safetensors.Stored, int, int]) -> None:
            nonlocal done
            tensor, start, stop = job
            values = files.read(tensor, start, stop)
            moments = _Moments.of(as_numbers(values, tensor.spec.dtype))
            with counting:
                pieces[tensor.spec.name][start] = moments
                done += values.nbytes
                if progress is not None:
                    progress(done, total)

        for_each(lambda: measure, _jobs(stored), threads)

    expected = _expected([tensor.spec for tensor in stored], metadata, str(path))
    statistics = []
    for tensor in stored:
        # Merged in order, so that rounding does not depend on which thread was first.
        of_tensor = pieces[tensor.spec.name]
        moments = reduce(_Moments.merged, (of_tensor[start] for start in sorted(of_tensor)), _Moments())
        statistics.append(_statistics(tensor.spec, moments, expected.get(tensor.spec.name)))
    return statistics


def _jobs(stored: Sequence[safetensors.Stored]) -> Iterator[tuple[safetensors.Stored, int, int]]:
    for tensor in stored:
        step = PIECE // tensor.spec.storage.itemsize
        for start in range(0, tensor.spec.size, step):
            yield tensor, start, min(start + step, tensor.spec.size)


def _expected(
    specs: Sequence[TensorSpec], metadata: Mapping[str, str], where: str
) -> dict[str, rules.Choice]:
    choices: dict[str, rules.Choice] = {}
    model = rules.Model(specs, rules.of_metadata(metadata, where) or [], where)
    for spec in specs:
        # Tensors may have been added since; nothing is expected of those.
        with contextlib.suppress(BadInput):
            choices[spec.name] = model.choose(spec, model.match(spec))
    return choices


@dataclass(frozen=True)
class _Moments:
    """Of a part of a tensor. `squares` is the sum of squared distances from the mean."""

    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0
    nan: int = 0
    inf: int = 0

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> _Moments:
        """Measure values, of which there is one at least."""
        size = values.size
        zeros = int(np.count_nonzero(values == 0))
        nan = inf = 0
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            nan = int(np.count_nonzero(np.isnan(values)))
            inf = size - int(np.count_nonzero(finite)) - nan
            values = values[finite]
            if not values.size:
                return cls(zeros=zeros, nan=nan, inf=inf)
        # From the first value, so that a constant has a deviation of exactly 0.
        origin = float(values[0])
        with np.errstate(over="ignore", invalid="ignore"):
            distances = values.astype(np.float64)
            distances -= origin
            mean = float(distances.mean())
            # Not a dot product: BLAS would start threads of its own, and its sum depend on how many.
            squares = float(np.square(distances, out=distances).sum()) - mean * mean * values.size
        return cls(
            values.size,
            origin + mean,
            max(squares, 0.0),
            values.min().item(),
            values.max().item(),
            zeros,
            nan,
            inf,
        )

    def merged(self, other: _Moments) -> _Moments:
        """Of both parts together, by Chan, Golub and LeVeque 1979."""
        finite = self.finite + other.finite
        share = other.finite / finite if finite else 0.0
        apart = other.mean - self.mean
        return _Moments(
            finite,
            self.mean + apart * share if self.finite else other.mean,
            self.squares + other.squares + (apart * apart * self.finite * share if self.finite else 0.0),
            min(self.min, other.min),
            max(self.max, other.max),
            self.zeros + other.zeros,
            self.nan + other.nan,
            self.inf + other.inf,
        )


def _statistics(spec: TensorSpec, moments: _Moments, choice: rules.Choice | None) -> Statistics:
    known = moments.finite > 0
    std = math.sqrt(moments.squares / moments.finite) if known else None
    return Statistics(
        name=spec.name,
        dtype=spec.dtype,
        shape=spec.shape,
        mean=moments.mean if known else None,
        std=std,
        min=moments.min if known else None,
        max=moments.max if known else None,
        zeros=moments.zeros / spec.size if spec.size else 0.0,
        nan=moments.nan,
        inf=moments.inf,
        expected_mean=None if choice is None else choice.mean,
        expected_std=None if choice is None else choice.std,
        marked=_is_off(moments, std, choice),
    )


def _is_off(moments: _Moments, std: float | None, choice: rules.Choice | None) -> bool:
    endless = choice is not None and choice.mean is not None and math.isinf(choice.mean)
    if moments.nan or (moments.inf and not endless):
        return True
    if std is None or choice is None or choice.mean is None or choice.std is None:
        return False
    n = moments.finite
    # Where each element is not a draw of its own, as of sparse, only what is not zero tells of the scale.
    draws = n - moments.zeros if choice.plan.distribution == "whole" else n
    # Of a normal; all else that is drawn has a lower kurtosis, and so a std that is surer.
    error = SIGMAS / math.sqrt(2.0 * draws) if draws else 0.0
    rounding = EPSILON.get(choice.spec.dtype, 0.0)
    of_std = choice.std * (error + rounding)
    of_mean = choice.std * SIGMAS / math.sqrt(n) + abs(choice.mean) * rounding
    return not (abs(std - choice.std) <= of_std and abs(moments.mean - choice.mean) <= of_mean)
