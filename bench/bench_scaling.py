"""Throughput against size, from four cache lines to far outside the cache, and against threads."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastinit
from fastinit import random
from fastinit._sampling import fill

from . import limits
from .fills import Workload
from .peers import SEED

SIZES = [1 << power for power in range(6, 27, 4)]
DISTRIBUTIONS = "uniform", "normal", "truncated_normal"
WORKS = [Workload(each, tag) for each in DISTRIBUTIONS for tag in ("f16", "bf16", "f32", "f64")]
THREADED = [Workload("uniform", "f32"), Workload("normal", "f32")]
PEERS = "NumPy", "torch"
THREADS = [1 << power for power in range((os.cpu_count() or 1).bit_length())]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "work",
    [work if work in THREADED else pytest.param(work, marks=pytest.mark.long) for work in WORKS],
    ids=str,
)
def test_size(race, benchmark, work, size):
    out = np.zeros(size, work.dtype)
    checked = np.zeros(1 << 16, work.dtype)
    fillers = {"fastinit": work.fastinit()}
    fillers |= {name: way.fill for name, way in work.peers(checked, PEERS).items() if way}
    for filler in fillers.values():
        filler(checked)
        work.check(checked)
    fillers["memset"] = limits.memset
    times = max(1, (1 << 16) // size)  # calls in a turn, so that reading the clock costs little
    calls = {name: partial(_repeat, filler, out, times) for name, filler in fillers.items()}
    race.run(calls, rounds=2 if size == SIZES[-1] else None)  # some take seconds
    benchmark.extra_info["size"] = {
        "work": str(work),
        "bytes": out.nbytes,
        "gigavalues_per_second": {
            name: times * size / np.median(turns) / 1e9 for name, turns in race.times.items()
        },
        "caches": _caches(),
    }


@pytest.mark.parametrize("work", THREADED, ids=str)
def test_threads(race, benchmark, work):
    out = np.zeros(1 << 26, work.dtype)
    rng = random.default_rng(SEED)

    def call(threads):
        fastinit.set_num_threads(threads)
        fill(rng, out, work.distribution, work.tag, 0.0, 1.0)

    for threads in THREADS:
        out[:] = 9
        call(threads)
        work.check(out[-(1 << 20) :])
    race.run({str(threads): partial(call, threads) for threads in THREADS})
    benchmark.extra_info["threads"] = {
        "work": str(work),
        "gigavalues_per_second": {n: out.size / np.median(turns) / 1e9 for n, turns in race.times.items()},
    }


def _repeat(filler, out, times):
    for _ in range(times):
        filler(out)


def _caches():
    """Return the bytes of each level's data cache on Linux."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        about = {name: (index / name).read_text().strip() for name in ("level", "type", "size")}
        if about["type"] != "Instruction":
            found[f"L{about['level']}"] = int(about["size"].removesuffix("K")) * 1024
    return found
