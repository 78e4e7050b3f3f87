"""Small draws, to time the call itself."""

import numpy as np
import pytest

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


def run(race, what, ours, numpys, arguments):
    """Time a method of fastinit and NumPy's, and record them."""
    calls = {"fastinit": lambda: _repeat(ours, arguments), "NumPy": lambda: _repeat(numpys, arguments)}
    race.run(calls, rounds=20)
    nanoseconds = np.median(race.times["fastinit"]) / CALLS * 1e9
    race.record(what, f"{nanoseconds:.0f} ns", "NumPy", race.ratio("NumPy", "fastinit"), at_least=1)


def _repeat(draw, arguments):
    for _ in range(CALLS):
        draw(*arguments)
