"""Lazy normals of fastinit.dask.random against dask.array.random: 64 Mi in chunks, summed by one thread."""

import numpy as np
import pytest

from .peers import SEED

dask = pytest.importorskip("dask.array")

from fastinit.dask import random as ours  # noqa: E402

SHAPE = 64, 1 << 20


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("chunk", "at_least"), [(1 << 20, 2), (1 << 18, None)], ids=["1 Mi", "256 Ki"])
def test_normal(race, dtype, chunk, at_least):
    """Dask's arrays have no dtype but float64: for float32 they are cast."""
    mine, theirs = ours.default_rng(SEED), dask.random.default_rng(SEED)
    arrays = {
        "fastinit": lambda: mine.standard_normal(SHAPE, chunks=(1, chunk), dtype=dtype),
        "Dask": lambda: theirs.standard_normal(SHAPE, chunks=(1, chunk)).astype(dtype),
    }
    for make in arrays.values():
        few = make()[0].compute(scheduler="single-threaded")
        assert few.dtype == dtype
        assert abs(few.mean()) < 6 / np.sqrt(few.size)

    def summed(make):
        return lambda: make().sum().compute(scheduler="single-threaded")

    race.run({name: summed(make) for name, make in arrays.items()})
    speed = SHAPE[0] * SHAPE[1] / np.median(race.times["fastinit"]) / 1e9
    what = f"lazy normal f{8 * int(dtype[1])}, chunks of {'1 Mi' if chunk == 1 << 20 else '256 Ki'}"
    race.record(what, f"{speed:.3g} Gvalues/s", "Dask", race.ratio("Dask", "fastinit"), at_least=at_least)
