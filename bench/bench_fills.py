"""Large fills: against every peer that has them, memory and the clock."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import fastinit
from fastinit import _dispatch, random
from fastinit._sampling import fill, fill_at

from . import limits
from .fills import Workload
from .peers import SEED

VALUES = 1 << 24

#: The lowest speed that is wanted, over a peer's.
FLOORS = {
    Workload("uniform", "f32"): {"NumPy": 10, "oneMKL": 1.8},
    Workload("uniform", "f64"): {"NumPy": 6.5, "oneMKL": 1.2},
    Workload("normal", "f32"): {"NumPy": 25, "torch": 9, "oneMKL": 3.5},
    Workload("normal", "f64"): {"NumPy": 9, "torch": 16, "oneMKL": 1.7},
    Workload("normal", "bf16"): {"torch": 9},
    Workload("truncated_normal", "f32"): {"torch": 20},
}

#: What only writes memory. libc's memset doesn't bypass the cache at every size.
LIMITS = "memset", "non-temporal stores"


@pytest.mark.parametrize("work", FLOORS, ids=str)
def test_fill(race, work):
    out = np.zeros(VALUES, work.dtype)
    peers = work.peers(out[: VALUES // 16])
    ours = work.fastinit()
    into = {"fastinit": ours} | {name: way.fill for name, way in peers.items() if way and not way.allocates}
    own = {name: way.fill for name, way in peers.items() if way and way.allocates}
    for fill_it in into.values():
        out[:] = 9
        fill_it(out)
        work.check(out)
    for make in own.values():
        work.check(make(out))
    into["memset"] = limits.memset
    if stream := limits.stream():
        into["non-temporal stores"] = stream
    touched = {name: partial(fill_it, out) for name, fill_it in into.items()}
    fresh = {_fresh(name): partial(_fill_fresh, fill_it, out) for name, fill_it in into.items()}
    fresh |= {_fresh(name): partial(make, out) for name, make in own.items()}
    clock = limits.clock()
    race.run(touched | fresh | ({"clock": clock} if clock else {}))

    speeds = [VALUES / np.median(race.times[name]) / 1e9 for name in ("fastinit", _fresh("fastinit"))]
    line = str(work), "{:.2f} ({:.2f}) Gv/s".format(*speeds)
    for name in peers:
        times = race.ratio(name, "fastinit"), race.ratio(_fresh(name), _fresh("fastinit"))
        race.record(*line, name, *times, at_least=FLOORS[work].get(name))
    for limit in LIMITS:
        memory = np.median(out.nbytes / race.times[limit]) / 1e9 if limit in race.times else 0
        shares = race.ratio(limit, "fastinit"), race.ratio(_fresh(limit), _fresh("fastinit"))
        memory_is_the_limit = limit == "memset" and work.distribution == "uniform" and memory < 40
        bound = {"at_least": 90 if memory_is_the_limit else None}
        race.record(
            *line, f"{limit}, {memory:.0f} GB/s", *(100 * share for share in shares), unit="%", **bound
        )
    draws = VALUES if work.tag == "f64" else VALUES // 2
    cycles = limits.CYCLES / race.ratio("clock", "fastinit") / draws
    race.record(*line, "the clock", cycles, unit=" cycles/draw")


def _fresh(name):
    return f"{name}, fresh array"


def _fill_fresh(fill_it, like):
    fill_it(np.empty_like(like))


@pytest.mark.parametrize("work", [work for work in FLOORS if work.distribution == "uniform"], ids=str)
def test_bits_are_numpys(work):
    size = 1_000_003
    expected = np.random.default_rng(SEED).random(size, work.dtype)
    np.testing.assert_array_equal(random.default_rng(SEED).random(size, work.dtype), expected)


@pytest.mark.parametrize("work", [Workload("normal", "f32"), Workload("uniform", "f32")], ids=str)
def test_two_threads(race, work):
    values = 1 << 26
    out, expected = (np.zeros(values, work.dtype) for _ in range(2))
    parameters = work.distribution, work.tag, 0.0, 1.0
    rng = random.default_rng(SEED)
    fastinit.set_num_threads(2)
    fill(random.default_rng(SEED), out, *parameters)
    fill_at(rng, expected, 0, *parameters)  # in the calling thread only
    assert np.array_equal(out, expected)
    del expected
    with ThreadPoolExecutor(2) as pool:
        calls = {
            "two threads": lambda: fill(rng, out, *parameters),
            "one thread": lambda: fill_at(rng, out, 0, *parameters),
            "memset": lambda: limits.memset_by(pool, out, 2),
        }
        race.run(calls)
    gigavalues = values / np.median(race.times["two threads"]) / 1e9
    line = f"{work}, 2 threads, 64 Mi", f"{gigavalues:.2f} Gv/s"
    floor = 1.8 if work.distribution == "normal" else None  # memory limits the other one
    race.record(*line, "one thread", race.ratio("one thread", "two threads"), at_least=floor)
    race.record(*line, "memset, 2 threads", 100 * race.ratio("memset", "two threads"), unit="%")


@pytest.mark.long
@pytest.mark.parametrize("work", [work for work in FLOORS if work.tag != "bf16"], ids=str)
def test_dxsm(race, work):
    out = np.zeros(VALUES, work.dtype)
    calls = {}
    for kind in (random.PCG64DXSM, random.PCG64):
        filler = work.fastinit(random.Generator(kind(SEED)))
        filler(out)
        work.check(out)
        calls[kind.__name__] = lambda filler=filler: filler(out)
    race.run(calls)
    gigavalues = VALUES / np.median(race.times["PCG64DXSM"]) / 1e9
    ratio = race.ratio("PCG64", "PCG64DXSM")
    race.record(f"{work}, PCG64DXSM", f"{gigavalues:.2f} Gv/s", "PCG64", ratio, at_least=0.7)


@pytest.mark.long
@pytest.mark.parametrize("work", FLOORS, ids=str)
def test_isas(race, work):
    config = _dispatch.config()
    out = np.zeros(VALUES, work.dtype)
    filler = work.fastinit()
    # Fewer values, as a fused multiply-add costs a function call without the instruction.
    isas = [isa for isa in config["supported"] if isa in config["built"]]
    sizes = {isa: VALUES // 16 if isa == "baseline" else VALUES for isa in isas}

    def call(isa):
        def run():
            _dispatch.select(isa)
            filler(out[: sizes[isa]])

        return run

    try:
        for isa, size in sizes.items():
            out[:] = 9
            call(isa)()
            work.check(out[:size])
        race.run({isa: call(isa) for isa in reversed(sizes)})
    finally:
        _dispatch.select(config["isa"])
    race.record_isas(str(work), {isa: size / np.median(race.times[isa]) / 1e9 for isa, size in sizes.items()})
