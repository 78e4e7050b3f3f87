"""Truncated normals against mpmath's distribution function at the exact u of each draw, and against SciPy."""

import math

import ml_dtypes
import mpmath
import numpy as np
import pytest
from exact_truncated import value
from mpmath import mp, mpf
from scipy import stats

from fastinit import _dispatch
from fastinit._sampling import fill, fill_at
from fastinit.random import PCG64, Generator

INF = math.inf
BITS = {"f16": 32, "bf16": 32, "f32": 32, "f64": 52}
DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
# within |t| <= 3, then up to a tail, then with a near bound of 5 or more
INTERVALS = [
    (-2, 2), (-3, 3), (-1, 2), (0, 1), (-1e-4, 2.9), (0, 1e-8), (1e-10, 2e-10), (-1e-300, 1e-300), (1, 2),
    (-2, -1.999999), (2.9, 3), (-INF, INF), (0, INF), (-INF, 3), (3, 3.0000001), (3, INF), (-INF, -4.99),
    (-6, 5), (-2, 7), (1, 9), (4, 4.5), (-5, -1), (5, INF), (8, 9), (-40, -39.9), (37, INF), (-INF, -50),
    (40, 41), (4000, INF), (-1e5, -1e5 + 1e-3), (1e-3, 6), (-6, -1e-3), (-2, -1e-9), (-0.5, 0),
]  # fmt: skip
MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
# Both ends of both coordinates: the tails, one step and one bit from them, and around the middle.
EXTREMES = [0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 2**32, 2**64 - 2**12, 2**64 - 2, 2**64 - 1]


def with_draw(draw):
    """A generator whose next draw is `draw`: the output of a state below 2^64 is that state."""
    bit_generator = PCG64(0)
    state = bit_generator.state
    state["state"]["state"] = (draw - state["state"]["inc"]) * pow(MULTIPLIER, -1, 2**128) % 2**128
    bit_generator.state = state
    assert Generator(bit_generator).bit_generator.random_raw() == draw
    bit_generator.state = state
    return Generator(bit_generator)


def positions(draws, tag):
    """Return u of each value that the draws become."""
    if tag == "f64":
        words = [draw >> 12 for draw in draws]
    else:
        words = [word for draw in draws for word in (draw & 0xFFFFFFFF, draw >> 32)]
    return [(mpf(word) + mpf(1) / 2) / mpf(2) ** BITS[tag] for word in words]


def sample(low, high, tag, n, loc=0.0, scale=1.0):
    """Return values between the bounds, and the u of each."""
    arguments, each = (low, high, loc, scale), 1 if tag == "f64" else 2
    values = Generator(PCG64(7)).truncated_normal(*arguments, size=each * n, dtype=DTYPES[tag])
    draws = PCG64(7).random_raw(n).tolist()
    ends = [with_draw(draw).truncated_normal(*arguments, size=each, dtype=DTYPES[tag]) for draw in EXTREMES]
    return np.concatenate([values, *ends]), positions(draws + EXTREMES, tag)


def distance(t, u, low, high):
    """Return the distance of t from the quantile at u: a Newton step in P(|Z| < t) or ln P(Z > t)."""
    root = mpmath.sqrt(2)
    density = mpmath.exp(-t * t / 2) * mpmath.sqrt(2 / mp.pi)
    if abs(t) < 1:
        below, above = mp.erf(low / root), mp.erf(high / root)
        return (mp.erf(t / root) - below - u * (above - below)) / density
    below, above, here = (mp.erfc(mpmath.sign(t) * x / root) for x in (low, high, t))
    return mpmath.log(here / (below + u * (above - below))) * here / density


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("tag", ["f32", "f64"])
def test_quantiles(tag, low, high):
    """The errors of the instruction set in use; a test below compares the others with it."""
    values, us = sample(low, high, tag, 60)
    exact = values.astype(np.float64)
    assert np.all((exact >= low) & (exact <= high) | (values == DTYPES[tag](low)))
    with mp.workdps(60):
        worst = 0
        for value, u in zip(values, us, strict=True):
            t = mpf(float(value))
            error = abs(distance(t, u, mpf(low), mpf(high)))
            # p is a rounded float64, unless 0 is the middle or an end
            beyond = error - mpf(2) ** -52 * (low < 0 < high and low != -high)
            worst = max(worst, beyond / mpf(float(np.spacing(abs(value)))))
    print(f"{tag} [{low}, {high}]: {float(worst):.2f} ulp")
    assert worst <= 3


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("tag", ["f32", "f64"])
def test_the_page_has_every_operation(tag, low, high):
    values, us = sample(low, high, tag, 15)
    assert values.tolist() == [value(float(u), float(low), float(high), 0.0, 1.0, tag) for u in us]


# No value of a half type is between the bounds, and a float32 is not either; bounds of 0, or that round to 0,
# or are infinite in the dtype; loc and scale that float32 rounds.
CLAMPED = [
    (1, 2, 2049.0, 1e-6), (1, 2, 257.0, 1e-6), (1, 2, -65520.0, 1e-6), (1, 2, 16777217.0, 1e-12),
    (-1, 1, 0, 1e-9), (-1, 1, 0, 1e-50), (-2, -1, 0, 1e-50), (1, 2, 0, 1e-50), (-INF, -1, 0, 1e-50),
    (-1, 0.5, 2**-6, 2**-6), (-0.5, 1, -(2**-6), 2**-5), (0, 0, 0, 1), (0, 0, -0.0, 1), (-0.0, 0, -0.0, 1),
    (-1, 1, -0.0, 0), (-2, 2, 0.1, 0), (-2, 2, 1 / 3, 1e-8), (0, INF, 65510, 1), (-6, -1e-3, 0.3, 0.7),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "loc", "scale"), CLAMPED)
@pytest.mark.parametrize("tag", DTYPES)
def test_the_page_has_the_clamp_and_the_rounding(tag, low, high, loc, scale):
    arguments = [float(low), float(high), float(loc), float(scale)]
    values, us = sample(low, high, tag, 9, loc, scale)
    expected = np.array([value(float(u), *arguments, tag) for u in us])
    assert values.tobytes() == expected.tobytes(), (values, expected)


@pytest.mark.parametrize(
    ("dtype", "loc", "nearest"),
    [(np.float16, 2049, 2050), (ml_dtypes.bfloat16, 257, 258), (np.float16, -65520, -65504)],
)
def test_the_value_nearest_to_bounds_without_one_is_rounded_once(dtype, loc, nearest):
    assert Generator(PCG64(0)).truncated_normal(1, 2, loc, 1e-6, 1, dtype) == nearest


@pytest.mark.parametrize(("low", "high"), [each for each in INTERVALS if each[0] >= 0] + [(0.0, 0.0)])
@pytest.mark.parametrize("tag", DTYPES)
def test_an_interval_below_zero_is_the_mirror_image_of_the_one_above(tag, low, high):
    each = 1 if tag == "f64" else 2
    for draw in [*EXTREMES, *PCG64(5).random_raw(100).tolist()]:
        above = with_draw(draw).truncated_normal(low, high, size=each, dtype=DTYPES[tag])
        below = with_draw(draw ^ 2**64 - 1).truncated_normal(-high, -low, size=each, dtype=DTYPES[tag])
        assert np.array_equal(above, -below)


@pytest.mark.parametrize("tag", ["f32", "f64"])
@pytest.mark.parametrize("low", [1e8, 1e9, 1e30])
def test_so_far_out_that_the_tail_is_exponential(isa, tag, low):
    values, us = sample(low, INF, tag, 100)
    with mp.workdps(60):
        quantiles = [mpf(low) - mpmath.log(1 - u) / mpf(low) for u in us]
        errors = [abs(mpf(float(value)) - t) for value, t in zip(values, quantiles, strict=True)]
    # 1e8 to float32 is exact; the bounds are clamped to values of the dtype inside them, one more step
    assert max(errors) <= 1.01 * np.spacing(DTYPES[tag](low))
    assert values.min() >= low


@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("tag", ["f16", "bf16", "f32", "f64"])
def test_every_isa_gives_the_same_bits(isa, tag, low, high):
    storage = {"f16": np.uint16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64}[tag]

    def bits():
        out = np.empty(301, storage)
        fill(Generator(PCG64(3)), out, "truncated_normal", tag, low, high, 0.25, 3.7)
        ends = np.empty((len(EXTREMES), 2), storage)
        for draw, two in zip(EXTREMES, ends, strict=True):
            fill(with_draw(draw), two, "truncated_normal", tag, low, high, 0.0, 1.0)
        return out.tobytes() + ends.tobytes()

    here = bits()
    _dispatch.select("baseline")
    there = bits()
    _dispatch.select(isa)
    assert here == there


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (-INF, 1), (8, 9)])
@pytest.mark.parametrize("tag", ["f16", "bf16", "f32", "f64"])
def test_a_part_is_the_part_of_the_whole(isa, tag, low, high):
    storage = {"f16": np.uint16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64}[tag]
    whole = np.empty(3000, storage)
    rng = Generator(PCG64(5))
    fill_at(rng, whole, 0, "truncated_normal", tag, low, high, 0.0, 1.0)
    for start, stop in [(0, 1), (1, 2), (255, 258), (1023, 2049), (1234, 2999)]:
        part = np.empty(stop - start, storage)
        fill_at(rng, part, start, "truncated_normal", tag, low, high, 0.0, 1.0)
        assert part.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.1), (0.3, INF), (-1, 2), (6, 6.5)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_the_rounded_float32(isa, dtype, low, high):
    ml_dtypes = pytest.importorskip("ml_dtypes") if dtype == "bfloat16" else None
    half = np.dtype(ml_dtypes.bfloat16 if ml_dtypes else dtype)
    arguments = dict(loc=0.5, scale=0.7, size=4001)
    values = Generator(PCG64(9)).truncated_normal(low, high, dtype=half, **arguments)
    floats = Generator(PCG64(9)).truncated_normal(low, high, dtype=np.float32, **arguments)
    expected, numbers = floats.astype(half).astype(np.float64), values.astype(np.float64)
    least, most = 0.5 + 0.7 * low, 0.5 + 0.7 * high
    within = (expected >= least) & (expected <= most)
    assert np.array_equal(numbers[within], expected[within])
    assert np.all((numbers >= least) & (numbers <= most))
    unit = np.abs(np.spacing(np.abs(floats))) * 2.0 ** (23 - (10 if dtype == "float16" else 7))
    assert np.all(np.abs(numbers - floats) <= unit)


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (-0.5, 3), (1, INF), (4, 6), (-INF, -6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distribution(dtype, low, high):
    values = Generator(PCG64(11)).truncated_normal(low, high, loc=2, scale=3, size=20_000, dtype=dtype)
    law = stats.truncnorm(low, high, loc=2, scale=3)
    assert stats.kstest(values.astype(np.float64), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bound", [0.0, 0.1, -3.3, 700.0])
def test_an_interval_of_one_point(isa, dtype, bound):
    values = Generator(PCG64(0)).truncated_normal(bound, bound, size=100, dtype=dtype)
    assert np.all(values == dtype(bound))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bound", [-INF, INF])
def test_an_interval_at_infinity_has_no_value(dtype, bound):
    for size in (None, 9):
        with pytest.raises(ValueError, match=f"no value lies between low={bound} and high={bound}"):
            Generator(PCG64(0)).truncated_normal(bound, bound, size=size, dtype=dtype)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (math.nan, 1), (0, math.nan), (INF, -INF)])
def test_bounds_the_wrong_way_round(low, high):
    with pytest.raises(ValueError, match="low"):
        Generator(PCG64(0)).truncated_normal(low, high)
