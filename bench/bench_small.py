"""Small draws, to time the call itself."""

import numpy as np
import pytest
from scipy import stats

from fastinit import random

from .peers import SEED

CALLS = 2000


@pytest.mark.parametrize("size", [None, 40], ids=["scalar", "40"])
@pytest.mark.parametrize("method", ["random", "uniform", "standard_normal", "normal"])
def test_small(race, method, size):
    ours, numpys = (getattr(module.default_rng(SEED), method) for module in (random, np.random))
    if method in ("random", "uniform"):
        assert np.array_equal(ours(size=size), numpys(size=size))
    else:
        for draw in (ours, numpys):
            assert abs(np.mean([draw(size=size) for _ in range(CALLS)])) < 6 / np.sqrt(CALLS)
    arguments = () if size is None else (0.0, 1.0, size) if method in ("uniform", "normal") else (size,)
    run(race, f"{method}(){'' if size is None else f', {size} values'}", ours, numpys, arguments)


FORTY = np.linspace(0, 1, 40)
PARAMETERS = {
    "normal(f32, f32)": ("normal", (np.float32(0), np.float32(1))),
    "normal(array, 1)": ("normal", (FORTY, 1.0)),
    "normal(0, array)": ("normal", (0, FORTY)),
    "uniform(-2, array)": ("uniform", (-2, FORTY)),
}


@pytest.mark.parametrize("what", PARAMETERS)
def test_parameters(race, what):
    """Parameters that are NumPy's scalars, or arrays of 40 elements."""
    method, arguments = PARAMETERS[what]
    ours, numpys = (getattr(module.default_rng(SEED), method) for module in (random, np.random))
    if method == "uniform":
        assert np.array_equal(ours(*arguments), numpys(*arguments))
    run(race, what, ours, numpys, arguments)


MANY = np.linspace(0, 1, 1 << 20)
LOW, HIGH = np.linspace(-2, 1, 1 << 14), np.linspace(1.5, 4, 1 << 14)
NEAR_LOW, NEAR_HIGH = np.linspace(-2, -1, 1 << 14), np.linspace(1, 2, 1 << 14)
ARRAYS = {
    "uniform(array, 10), float32": (
        lambda ours: ours.uniform(MANY, 10, dtype="f4"),
        lambda numpys: numpys.uniform(MANY, 10).astype("f4"),
    ),
    "uniform(array, 10), float64": (
        lambda ours: ours.uniform(MANY, 10),
        lambda numpys: numpys.uniform(MANY, 10),
    ),
    "truncated_normal(-2, 2, array)": (
        lambda ours: ours.truncated_normal(-2, 2, MANY),
        lambda numpys: stats.truncnorm.rvs(-2, 2, MANY, random_state=numpys),
    ),
    "truncated_normal(array, array)": (
        lambda ours: ours.truncated_normal(LOW, HIGH),
        lambda numpys: stats.truncnorm.rvs(LOW, HIGH, random_state=numpys),
    ),
    "truncated_normal(array < 0, array > 0)": (  # where SciPy is fastest
        lambda ours: ours.truncated_normal(NEAR_LOW, NEAR_HIGH),
        lambda numpys: stats.truncnorm.rvs(NEAR_LOW, NEAR_HIGH, random_state=numpys),
    ),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_a_parameter_for_each_value(race, what):
    """Arrays of a million parameters, and of 16,384 bounds."""
    ours, theirs = ARRAYS[what]
    peer = "NumPy" if what.startswith("uniform") else "SciPy"
    mine, yours = ours(random.default_rng(SEED)), theirs(np.random.default_rng(SEED))
    assert stats.ks_2samp(mine, yours).pvalue > 1e-4
    rngs = random.default_rng(SEED), np.random.default_rng(SEED)
    race.run({"fastinit": lambda: ours(rngs[0]), peer: lambda: theirs(rngs[1])}, rounds=10)
    nanoseconds = np.median(race.times["fastinit"]) / mine.size * 1e9
    floor = 1 if peer == "NumPy" else 2
    race.record(what, f"{nanoseconds:.1f} ns", peer, race.ratio(peer, "fastinit"), at_least=floor)


def run(race, what, ours, numpys, arguments):
    """Time a method of fastinit and NumPy's, and record them."""
    calls = {"fastinit": lambda: _repeat(ours, arguments), "NumPy": lambda: _repeat(numpys, arguments)}
    race.run(calls, rounds=20)
    nanoseconds = np.median(race.times["fastinit"]) / CALLS * 1e9
    race.record(what, f"{nanoseconds:.0f} ns", "NumPy", race.ratio("NumPy", "fastinit"), at_least=1)


def _repeat(draw, arguments):
    for _ in range(CALLS):
        draw(*arguments)
