"""Sketches: how a tensor's values are distributed, in one pass and in memory that does not grow with it."""

from __future__ import annotations

import functools
import threading
from array import array
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .spec import TensorSpec
from .storage import StoredDtype

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

#: A tensor of so many values is sketched by all of them, sorted; of a larger one, cells are counted.
EXACT = 1 << 14
#: Bins of a histogram.
BINS = 32
#: A histogram reaches so many standard deviations from the mean.
REACH = 4.0

# A cell has the values whose float32 has the same upper half: the sign, the exponent and seven bits, so that
# it is 1/128 of its values wide, or less. What float32 cannot hold is in none. Each value of bfloat16, of the
# types of eight bits and narrower ones has a cell of its own.
_HALF = 16
_CELLS = 1 << _HALF
_FINITE = 0x7F80
_LARGEST = np.finfo(np.float64).max
_CHUNK = 1 << 18  # values that are counted at a time: many beside the cells


class Histogram(NamedTuple):
    """Counts of values between edges.

    Attributes
    ----------
    edges : array of float
        Ascending, one more than `counts`. No value of the tensor's dtype lies on one, if it is
        floating-point.
    counts : array of int
        The number of values between two edges.
    below, above : int
        The number of values beyond the first and the last edge.
    """

    edges: array[float]
    counts: array[int]
    below: int
    above: int

    def as_dict(self) -> dict[str, Any]:
        """Return the histogram for JSON."""
        return self._asdict() | {"edges": self.edges.tolist(), "counts": self.counts.tolist()}

    @property
    def densities(self) -> Float64s:
        """The share of all values in each bin, divided by its width."""
        total = self.below + sum(self.counts) + self.above
        density: Float64s = np.asarray(self.counts) / np.diff(self.edges) / max(total, 1)
        return density


class Sketch(NamedTuple):
    """The values of a tensor: each, or counts of cells.

    Attributes
    ----------
    places : ndarray of float
        The values in order; or the lower bounds of the cells that hold some.
    below : ndarray of int
        How many values are below each place, and how many there are.
    celled : bool
        Whether places are bounds of cells.
    exact : bool
        Whether values that differ are never in one cell.
    """

    places: Float64s
    below: Int64s
    celled: bool
    exact: bool

    @property
    def size(self) -> int:
        """The number of values."""
        return int(self.below[-1])

    def before(self, edges: Float64s) -> Int64s:
        """Return how many values are below each edge. If the sketch is celled, edges must be `fitted`."""
        return self.below[np.searchsorted(self.places, _outward(edges) if self.celled else edges)]

    def fitted(self, edges: Float64s, stored: StoredDtype) -> Float64s:
        """Return edges near the given ones, of which `before` is exact, between two values of the dtype."""
        if self.celled:
            edges = _outward(edges)
        # What is celled has been rounded to float32.
        fitted: Float64s = np.unique(
            edges if self.celled and stored.name == "F64" else between(edges, stored)
        )
        return fitted

    def histogram(self, low: float, high: float, stored: StoredDtype) -> Histogram:
        """Return the histogram between two places. Its edges are fitted, so bins may differ in width."""
        if not low < high:
            around = 0.5 * abs(low) or 0.5
            low, high = low - around, low + around
        # The ends are in a bin each. Their difference may be beyond float64.
        with np.errstate(all="ignore"):
            ends = np.nextafter([low, high], [-np.inf, np.inf]).clip(-_LARGEST, _LARGEST)
        shares = np.linspace(0.0, 1.0, BINS + 1)
        edges = self.fitted(ends[0] * (1.0 - shares) + ends[1] * shares, stored)
        if stored.floating is not None:  # no value is beyond the largest
            beyond = stored.floating.max * (1.0 + stored.floating.epsilon)
            edges = np.unique(edges.clip(-beyond, beyond))
        edges = edges[np.isfinite(edges)]
        if len(edges) < 2:
            edges = np.array([low, high])
        before = self.before(edges)
        return Histogram(
            array("d", edges.tolist()),
            array("q", np.diff(before).tolist()),
            int(before[0]),
            self.size - int(before[-1]),
        )


def between(edges: Float64s, stored: StoredDtype) -> Float64s:
    """Return the middle of the two values of a dtype around each edge: what rounds to either side.

    If float64 has no middle, it is the upper one. An edge beyond the largest value is infinite.
    """
    dtype = stored.floating
    if stored.counts:
        return np.where(np.abs(edges) < 2.0**24, np.floor(edges) + 0.5, edges)
    if dtype is None:
        return edges
    sizes = np.abs(edges)
    with np.errstate(all="ignore"):
        codes = dtype.narrow(sizes).view(f"u{dtype.storage.itemsize}")
        codes = codes - (dtype.widen(codes.view(dtype.storage)) > sizes).astype(codes.dtype)
        low, high = (
            dtype.widen(each.view(dtype.storage)).astype(np.float64)
            for each in (codes, codes + codes.dtype.type(1))
        )
        middle = low + (high - low) / 2
        middle = np.where((low < middle) & (middle < high), middle, np.where(edges < 0, low, high))
    return np.copysign(np.where(np.isfinite(middle), middle, np.inf), edges)


def distance(one: Sketch, other: Sketch) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic, and by how much the true one may be larger.

    Cells hide what differs inside of them. The statistic at their bounds is exact.
    """
    celled = one.celled or other.celled
    edges = _bounds() if celled else np.union1d(one.places, other.places)
    shares = [sketch.before(edges) / sketch.size for sketch in (one, other)]
    largest = 0.0
    if not (one.exact and other.exact) and celled:
        largest = max(float(np.diff(share).max()) for share in shares)
    return float(np.abs(shares[0] - shares[1]).max()), largest


class _Own(threading.local):
    """The memory of a thread, as fresh memory takes longer than all else."""

    def __init__(self) -> None:
        self.keys = np.empty(_CHUNK, np.intp)


_own = _Own()


class Counter:
    """Makes the sketch of a tensor from its pieces. Any thread may add one, in any order."""

    def __init__(self, spec: TensorSpec) -> None:
        self._lock = threading.Lock()
        self._exact = spec.itemsize == 1 or spec.dtype == "BF16"
        self._counts = np.zeros(_CELLS, np.int64) if spec.size * spec.stored.parts > EXACT else None
        self._values: list[npt.NDArray[Any]] = []

    def add(self, numbers: npt.NDArray[Any]) -> None:
        """Add the numbers of a piece."""
        if self._counts is None:
            self._values.append(numbers)
            return
        for start in range(0, numbers.size, _CHUNK):
            with np.errstate(over="ignore"):
                bits = numbers[start : start + _CHUNK].astype(np.float32, copy=False).view(np.uint32)
            keys = _own.keys[: bits.size]
            counts = np.bincount(np.right_shift(bits, _HALF, out=keys, casting="unsafe"), minlength=_CELLS)
            with self._lock:
                self._counts += counts

    def sketch(self) -> Sketch:
        """Return the sketch of what was added."""
        if self._counts is None:
            values = np.sort(np.concatenate(self._values).astype(np.float64))
            values = values[np.isfinite(values)]
            return Sketch(values, np.arange(len(values) + 1), celled=False, exact=True)
        sign = _CELLS // 2
        zeros = self._counts[:1] + self._counts[sign : sign + 1]
        counts = np.concatenate(
            [self._counts[sign + _FINITE - 1 : sign : -1], zeros, self._counts[1:_FINITE]]
        )
        held = np.flatnonzero(counts)
        below = np.concatenate([[0], np.cumsum(counts[held])])
        return Sketch(_bounds()[held], below, celled=True, exact=self._exact)


def _outward(edges: Float64s) -> Float64s:
    """Return the bound of a cell at each edge, or the next one further from zero.

    Between it and an edge between two values of the dtype there is none.
    """
    bounds = _bounds()
    places = np.where(edges < 0, np.searchsorted(bounds, edges, "right") - 1, np.searchsorted(bounds, edges))
    outward: Float64s = bounds[np.clip(places, 0, len(bounds) - 1)]
    return outward


@functools.cache
def _bounds() -> Float64s:
    """Return each cell's lower bound in order, and the last's upper: middles of two values of float32."""
    first = np.arange(1, _FINITE + 1, dtype=np.uint32) << np.uint32(_HALF)
    upper, lower = (each.view(np.float32).astype(np.float64) for each in (first, first - np.uint32(1)))
    upper[-1] = 2.0**128
    positive = (upper + lower) / 2
    return np.concatenate([-positive[::-1], positive])
