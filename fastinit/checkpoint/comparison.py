"""Compares the values of two checkpoints' tensors in one pass over both."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastinit import _threads

from . import formats
from .errors import BadInput
from .files import Files
from .formats import Stored
from .manifest import select
from .measuring import Moments, Tally
from .pieces import Progress, Report, number_of_threads, ranges
from .sketches import REACH, Histogram, Sketch, distance
from .spec import TensorSpec

Specs = tuple[TensorSpec | None, TensorSpec | None]


class Comparison(NamedTuple):
    """Two tensors of one name, the first checkpoint's and the second's.

    Attributes
    ----------
    name : str
    specs : (TensorSpec or None, TensorSpec or None)
        The tensors. None if a checkpoint has none of this name; then all below is None.
    equal : float or None
        The share of elements with the same bits, from 0 to 1; None if dtypes or shapes differ.
    means, stds : (float or None, float or None)
        Of the finite elements.
    std_ratio : float or None
        The second std divided by the first; None if that is 0.
    ks : float or None
        The two-sample Kolmogorov-Smirnov statistic: the largest difference of the shares of elements below
        any number, from 0 to 1.
    ks_slack : float
        By how much `ks` may be too small, as elements of large tensors are counted in cells. 0 if it is
        exact: of up to 16,384 elements, of bfloat16 and of the types of 8 bits.
    histograms : (Histogram, Histogram) or None
        If asked for, over the same range.
    """

    name: str
    specs: Specs
    equal: float | None = None
    means: tuple[float | None, float | None] = (None, None)
    stds: tuple[float | None, float | None] = (None, None)
    std_ratio: float | None = None
    ks: float | None = None
    ks_slack: float = 0.0
    histograms: tuple[Histogram, Histogram] | None = None

    @property
    def same(self) -> bool:
        """Whether both have the same dtype, shape and bits."""
        return self.equal == 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        specs = ({"dtype": spec.dtype, "shape": spec.shape} if spec else None for spec in self.specs)
        histograms = self.histograms and [each.as_dict() for each in self.histograms]
        return self._asdict() | {"specs": [*specs], "histograms": histograms, "same": self.same}


def compare(
    one: str | os.PathLike[str],
    other: str | os.PathLike[str],
    *,
    only: str | Sequence[str] = (),
    histograms: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
) -> list[Comparison]:
    """Compare the tensors of two checkpoints, whoever made them.

    Memory does not grow with the checkpoints.

    Parameters
    ----------
    one, other : path
        Each a ``.safetensors`` file, the ``.index.json`` of a sharded checkpoint, or a folder with either.
    only : str or sequence of str, optional
        Globs. Only tensors whose names match one are read.
    histograms : bool
        Whether to make histograms.
    threads, progress
        As for `generate`. The result does not depend on the number of threads.

    Returns
    -------
    list of Comparison
        In the order of the first file, then what only the second has.

    Raises
    ------
    BadInput
        A file cannot be read, or both have no tensor of one name.

    Examples
    --------
    >>> import tempfile
    >>> from fastinit import checkpoint
    >>> model = {"fc.weight": {"dtype": "F32", "shape": [100, 784]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, std in (("a", 0.02), ("b", 0.03)):
    ...         _ = checkpoint.generate(model, f"{folder}/{name}", init=f"normal(std={std})")
    ...     (fc,) = checkpoint.compare(f"{folder}/a", f"{folder}/b")
    >>> fc.equal, round(fc.std_ratio, 2), round(fc.ks, 2)
    (0.0, 1.5, 0.1)
    """
    sides = [{tensor.spec.name: tensor for tensor in formats.read(path)[0]} for path in (one, other)]
    everything = sides[1] | sides[0]
    order = [*sides[0], *(name for name in sides[1] if name not in sides[0])]
    names = [spec.name for spec in select([everything[name].spec for name in order], only)]
    pairs = {name: (sides[0][name], sides[1][name]) for name in names if all(name in side for side in sides)}
    if not pairs:
        raise BadInput(
            f"{one} and {other} have no tensor of one name. The shards of one checkpoint are read by their"
            " index or folder"
        )
    reported = Progress(sum(each.spec.nbytes for pair in pairs.values() for each in pair), progress)
    begun: dict[str, _Pair] = {}
    found = {name: Comparison(name, (_spec(sides[0], name), _spec(sides[1], name))) for name in names}

    with Files(each for pair in pairs.values() for each in pair) as files:

        def measure(job: tuple[str, Sequence[int], int, int]) -> None:
            name, which, start, stop = job
            words = [files.read(pairs[name][side], start, stop) for side in which]
            pair = begun.get(name) or begun.setdefault(name, _Pair(pairs[name]))
            if pair.add(which, start, words):
                found[name] = pair.result(found[name], histograms=histograms)
                del begun[name]
            reported.add(sum(each.nbytes for each in words))

        _threads.run(measure, _jobs(pairs), number_of_threads(threads))
    return [found[name] for name in names]


def _spec(side: Mapping[str, Stored], name: str) -> TensorSpec | None:
    return side[name].spec if name in side else None


def _jobs(pairs: Mapping[str, tuple[Stored, Stored]]) -> Iterator[tuple[str, Sequence[int], int, int]]:
    """Yield a name, which of both tensors, the first word, and the one behind the last.

    Tensors of one dtype and shape are read side by side. Empty ones have a piece, too.
    """
    for name, pair in pairs.items():
        alike = pair[0].spec == pair[1].spec
        for which in [(0, 1)] if alike else [(0,), (1,)]:
            spec = pair[which[0]].spec
            for start, stop in ranges(spec) if spec.size else [(0, 0)]:
                yield name, which, start, stop


class _Pair:
    """Collects what is measured of two tensors. Any thread may add a piece."""

    def __init__(self, tensors: tuple[Stored, Stored]) -> None:
        self._specs = [tensor.spec for tensor in tensors]
        self._tallies = [Tally(spec, sketched=True) for spec in self._specs]
        self._lock = threading.Lock()
        self._equal = 0
        self._ended = 0

    def add(self, which: Sequence[int], start: int, words: Sequence[npt.NDArray[Any]]) -> bool:
        """Add a piece of one tensor, or of both. Return whether it was the last."""
        equal = _equal(self._specs[0], *words) if len(words) == 2 else 0
        ended = 0
        for side, part in zip(which, words, strict=True):
            numbers = self._specs[side].as_numbers(part)
            (moments,) = Moments.of(numbers[None]) if numbers.size else [Moments()]
            ended += self._tallies[side].add(start, numbers, moments)
        with self._lock:
            self._equal += equal
            self._ended += ended
            return self._ended == 2

    def result(self, found: Comparison, *, histograms: bool) -> Comparison:
        """Return a comparison with what was measured."""
        (one, first), (other, second) = (tally.result() for tally in self._tallies)
        assert first is not None
        assert second is not None
        alike = self._specs[0] == self._specs[1]
        size = self._specs[0].size
        found = found._replace(equal=(self._equal / size if size else 1.0) if alike else None)
        if not (first.size and second.size):
            return found
        stds = (one.std, other.std)
        # Cells hide nothing of what is the same.
        ks, slack = (0.0, 0.0) if found.same else distance(first, second)
        return found._replace(
            means=(one.mean, other.mean),
            stds=stds,
            std_ratio=stds[1] / stds[0] if stds[0] else None,
            ks=ks,
            ks_slack=slack,
            histograms=self._histograms((one, other), (first, second)) if histograms else None,
        )

    def _histograms(
        self, moments: Sequence[Moments], sketches: Sequence[Sketch]
    ) -> tuple[Histogram, Histogram]:
        low = min(max(each.min, each.mean - REACH * each.std) for each in moments)
        high = max(min(each.max, each.mean + REACH * each.std) for each in moments)
        one, other = (
            sketch.histogram(low, high, spec.stored)
            for sketch, spec in zip(sketches, self._specs, strict=True)
        )
        return one, other


def _equal(spec: TensorSpec, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """Return the number of elements with the same bits."""
    kind = f"u{spec.itemsize}"
    return int(
        np.count_nonzero(spec.stored.elements(one.view(kind)) == spec.stored.elements(other.view(kind)))
    )
