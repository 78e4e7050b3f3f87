"""Small draws, to time the call itself."""

import numpy as np
import pytest
from scipy import stats

from fastinit import init, random

from .peers import SEED, torch

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


# A call on 64 values, torch's function, the standard deviation, and the most of torch's time.
INITIALISERS = {
    "kaiming_normal((8, 8))": ("kaiming_normal_", 0.5, None),
    "kaiming_normal_(array)": ("kaiming_normal_", 0.5, None),
    "kaiming_normal_(tensor)": ("kaiming_normal_", 0.5, 1.7),
    "trunc_normal_(tensor)": ("trunc_normal_", 0.88, 0.25),
}


@pytest.mark.skipif(torch is None, reason="torch is the peer")
@pytest.mark.parametrize("what", INITIALISERS)
def test_an_initialiser(race, what):
    name, std, at_most = INITIALISERS[what]
    rng, tensor = random.default_rng(SEED), torch.empty(8, 8)
    theirs, ours = getattr(torch.nn.init, name), getattr(init, what.partition("(")[0])
    target = {"(tensor)": tensor, "(array)": tensor.numpy()}.get(what[what.index("(") :], (8, 8))
    option = {"rng" if isinstance(target, tuple) else "generator": rng}
    calls = {"fastinit": lambda: ours(target, **option), "torch": lambda: theirs(tensor)}
    for call in calls.values():
        assert abs(np.std([np.asarray(call()).copy() for _ in range(100)]) / std - 1) < 0.1
    race.run({who: lambda call=call: _repeat(call, ()) for who, call in calls.items()}, rounds=20)
    record_time(race, what, CALLS, at_most=at_most)


@pytest.mark.skipif(torch is None, reason="torch is the peer")
def test_many_tensors(race):
    """10,000 tensors of 1 Ki values, from one generator."""
    rng, tensors = random.default_rng(SEED), [torch.zeros(32, 32) for _ in range(10_000)]
    ways = {"fastinit": lambda tensor: init.kaiming_normal_(tensor, generator=rng)}
    ways["torch"] = torch.nn.init.kaiming_normal_
    for way in ways.values():
        assert abs(float(way(tensors[0].zero_()).std()) * 4 - 1) < 0.1
    race.run({who: lambda way=way: [*map(way, tensors)] for who, way in ways.items()}, rounds=10)
    record_time(race, "kaiming_normal_(1 Ki), 10,000 tensors", len(tensors), at_most=1.3)


def test_a_named_generator(race):
    """`fold_in`, and the same generator by NumPy's constructors."""
    rng = random.default_rng(SEED)
    key = rng.fold_in("layer.weight").bit_generator.seed_seq.spawn_key

    def numpys():
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(SEED, spawn_key=key)))

    assert rng.fold_in("layer.weight").random() == numpys().random()
    run(race, "fold_in(name)", lambda: rng.fold_in("layer.weight"), numpys, ())
    microseconds = race.times["fastinit"] / CALLS * 1e6
    race.record("fold_in(name)", "", "a call", microseconds, unit=" us", at_most=3)


def record_time(race, what, calls, **bound):
    """Record how many times torch's time so many calls take."""
    microseconds = np.median(race.times["fastinit"]) / calls * 1e6
    race.record(what, f"{microseconds:.1f} us", "torch, time", race.ratio("fastinit", "torch"), **bound)


def run(race, what, ours, numpys, arguments):
    """Time a method of fastinit and NumPy's, and record them."""
    calls = {"fastinit": lambda: _repeat(ours, arguments), "NumPy": lambda: _repeat(numpys, arguments)}
    race.run(calls, rounds=20)
    nanoseconds = np.median(race.times["fastinit"]) / CALLS * 1e9
    race.record(what, f"{nanoseconds:.0f} ns", "NumPy", race.ratio("NumPy", "fastinit"), at_least=1)


def _repeat(draw, arguments):
    for _ in range(CALLS):
        draw(*arguments)
