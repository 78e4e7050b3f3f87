"""A program for type checkers. In `make lint`, mypy and pyright read it in strict mode; a test runs it.

What is typed with NumPy's classes takes fastinit's objects, and a wrong name or word is an error.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Callable
from typing import assert_type

import numpy as np
import numpy.typing as npt

import fastinit
from fastinit import init, random


class Streams(random.Generator):
    """A subclass; what it makes is of its own class."""


def numpys(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A function of a program that was written for NumPy."""
    return rng.normal(0.0, 1.0, 3) * 2.0 + rng.random(3)


def generators(out: npt.NDArray[np.float32]) -> None:
    rng = random.default_rng(7)
    numpys(rng)
    assert_type(rng, random.Generator)
    assert_type(rng.fold_in("weight"), random.Generator)
    assert_type(rng.spawn(2), list[random.Generator])
    streams = Streams(random.PCG64(7))
    assert_type(streams.fold_in(3), Streams)
    assert_type(streams.spawn(2)[0], Streams)
    assert_type(random.PCG64(7).jumped(), random.PCG64)
    assert_type(rng.random(), float)
    assert_type(rng.normal(0.5, 0.02), float)
    assert_type(rng.truncated_normal(-2, 2), float)
    assert_type(rng.random(3), npt.NDArray[np.float64])
    assert_type(rng.normal([0.0, 1.0]), npt.NDArray[np.float64])
    assert_type(rng.uniform(size=(2, 3), dtype="float32"), npt.NDArray[np.float32])
    assert_type(rng.standard_normal(3, np.float32), npt.NDArray[np.float32])
    assert_type(rng.standard_normal(3, dtype=np.dtype(np.float16)), npt.NDArray[np.float16])
    assert_type(rng.random(out=out, dtype=np.float32), npt.NDArray[np.float32])
    assert_type(rng.exponential(size=3), npt.NDArray[np.float64])
    assert_type(rng.poisson(5), int)
    assert_type(rng.beta(2, [3.0, 4.0]), npt.NDArray[np.float64])
    counts = rng.binomial(10, 0.5, 3)
    assert_type(rng.poisson(5, out=counts), npt.NDArray[np.int64])
    assert_type(rng.permutation(3, out=counts), npt.NDArray[np.int64])
    assert_type(rng.choice(3), int)


def scaled(make: Callable[..., npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return make((4, 3)) * np.float32(2.0)


def initialisers(values: npt.NDArray[np.float64]) -> None:
    assert_type(init.kaiming_normal((4, 3), mode="fan_out", nonlinearity="relu"), npt.NDArray[np.float32])
    assert_type(init.variance_scaling((4, 3), 2.0, "fan_geo_avg", dtype="float64"), npt.NDArray[np.float64])
    assert_type(init.get("lecun_normal")((4, 3), layout="io"), npt.NDArray[np.float32])
    assert_type(init.zeros(3, dtype=np.float16), npt.NDArray[np.float16])
    assert_type(init.xavier_uniform((4, 3), dtype=np.float64, out=values), npt.NDArray[np.float64])
    assert_type(init.xavier_uniform_(values, generator=7, groups=2), npt.NDArray[np.float64])
    assert_type(init.calculate_gain("leaky_relu", 0.2), float)
    assert_type(init.compute_fans((4, 3)), tuple[int, int])
    scaled(init.lecun_uniform)


def numpys_names() -> None:
    sequence: np.random.SeedSequence = random.SeedSequence(7)
    legacy: np.random.RandomState = random.RandomState(sequence.generate_state(1))
    assert_type(legacy.rand(), float)
    assert_type(random.rand(), float)


def wrong() -> None:
    """Each is an error for type checkers. Without one, the comment is."""
    random.typo  # type: ignore[attr-defined]  # noqa: B018
    fastinit.typo  # type: ignore[attr-defined]  # noqa: B018
    init.calculate_gain("mish")  # type: ignore[arg-type]
    init.kaiming_normal((4, 3), mode="fan_up")  # type: ignore[call-overload]
    init.kaiming_normal_(np.empty((4, 3)), nonlinearity="mish")  # type: ignore[arg-type]
    random.default_rng(7).random("three")  # type: ignore[arg-type]


if __name__ == "__main__":
    generators(np.empty(3, np.float32))
    initialisers(np.empty((4, 3)))
    numpys_names()
