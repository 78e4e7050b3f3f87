"""Initialisers of JAX, eager and under jit, against `jax.nn.initializers`."""

import numpy as np
import pytest

from . import peers

jax = peers.jax()
if jax is None:
    pytest.skip("jax is missing", allow_module_level=True)

from jax.nn import initializers as theirs  # noqa: E402

from fastinit import jax as ours  # noqa: E402

SIZES = {"768": (768, 2000), "1 Mi": (1 << 20, 1), "16 Mi": (1 << 24, 1)}
BOUNDS = {"1 Mi": 6, "16 Mi": 3.5}


@pytest.mark.parametrize("way", ["jit", "eager"])
@pytest.mark.parametrize("size", SIZES)
def test_normal(race, size, way):
    n, calls = SIZES[size]
    if way == "eager":
        calls = min(calls, 200)
    key = jax.random.key(peers.SEED)

    def maker(module):
        law = module.normal(1.0)
        made = jax.jit(lambda key: law(key, (n,), "float32"))
        return (lambda: made(key)) if way == "jit" else (lambda: law(key, (n,), "float32"))

    makers = {"fastinit": maker(ours), "JAX": maker(theirs)}
    for make in makers.values():
        values = np.asarray(make())
        assert abs(values.mean()) < 6 / np.sqrt(n)
        assert abs(values.std() - 1) < 6 / np.sqrt(n)

    def repeat(make):
        for _ in range(calls):
            make().block_until_ready()

    race.run({name: lambda make=make: repeat(make) for name, make in makers.items()})
    microseconds = np.median(race.times["fastinit"]) / calls * 1e6
    what = f"normal f32, {size}, {way}"
    bound = BOUNDS.get(size) if way == "jit" else None
    race.record(what, f"{microseconds:.3g} us", "JAX", race.ratio("JAX", "fastinit"), at_least=bound)
    if size == "768" and way == "jit":
        race.record(what, "", "a call", race.times["fastinit"] / calls * 1e6, unit=" us", at_most=12)
