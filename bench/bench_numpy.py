"""Every method of Generator against NumPy's: 1 Mi values by each instruction set, 40 values, one value."""

import numpy as np
import pytest

from fastinit import _dispatch, random

from .methods import METHODS, RAW, arrays, numpys_methods, same
from .peers import SEED

CALLS = 500  # of a few values, in one turn
FEW = {"40": 40, "one": None}
ALL = {each.label: each for name in sorted(METHODS) for each in METHODS[name].calls} | {RAW.label: RAW}
LARGE = [label for label, call in ALL.items() if call.many]
NORMALS = [each.label for name in METHODS if "ziggurat" in METHODS[name].bits for each in METHODS[name].calls]


def pair(normals="ziggurat"):
    """Two generators from one seed, fastinit's and NumPy's, with equal arrays to shuffle."""
    arrays.clear()
    return random.default_rng(SEED, normals=normals), np.random.default_rng(SEED)


def check(draw, n):
    """Raise an AssertionError if the values or the states differ."""
    mine, theirs = pair()
    for _ in range(2):
        assert same(draw(mine, n), draw(theirs, n))
    assert mine.bit_generator.state == theirs.bit_generator.state


def check_normals(draw, n):
    """Raise an AssertionError if the moments of Box-Muller's normals are not those of NumPy's."""
    samples = [draw(rng, n) for rng in pair("box-muller")]
    for moment in (np.mean, np.std):
        mine, theirs = map(moment, samples)
        assert abs(mine - theirs) < 6 * np.std(samples[1]) * np.sqrt(2 / n)


def test_every_method_is_here():
    assert {*METHODS} == numpys_methods()


def on_each_isa(draw, rng, n):
    """The calls by instruction set, the current one's first."""
    config = _dispatch.config()
    names = [name for name in reversed(config["supported"]) if name in config["built"]]
    names.sort(key=lambda name: name != config["isa"])

    def call(isa):
        def run():
            _dispatch.select(isa)
            draw(rng, n)

        return run

    return {name: call(name) for name in names}


@pytest.mark.parametrize("label", LARGE)
def test_many(race, label):
    call = ALL[label]
    check(call.draw, call.many)
    compare_isas(race, label, call, pair())


@pytest.mark.parametrize("label", NORMALS)
def test_many_box_muller(race, label):
    call = ALL[label]._replace(at_least=1.0)
    check_normals(call.draw, call.many)
    compare_isas(race, f"{label}, Box-Muller", call, pair("box-muller"))


def compare_isas(race, label, call, rngs):
    mine, theirs = rngs
    size = "64 Ki" if call.many == 1 << 16 else "1 Mi"
    ours, *others = on_each_isa(call.draw, mine, call.many).items()
    calls = {"fastinit": ours[1], "NumPy": lambda: call.draw(theirs, call.many), **dict(others)}
    try:
        race.run(calls)
    finally:
        _dispatch.select(ours[0])
    for name, isa in (("fastinit", ours[0]), *((isa, isa) for isa, _ in others)):
        against = "NumPy" if name == "fastinit" else f"NumPy, {isa}"
        speed = f"{np.median(race.times[name]) / call.many * 1e9:.2f} ns"
        at_least = call.at_least if name == "fastinit" else 1.0
        race.record(
            f"Generator.{label}, {size}", speed, against, race.ratio("NumPy", name), at_least=at_least
        )


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("label", [label for label in ALL if "64 Ki" not in label])
def test_few(race, label, few):
    check(ALL[label].draw, FEW[few])
    compare_few(race, label, few, ALL[label], pair())


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("label", NORMALS)
def test_few_box_muller(race, label, few):
    compare_few(race, f"{label}, Box-Muller", few, ALL[label], pair("box-muller"))


def compare_few(race, label, few, call, rngs):
    n = FEW[few]

    def repeat(rng):
        for _ in range(CALLS):
            call.draw(rng, n)

    race.run(
        {name: lambda rng=rng: repeat(rng) for name, rng in zip(("fastinit", "NumPy"), rngs, strict=True)}
    )
    speed = f"{np.median(race.times['fastinit']) / CALLS * 1e9:.0f} ns"
    ratio = race.ratio("NumPy", "fastinit")
    race.record(f"Generator.{label}, {few}", speed, "NumPy", ratio, at_least=call.few_at_least)
