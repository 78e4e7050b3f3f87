"""Statistics of a checkpoint's tensors in one pass over the files: moments, extremes, histograms."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastinit import _threads
from fastinit._dtypes import rounded

from . import fitting, formats, rules, verification
from .choices import Choice
from .errors import BadInput
from .files import Files
from .fitting import Law
from .formats import Stored
from .manifest import select
from .matching import Model
from .measuring import Moments, Tally, jobs
from .pieces import Progress, Report, number_of_threads
from .recipe import resolve
from .sketches import REACH, Histogram, Sketch
from .spec import TensorSpec

#: A tensor is marked if a moment is off by more standard errors than this: by chance, one in 10^9 is.
SIGMAS = 6.0
#: A tensor is marked if its corrected p-value is below this: by chance, one in 10^6 checkpoints has one.
UNLIKELY = 1e-6
#: A tensor with fewer values has no histogram.
FEWEST = 60


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
        expected one, or `p_corrected` is below `UNLIKELY`.
    law : Law or None
        The distribution that the rules give, such as ``normal(mean=0, std=0.02)``; None if they give none
        that has a closed form.
    histogram : Histogram or None
        If asked for, of 60 values or more.
    p_value : float or None
        The probability that values of the law fit it worse than these do: Pearson's chi-square test. Of a
        constant, 1 if all values are it, else 0.
    p_corrected : float or None
        The same, corrected for the number of tensors (Holm).
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
    law: Law | None = None
    histogram: Histogram | None = None
    p_value: float | None = None
    p_corrected: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics for JSON."""
        law = None if self.law is None else str(self.law)
        histogram = None if self.histogram is None else self.histogram.as_dict()
        return self._asdict() | {"law": law, "histogram": histogram}


def inspect(
    path: str | os.PathLike[str],
    *,
    only: str | Sequence[str] = (),
    init: str | os.PathLike[str] | Sequence[rules.Rule] | None = None,
    histograms: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
) -> list[Statistics]:
    """Read a checkpoint and compute statistics of its tensors.

    It reads any safetensors file. Only files of fastinit have expected moments, unless `init` says them.
    Memory does not grow with the checkpoint.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    only : str or sequence of str, optional
        Globs. Only tensors whose names match one are read.
    init : optional
        As for `plan`: what is expected; by default, what the rules in the metadata give.
    histograms : bool
        Whether to make histograms and test how well they fit, which takes as long again.
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
    selected = select(specs, only)
    names = {spec.name for spec in selected}
    stored = [tensor for tensor in everything if tensor.spec.name in names]
    expected = _expected(specs, selected, metadata, Path(path), init)
    reported = Progress(sum(tensor.spec.nbytes for tensor in stored), progress)
    tallies: dict[str, Tally] = {}
    found: dict[str, Statistics] = {}

    def begun(spec: TensorSpec) -> Tally:
        return Tally(spec, sketched=histograms and spec.size >= FEWEST)

    with Files(stored) as files:

        def measure(job: tuple[Sequence[Stored], int, int]) -> None:
            tensors, start, stop = job
            words = files.read(tensors[0], start, stop)
            rows = tensors[0].spec.as_numbers(words).reshape(len(tensors), -1)
            for tensor, row, moments in zip(tensors, rows, Moments.of(rows), strict=True):
                spec = tensor.spec
                tally = tallies.get(spec.name) or tallies.setdefault(spec.name, begun(spec))
                if tally.add(start, row, moments):
                    found[spec.name] = _statistics(spec, *tally.result(), expected.get(spec.name))
                    del tallies[spec.name]  # a sketch is larger than what is said of it
            reported.add(words.nbytes)

        _threads.run(measure, jobs(stored), number_of_threads(threads))

    for spec in (tensor.spec for tensor in stored if not tensor.spec.size):
        found[spec.name] = _statistics(spec, *begun(spec).result(), expected.get(spec.name))
    statistics = [found[tensor.spec.name] for tensor in stored]
    return [
        each._replace(p_corrected=p, marked=each.marked or (p is not None and p < UNLIKELY))
        for each, p in zip(statistics, fitting.corrected([each.p_value for each in statistics]), strict=True)
    ]


def _expected(
    specs: Sequence[TensorSpec],
    selected: Sequence[TensorSpec],
    metadata: Mapping[str, str],
    path: Path,
    init: Any,
) -> dict[str, Choice]:
    """Return the choices of the selected tensors of a model."""
    if init is not None and formats.of(path).is_shard(path):
        return {each.spec.name: each for each in verification.of_model(specs, 0, init, path).choices}
    if init is not None:
        return {each.spec.name: each for each in resolve(specs, init, wanted=selected).choices}
    choices: dict[str, Choice] = {}
    model = Model(specs, rules.of_metadata(metadata, str(path)) or [], str(path))
    for spec in selected:
        # A tensor that was added later has no rule, so no expected moments.
        with contextlib.suppress(BadInput):
            choices[spec.name] = model.choose(spec, model.match(spec))
    return choices


def _statistics(
    spec: TensorSpec, moments: Moments, sketch: Sketch | None, choice: Choice | None
) -> Statistics:
    measured = moments.finite > 0
    mean, std = (moments.mean, moments.std) if measured else (None, None)
    expected = None if choice is None else choice.mean
    invalid = bool(moments.nan or (moments.inf and not (expected is not None and math.isinf(expected))))
    law = None if choice is None else fitting.of(choice)
    return Statistics(
        name=spec.name,
        dtype=spec.dtype,
        shape=spec.shape,
        mean=mean,
        std=std,
        min=moments.min if measured else None,
        max=moments.max if measured else None,
        zeros=moments.zeros / (spec.size * spec.stored.parts) if spec.size else 0.0,
        nan=moments.nan,
        inf=moments.inf,
        expected_mean=expected,
        expected_std=None if choice is None else choice.std,
        invalid=invalid,
        marked=invalid or _is_off(moments, std, choice),
        law=law,
        histogram=None if sketch is None or not sketch.size else _histogram(spec, moments, sketch, law),
        p_value=None if sketch is None or law is None else _p_value(spec, moments, sketch, law),
    )


def _histogram(spec: TensorSpec, moments: Moments, sketch: Sketch, law: Law | None) -> Histogram:
    """Return the histogram over nearly all values and over nearly all that the law expects."""
    reach = REACH * moments.std
    low, high = max(moments.min, moments.mean - reach), min(moments.max, moments.mean + reach)
    if law is not None and not law.constant:
        low, high = min(low, law.extent[0]), max(high, law.extent[1])
    return sketch.histogram(low, high, spec.stored)


def _p_value(spec: TensorSpec, moments: Moments, sketch: Sketch, law: Law) -> float | None:
    if not law.constant:
        return None if moments.nan or moments.inf else fitting.p_value(law, sketch, spec)
    value = law.parameters[0]
    if spec.floating is not None:
        value = float(spec.floating.widen(rounded(np.float64(value), spec.floating)))
    if math.isinf(value):
        return None
    return float(moments.min == moments.max == value and not (moments.nan or moments.inf))


def _is_off(moments: Moments, std: float | None, choice: Choice | None) -> bool:
    if std is None or choice is None or choice.mean is None or choice.std is None:
        return False
    mean, spread = choice.mean, choice.std
    n = moments.finite
    # In a structured tensor, such as a sparse one, zeros are not drawn and carry no information on the scale.
    draws = n - moments.zeros if choice.plan.distribution == "structured" else n
    # The standard error of the std, at least a normal's.
    error = SIGMAS * math.sqrt((max(choice.plan.kurtosis, 3.0) - 1.0) / (4.0 * draws)) if draws else 0.0
    rounding, step = (dtype.epsilon, dtype.tiny) if (dtype := choice.spec.floating) else (0.0, 0.0)
    of_std = spread * error + math.hypot(spread, mean) * rounding / 2 + step / 2
    of_mean = spread * SIGMAS / math.sqrt(n) + abs(mean) * rounding + step / 2
    return not (abs(std - spread) <= of_std and abs(moments.mean - mean) <= of_mean)
