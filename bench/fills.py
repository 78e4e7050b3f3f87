"""Who fills an array how: fastinit and its peers, one call each into the same array, on one thread."""

from __future__ import annotations

import ctypes
import importlib.metadata
import time
from collections.abc import Callable, Iterator
from itertools import product
from math import erf, exp, pi, sqrt
from typing import NamedTuple

import numpy as np

from fastinit import _dtypes, random

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)

SEED = 7
BOUND = 2.0  # of truncated normals, on both sides

Fill = Callable[[np.ndarray], object]
"""Fills an array."""

_INSIDE = erf(BOUND / sqrt(2))  # the part of a normal within the bounds
_CUT = 2 * BOUND * exp(-(BOUND**2) / 2) / sqrt(2 * pi)
_MOMENTS = {
    "uniform": (0.5, sqrt(1 / 12), 0.0, 1.0),
    "normal": (0.0, 1.0, -10.0, 10.0),
    "truncated_normal": (0.0, sqrt(1 - _CUT / _INSIDE), -BOUND, BOUND),
}


class Workload(NamedTuple):
    """What is filled: values of a distribution, in a dtype (f32, f64, bf16)."""

    distribution: str
    tag: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.tag}"

    @property
    def dtype(self) -> np.dtype:
        return _dtypes.dtype(self.tag)

    def fastinit(self, rng: np.random.Generator | None = None) -> Fill:
        """Fill by `fastinit.random.Generator`."""
        rng, dtype = rng or random.default_rng(SEED), self.dtype
        return {
            "uniform": lambda out: rng.random(out=out, dtype=dtype),
            "normal": lambda out: rng.standard_normal(out=out, dtype=dtype),
            "truncated_normal": lambda out: rng.truncated_normal(-BOUND, BOUND, out=out, dtype=dtype),
        }[self.distribution]

    def peers(self, out: np.ndarray) -> dict[str, Fill | None]:
        """Those that have this distribution and dtype, by name; None for one that isn't installed."""
        having = {"NumPy": _numpy, "torch": _torch, "oneMKL": _onemkl}
        found = {name: fills(self) for name, fills in having.items()}
        return {name: fastest(fills, out) for name, fills in found.items() if fills != {}}

    def check(self, values: np.ndarray) -> None:
        """Raise where `values` can't be draws of this: their moments, or one outside the bounds."""
        mean, std, low, high = _MOMENTS[self.distribution]
        values = values.astype(np.float64)
        error = std / sqrt(values.size)
        if abs(values.mean() - mean) > 6 * error or abs(values.std() - std) > 6 * error:
            raise AssertionError(f"{self}: mean {values.mean():.6f}, standard deviation {values.std():.6f}")
        if values.min() < low or values.max() > high:
            raise AssertionError(f"{self}: from {values.min()} to {values.max()}")


def fastest(fills: dict[str, Fill] | None, out: np.ndarray) -> Fill | None:
    """The one that took the least time in any of three turns."""
    if fills is None or len(fills) == 1:
        return fills and next(iter(fills.values()))
    times = {name: [] for name in fills}
    for _, (name, fill) in product(range(3), fills.items()):
        began = time.perf_counter()
        fill(out)
        times[name].append(time.perf_counter() - began)
    return fills[min(times, key=lambda name: min(times[name]))]


def versions() -> Iterator[tuple[str, str | None]]:
    """Each peer's name and version, None where it's missing."""
    for name, package in {"NumPy": "numpy", "torch": "torch", "oneMKL": "mkl"}.items():
        try:
            yield name, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield name, None


# One function a peer: its ways to fill by name, {} where it has none, None where it isn't installed.


def _numpy(work: Workload) -> dict[str, Fill]:
    rng = np.random.default_rng(SEED)
    methods = {"uniform": rng.random, "normal": rng.standard_normal}
    if work.distribution not in methods or work.tag not in ("f32", "f64"):
        return {}
    method = methods[work.distribution]
    return {method.__name__: lambda out: method(out=out, dtype=out.dtype)}


def _torch(work: Workload) -> dict[str, Fill] | None:
    if torch is None:
        return None

    def tensor(out: np.ndarray) -> torch.Tensor:
        return (
            torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)
            if work.tag == "bf16"
            else torch.from_numpy(out)
        )

    ways = {
        "uniform": lambda out: tensor(out).uniform_(),
        "normal": lambda out: tensor(out).normal_(),
        "truncated_normal": lambda out: torch.nn.init.trunc_normal_(tensor(out), a=-BOUND, b=BOUND),
    }
    return {work.distribution: ways[work.distribution]}


# Values of mkl_vsl_defines.h.
_GENERATORS = {"MCG59": 4 << 20, "SFMT19937": 13 << 20, "ARS5": 15 << 20}
_METHODS = {"uniform": {"STD": 0}, "normal": {"BOXMULLER": 0, "BOXMULLER2": 1, "ICDF": 2}}


def _onemkl(work: Workload) -> dict[str, Fill] | None:
    if work.distribution not in _METHODS or work.tag not in ("f32", "f64"):
        return {}
    library = _load_onemkl()
    if library is None:
        return None
    letter, real = {"f32": ("s", ctypes.c_float), "f64": ("d", ctypes.c_double)}[work.tag]
    function = getattr(
        library, f"v{letter}Rng" + {"uniform": "Uniform", "normal": "Gaussian"}[work.distribution]
    )

    def way(generator: int, method: int) -> Fill:
        stream = ctypes.c_void_p()
        if library.vslNewStream(ctypes.byref(stream), generator, SEED):
            raise RuntimeError("vslNewStream failed")

        def fill(out: np.ndarray) -> None:
            if function(method, stream, out.size, ctypes.c_void_p(out.ctypes.data), real(0), real(1)):
                raise RuntimeError(f"{function.__name__} failed")

        return fill

    pairs = product(_GENERATORS.items(), _METHODS[work.distribution].items())
    return {f"{name} {how}": way(generator, method) for (name, generator), (how, method) in pairs}


def _load_onemkl() -> ctypes.CDLL | None:
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    library = ctypes.CDLL(str(next(file.locate() for file in files if file.name.startswith("libmkl_rt"))))
    library.MKL_Set_Threading_Layer(1)  # MKL_THREADING_SEQUENTIAL
    return library
