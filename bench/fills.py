"""Fills by fastinit and its peers, one call each, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from math import erf, exp, pi, sqrt
from typing import NamedTuple

import numpy as np

from fastinit import _dtypes, random

from . import peers
from .peers import BOUND, SEED, Way

_INSIDE = erf(BOUND / sqrt(2))  # the share of a normal within the bounds
_CUT = 2 * BOUND * exp(-(BOUND**2) / 2) / sqrt(2 * pi)
_MOMENTS = {
    "uniform": (0.5, sqrt(1 / 12), 0.0, 1.0),
    "normal": (0.0, 1.0, -10.0, 10.0),
    "truncated_normal": (0.0, sqrt(1 - _CUT / _INSIDE), -BOUND, BOUND),
}


class Workload(NamedTuple):
    """A kind of fill: a distribution and a dtype (f16, bf16, f32, f64)."""

    distribution: str
    tag: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.tag}"

    @property
    def dtype(self) -> np.dtype:
        return _dtypes.DTYPES[self.tag].numpy

    def fastinit(self, rng: np.random.Generator | None = None) -> Callable[[np.ndarray], object]:
        """Return the fill by `fastinit.random.Generator`."""
        rng, dtype = rng or random.default_rng(SEED), self.dtype
        return {
            "uniform": lambda out: rng.random(out=out, dtype=dtype),
            "normal": lambda out: rng.standard_normal(out=out, dtype=dtype),
            "truncated_normal": lambda out: rng.truncated_normal(-BOUND, BOUND, out=out, dtype=dtype),
        }[self.distribution]

    def peers(self, out: np.ndarray, names: tuple[str, ...] = tuple(peers.WAYS)) -> dict[str, Way | None]:
        """Return the fills of the peers that have this distribution and dtype; None for a missing peer.

        If a peer has several, the fastest at filling `out` is taken.
        """
        found = {name: peers.WAYS[name](*self) for name in names}
        return {name: fastest(ways, out) for name, ways in found.items() if ways != {}}

    def check(self, values: np.ndarray) -> None:
        """Raise an AssertionError if `values` can't be draws of this, by their moments or bounds."""
        mean, std, low, high = _MOMENTS[self.distribution]
        unit = _dtypes.DTYPES[self.tag].epsilon / 2
        values = np.asarray(values).astype(np.float64)
        error = 6 * std / sqrt(values.size) + unit
        if abs(values.mean() - mean) > error or abs(values.std() - std) > error:
            raise AssertionError(f"{self}: mean {values.mean():.6f}, standard deviation {values.std():.6f}")
        if values.min() < low or values.max() > high:
            raise AssertionError(f"{self}: from {values.min()} to {values.max()}")


def fastest(ways: peers.Ways, out: np.ndarray) -> Way | None:
    """Return the way with the least time in any of three turns."""
    if ways is None or len(ways) == 1:
        return ways and next(iter(ways.values()))
    times = {name: [] for name in ways}
    for _, (name, way) in product(range(3), ways.items()):
        began = time.perf_counter()
        way.fill(out)
        times[name].append(time.perf_counter() - began)
    return ways[min(times, key=lambda name: min(times[name]))]
