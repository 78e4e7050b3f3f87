"""Fills of one distribution: positions, long fills of every case, and the values of extreme draws."""

import functools
import math

import numpy as np

from fastinit import _sampling

from .common import BIT_GENERATORS, MODULUS, MULTIPLIER, TAGS, bits, digest, empty, f64, place, seeded

LONG = 1 << 20
PART = 4099  # several blocks of the kernels and an odd rest
SHOWN = 4
INF = math.inf


def uniform(low=0.0, high=1.0):
    return "uniform", (low, high)


def normal(loc=0.0, scale=1.0):
    return "normal", (loc, scale)


def truncated(low, high, loc=0.0, scale=1.0):
    return "truncated_normal", (low, high, loc, scale)


PLAIN = [uniform(), normal(), truncated(-2.0, 2.0)]
CASES = [
    *PLAIN,
    uniform(-0.5, 0.5),
    uniform(0.1, 0.7),  # fma would give other bits
    uniform(1.0, 1.01),  # a few float16 and bfloat16 values wide: many draws are clamped
    uniform(-3.0, -0.0),
    uniform(-1.0, -1e-46),  # a bound that rounds to zero
    uniform(-1e-9, 1e-6),  # a negative bound, whose limit in float16 is -0
    uniform(-0.0, -0.0),
    uniform(1.0, 1.0),
    uniform(1.0, 1.0 + 2**-30),  # no other value of f32 between
    uniform(1.0, 1.0 + 2**-52),  # rounds to high in float64
    uniform(1.0004, 1.0006),  # no value of float16 between
    uniform(1.0038, 1.004),  # none of bfloat16
    uniform(1.0 + 2**-11 + 2**-40, 1.0 + 2**-11 + 2**-39),  # float32 first, and then a tie of float16
    uniform(1.0 + 2**-8 + 2**-40, 1.0 + 2**-8 + 2**-39),  # of bfloat16
    uniform(0.0, 1e-6),  # subnormal in float16
    uniform(0.0, 1e-40),  # subnormal in float32
    uniform(-65504.0, 65504.0),
    normal(0.5, 0.02),
    normal(0.1, 1.1),
    normal(0.0, 1e-6),
    normal(0.0, 1e-40),
    normal(0.0, 40000.0),  # infinite in float16
    normal(3.0, 0.0),
    truncated(-2.0, 2.0, 0.1, 0.02),
    truncated(-INF, INF),
    truncated(-INF, INF, 0.1, 1.1),
    truncated(-3.0, 3.0),  # the last of the centre case
    truncated(-3.0000001, 3.0),  # the first of the wide case
    truncated(-1.0, 4.0, 0.1, 0.3),
    truncated(-4.0, 1.0, 0.1, 0.3),
    truncated(0.0, INF),
    truncated(-INF, 3.0),
    truncated(-0.01, 0.02),
    truncated(1e-3, 6.0),
    truncated(-6.0, -1e-3),
    truncated(-2.0, -1e-9),
    truncated(0.0, 1e-8),
    truncated(0.9, 2.5),
    truncated(1.5, 2.5),
    truncated(3.0, 3.0000001),
    truncated(4.0, 4.5),
    truncated(4.999, 40.0),
    truncated(5.0, 5.5),  # the first of the far case
    truncated(-9.0, -8.0, 8.5, 0.7),
    truncated(8.0, 9.0, -8.5, 0.7),
    truncated(30.0, INF),
    truncated(36.0, 38.0),  # O is 0 from 37 on
    truncated(1e5, INF, -49999.0, 0.5),
    truncated(2.0**29, INF, 0.0, 2.0**-20),  # both sides of the cap at 2^30
    truncated(-INF, -(2.0**31), 0.0, 2.0**-25),
    truncated(1e200, INF, 0.5, 1e-200),
    truncated(6.1, 6.3, 0.1, 0.3),
    truncated(1.0, 1.7, 0.1, 0.3),
    truncated(0.3, 1.3),
    truncated(-4.0, 0.0),
    truncated(-INF, 0.0, 0.1, 0.3),
    truncated(1.0, 1.0),
    truncated(1.1, 1.1, 0.1, 0.3),
    truncated(-0.7, -0.7, 0.1, 1.1),
    truncated(0.0, 0.0),
    truncated(-0.0, 0.5),
    truncated(-0.0, -0.0, -0.0, 1.0),
    truncated(-1e-9, 1.0, 0.0, 0.5),  # a limit of float16 is -0
    truncated(1.0, 2.0, 2049.0, 1e-6),  # no value of float16 between the bounds
    truncated(1.0, 2.0, 257.0, 1e-6),  # none of bfloat16
    truncated(-2.0, -1.0, 1.0, 1e-9),  # none of float32, and the nearest is a rounding away
    truncated(-1.0, 1.0, -65520.0, 1e-3),  # beyond float16
    truncated(-1.0, 1.0, 0.0, 1e-46),  # around zero, with bounds that round to it
    truncated(1.0, 2.0, -0.0, 0.0),
]


@functools.cache
def at(name):
    """The generator of a position."""
    bit_generator, seed, words = SEEDED[name]
    rng = seeded(bit_generator, seed)
    rng.random(words, dtype=np.float32)
    return rng


SEEDED = {
    f"{kind}, seed {seed}, {words} words": (kind, seed, words)
    for kind in BIT_GENERATORS
    for seed, words in [(7, 0), (7, 1), (7, 2), (7, 5), (2**40 + 5, 0)]
}

# Low half the radius or the first word, high half the angle or the second: the ends of the range, the border
# of ln's exponent split, the ends of each quadrant.
SPLIT = 0xB504F333
EXTREME_DRAWS = [
    0x00000000_00000000,
    0xFFFFFFFF_FFFFFFFF,
    0xFFFFFFFF_00000000,
    0x00000000_FFFFFFFF,
    0x1FFFFFFF_00000001,
    0x20000000_FFFFFFFE,
    0x3FFFFFFF_FFFFFF7F,
    0x40000000_FFFFFF80,
    0x5FFFFFFF_7FFFFFFF,
    0x60000000_80000000,
    0x7FFFFFFF_00000000 | SPLIT,
    0x80000000_00000000 | SPLIT - 128,
    0x9FFFFFFF_00000000 | SPLIT + 128,
    0xA0000000_FFFF0000,
    0xBFFFFFFF_0000FFFF,
    0xC0000000_000000FF,
    0xDFFFFFFF_00000100,
    0xE0000000_55555555,
    0xB504F333_F9DE6000,  # float64's border, and draws between it and float32's
    0xB504F333_F9DE5FFF,
    0xB504F320_E1EA24C4,
    0xB504F324_91EB79FA,
    0xB504F329_3AC7652C,
]


def at_draw(draw):
    """A generator whose next draw is this one: a state with high half 0 comes out as it is."""
    rng = seeded()
    state = rng.bit_generator.state
    state["state"]["state"] = (draw - state["state"]["inc"]) * pow(MULTIPLIER, -1, MODULUS) % MODULUS
    rng.bit_generator.state = state
    return rng


def positions():
    for name, (bit_generator, seed, words) in SEEDED.items():
        head = {"name": name, "bit_generator": bit_generator, "seed": str(seed), "words_before": words}
        yield {**head, **place(at(name))}
    for draw in EXTREME_DRAWS:
        head = {"name": f"{draw:016x}", "bit_generator": "PCG64", "seed": None, "words_before": None}
        yield {**head, **place(at_draw(draw))}


def fill(rng, distribution, tag, parameters, start, n):
    values = empty(n, tag)
    _sampling.fill_at(rng, values, start, distribution, tag, *parameters)
    return values


def head(distribution, tag, parameters):
    return {"distribution": distribution, "dtype": tag, "parameters": [f64(each) for each in parameters]}


def row(name, distribution, tag, parameters, n=LONG):
    values = fill(at(name), distribution, tag, parameters, 0, n)
    digests = {"values": bits(values[:SHOWN]), "part": digest(values[:PART]), "all": digest(values)}
    return {"position": name, **head(distribution, tag, parameters), "n": n, **digests}


def fills():
    for tag in TAGS:
        for distribution, parameters in CASES:
            yield row("PCG64, seed 7, 0 words", distribution, tag, parameters)
        for distribution, parameters in PLAIN:
            yield row("PCG64DXSM, seed 7, 0 words", distribution, tag, parameters)
            yield row("PCG64, seed 7, 5 words", distribution, tag, parameters, LONG - 1)


def starts():
    places = [0, 1, 4, 10**12 + 1]
    for name in SEEDED:
        for distribution, parameters in PLAIN:
            for tag in TAGS:
                values = [bits(fill(at(name), distribution, tag, parameters, start, 2)) for start in places]
                shown = {"starts": list(map(str, places)), "values": values}
                yield {"position": name, **head(distribution, tag, parameters), **shown}


def extremes():
    for distribution, parameters in [*PLAIN, truncated(-INF, INF)]:
        for tag in TAGS:
            values = [
                bits(fill(at_draw(draw), distribution, tag, parameters, 0, 2)) for draw in EXTREME_DRAWS
            ]
            positions = [f"{draw:016x}" for draw in EXTREME_DRAWS]
            yield {"positions": positions, **head(distribution, tag, parameters), "values": values}
