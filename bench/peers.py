"""Other packages that fill arrays with random values, one function a package.

It returns the package's ways, {} if the package lacks the distribution or dtype, or None if the package is
missing. A way takes the array to fill. If `Way.allocates`, it returns a new array of that size instead.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from collections.abc import Callable
from functools import cache
from itertools import product
from types import ModuleType
from typing import NamedTuple

import numpy as np

SEED = 7
BOUND = 2.0  # of truncated normals, on both sides

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # one thread, as for the others


class Way(NamedTuple):
    """A peer's function that makes the values."""

    fill: Callable[[np.ndarray], object]
    allocates: bool = False


Ways = dict[str, Way] | None


def module(name: str) -> ModuleType | None:
    """Return the module, or None if its package is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch = module("torch")
if torch:
    torch.set_num_threads(1)


@cache
def jax() -> ModuleType | None:
    """JAX with float64, imported on use: it takes a second."""
    found = module("jax")
    if found:
        found.config.update("jax_enable_x64", True)
    return found


def tensor(array: np.ndarray) -> torch.Tensor:
    """Return torch's view of an array, which may be bfloat16."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _numpy(distribution: str, tag: str, bits: np.random.BitGenerator | None = None) -> Ways:
    rng = np.random.Generator(bits or np.random.PCG64(SEED))
    methods = {"uniform": rng.random, "normal": rng.standard_normal}
    if distribution not in methods or tag not in ("f32", "f64"):
        return {}
    return {distribution: Way(lambda out: methods[distribution](out=out, dtype=out.dtype))}


def _torch(distribution: str, tag: str) -> Ways:
    if torch is None:
        return None
    methods = {
        "uniform": torch.Tensor.uniform_,
        "normal": torch.Tensor.normal_,
        "truncated_normal": lambda out: torch.nn.init.trunc_normal_(out, a=-BOUND, b=BOUND),
    }
    return {distribution: Way(lambda out: methods[distribution](tensor(out)))}


# Values of mkl_vsl_defines.h.
_GENERATORS = {"MCG59": 4 << 20, "SFMT19937": 13 << 20, "ARS5": 15 << 20}
_PHILOX = {"PHILOX4X32X10": 16 << 20}
_METHODS = {"uniform": {"STD": 0}, "normal": {"BOXMULLER": 0, "BOXMULLER2": 1, "ICDF": 2}}


def _onemkl(distribution: str, tag: str, generators: dict[str, int] = _GENERATORS) -> Ways:
    library = _load_onemkl()
    if library is None:
        return None
    if distribution not in _METHODS or tag not in ("f32", "f64"):
        return {}
    letter, real = {"f32": ("s", ctypes.c_float), "f64": ("d", ctypes.c_double)}[tag]
    function = getattr(library, f"v{letter}Rng" + {"uniform": "Uniform", "normal": "Gaussian"}[distribution])

    def way(generator: int, method: int) -> Way:
        stream = ctypes.c_void_p()
        if library.vslNewStream(ctypes.byref(stream), generator, SEED):
            raise RuntimeError("vslNewStream failed")

        def fill(out: np.ndarray) -> None:
            if function(method, stream, out.size, ctypes.c_void_p(out.ctypes.data), real(0), real(1)):
                raise RuntimeError(f"{function.__name__} failed")

        return Way(fill)

    pairs = product(generators.items(), _METHODS[distribution].items())
    return {f"{name} {how}": way(generator, method) for (name, generator), (how, method) in pairs}


@cache
def _load_onemkl() -> ctypes.CDLL | None:
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    library = ctypes.CDLL(str(next(file.locate() for file in files if file.name.startswith("libmkl_rt"))))
    library.MKL_Set_Threading_Layer(1)  # MKL_THREADING_SEQUENTIAL
    return library


def _philox(distribution: str, tag: str) -> Ways:
    """Philox, the usual counter-based generator: 4x64 under NumPy's Generator, 4x32 in oneMKL."""
    ways = _numpy(distribution, tag, np.random.Philox(SEED))
    return ways | (_onemkl(distribution, tag, _PHILOX) or {})


def _randomgen(distribution: str, tag: str) -> Ways:
    """randomgen's bit generators under NumPy's Generator."""
    randomgen = module("randomgen")
    if randomgen is None:
        return None
    generators = ("SFC64", "Romu", "Xoshiro256", "EFIIX64", "SFMT")
    found = {name: _numpy(distribution, tag, getattr(randomgen, name)(SEED)) for name in generators}
    return {name: way for name, each in found.items() for way in each.values()}


def _mkl_random(distribution: str, tag: str) -> Ways:
    mkl_random = module("mkl_random")
    if mkl_random is None:
        return None
    if distribution not in _METHODS or tag != "f64":
        return {}

    def way(rng, **method: str) -> Way:
        draw = {"uniform": rng.random_sample, "normal": rng.standard_normal}[distribution]
        return Way(lambda out: draw(size=out.shape, **method), allocates=True)

    methods = {"uniform": [{}], "normal": [{"method": each} for each in ("BoxMuller", "BoxMuller2", "ICDF")]}
    found = product(("MCG59", "SFMT19937", "ARS5"), methods[distribution])
    return {
        " ".join([name, *method.values()]): way(mkl_random.MKLRandomState(SEED, brng=name), **method)
        for name, method in found
    }


def _jax(distribution: str, tag: str) -> Ways:
    if jax() is None:
        return None
    if tag in ("f16", "bf16") and distribution != "uniform":
        return {}  # the check refuses them: normals of bfloat16 have a mean of -0.012
    random, key = jax().random, jax().random.key(SEED)
    draws = {
        "uniform": random.uniform,
        "normal": random.normal,
        "truncated_normal": lambda key, shape, dtype: random.truncated_normal(
            key, -BOUND, BOUND, shape, dtype
        ),
    }
    compiled = jax().jit(draws[distribution], static_argnums=(1, 2))
    return {
        distribution: Way(lambda out: compiled(key, out.shape, out.dtype).block_until_ready(), allocates=True)
    }


def _numba(distribution: str, tag: str) -> Ways:
    """A loop over NumPy's Generator, compiled by numba."""
    numba = module("numba")
    if numba is None:
        return None
    if distribution not in ("uniform", "normal") or tag not in ("f32", "f64"):
        return {}
    return {distribution: Way(_numba_loop(distribution))}


@cache
def _numba_loop(distribution: str) -> Callable[[np.ndarray], None]:
    numba, rng = module("numba"), np.random.default_rng(SEED)

    @numba.njit
    def uniform(rng, out):
        for i in range(out.size):
            out[i] = rng.random()

    @numba.njit
    def normal(rng, out):
        for i in range(out.size):
            out[i] = rng.standard_normal()

    loop = {"uniform": uniform, "normal": normal}[distribution]
    return lambda out: loop(rng, out)


WAYS = {
    "NumPy": _numpy,
    "torch": _torch,
    "oneMKL": _onemkl,
    "Philox": _philox,
    "randomgen": _randomgen,
    "mkl_random": _mkl_random,
    "JAX": _jax,
    "numba": _numba,
}
