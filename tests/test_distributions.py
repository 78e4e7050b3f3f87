"""Draws have SciPy's distributions and stay within their bounds."""

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fastinit import _dispatch, _dtypes, _sampling
from fastinit._distributions import DISTRIBUTIONS
from fastinit.random import default_rng

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
# relative spacing of the values near 1
EPSILON = {np.float16: 2.0**-10, ml_dtypes.bfloat16: 2.0**-7, np.float32: 2.0**-23, np.float64: 2.0**-52}
N = 1 << 18

LAWS = {
    "random": ("random", (), stats.uniform()),
    "uniform": ("uniform", (-3.0, 5.0), stats.uniform(-3, 8)),
    "standard_normal": ("standard_normal", (), stats.norm()),
    "normal": ("normal", (1.0, 2.5), stats.norm(1, 2.5)),
    "truncated [-2, 2]": ("truncated_normal", (-2, 2), stats.truncnorm(-2, 2)),
    "truncated [-1, 3], moved": ("truncated_normal", (-1, 3, 0.5, 0.25), stats.truncnorm(-1, 3, 0.5, 0.25)),
    "truncated [8, 9]": ("truncated_normal", (8, 9), stats.truncnorm(8, 9)),
    "truncated [-30, -29]": ("truncated_normal", (-30, -29), stats.truncnorm(-30, -29)),
    "truncated [-inf, 3]": ("truncated_normal", (-np.inf, 3), stats.truncnorm(-np.inf, 3)),
    "truncated [1, inf]": ("truncated_normal", (1, np.inf), stats.truncnorm(1, np.inf)),
    "truncated [-inf, inf]": ("truncated_normal", (-np.inf, np.inf), stats.norm()),
}


def moment_error(law, order, n):
    """Return the standard error of a mean of (x - mean) ** order, from the distribution's moments."""
    mean = law.mean()
    central = law.expect(lambda x: (x - mean) ** order)
    square = law.expect(lambda x: (x - mean) ** (2 * order))
    return central, np.sqrt((square - central**2) / n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", LAWS)
def test_moments_and_distance(law, dtype):
    """Moments and Kolmogorov's distance are within 5 standard errors plus rounding."""
    method, args, exact = LAWS[law]
    values = getattr(default_rng(7), method)(*args, size=N, dtype=dtype).astype(np.float64)
    largest = max(abs(exact.ppf(1e-9)), abs(exact.ppf(1 - 1e-9)))
    rounding = EPSILON[dtype] * largest
    for order in (1, 2, 3):
        expected, error = moment_error(exact, order, N)
        got = np.mean((values - exact.mean()) ** order)
        spread = max(exact.std(), rounding)
        assert abs(got - expected) < 5 * error + 4 * order * rounding * (3 * spread) ** (order - 1)
    # a value represents all that round to it, half a unit either way
    points = np.quantile(values, np.linspace(0.001, 0.999, 999))
    half = np.abs(points) * EPSILON[dtype] / 2 + (2.0**-25 if dtype == np.float16 else 0)
    below = np.searchsorted(np.sort(values), points, "right") / N
    distance = 3.0 / np.sqrt(N)  # exceeded once in 10^7
    assert (below <= exact.cdf(points + 2 * half) + distance).all()
    assert (below >= exact.cdf(points - 2 * half) - distance).all()
    if EPSILON[dtype] * largest < exact.std() * 1e-5:
        assert stats.kstest(values, exact.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("scale", "fan"), [(1.0, 1), (2.0, 50), (3.0, 0.25)])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_moments_of_each_distribution_are_those_of_its_draws(name, scale, fan):
    """Its centred form has mean 0 and variance scale / fan; moments are within five standard errors."""
    each = DISTRIBUTIONS[name]
    parameters = each.centred(scale, fan)
    values = np.empty(N)
    _sampling.fill(default_rng(7), values, name, "f64", *parameters)
    mean, std, kurtosis = each.moments(*parameters)
    assert mean == pytest.approx(0.0, abs=1e-9)
    assert std == pytest.approx(np.sqrt(scale / fan), rel=1e-6)
    units = (values - mean) / std
    for order, moment in ((1, 0.0), (2, 1.0), (4, kurtosis)):
        powers = units**order
        assert powers.mean() == pytest.approx(moment, abs=5 * powers.std() / np.sqrt(N))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_distribution_has_an_error_for_what_the_core_refuses(name):
    each = DISTRIBUTIONS[name]
    assert isinstance(each.refusal(_dtypes.of("float16"), *each.centred(1.0, 1)), Exception)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_are_independent(dtype):
    """The correlations of a Box-Muller pair, of neighbours, and of their squares."""
    z = default_rng(7).standard_normal(N, dtype).astype(np.float64)
    for a, b in ((z[::2], z[1::2]), (z[1:-1:2], z[2::2]), (z[:-2:2], z[2::2])):
        for function in (np.asarray, np.square, np.abs):
            assert abs(np.corrcoef(function(a), function(b))[0, 1]) < 5 / np.sqrt(a.size)
    angle = np.arctan2(z[1::2], z[::2]) / (2 * np.pi) % 1
    assert stats.kstest(angle, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tails_of_the_normals_are_real(dtype):
    """Of 2^26 values, the expected numbers are beyond 3, 4 and 5 sigma, and none is 0."""
    rng, out = default_rng(7), np.empty(1 << 22, dtype)
    beyond = dict.fromkeys((3, 4, 5), 0)
    zeros, most = 0, 0.0
    for _ in range(16):
        rng.standard_normal(out=out, dtype=dtype)
        np.abs(out, out=out)
        zeros += out.size - np.count_nonzero(out)
        most = max(most, float(out.max()))
        for sigma in beyond:
            beyond[sigma] += np.count_nonzero(out > sigma)
    assert zeros == 0
    assert 5.3 < most < (6.77 if dtype == np.float32 else 8.6)
    for sigma, count in beyond.items():
        mean = 2 * stats.norm.sf(sigma) * 2**26
        assert abs(count - mean) < 5 * np.sqrt(mean)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_random_is_never_one(dtype):
    rng, out = default_rng(7), np.empty(1 << 22, dtype)
    most = 0.0
    for _ in range(4):
        most = max(most, float(rng.random(out=out, dtype=dtype).max()))
        assert out.min() >= 0
    below_one = np.nextafter(dtype(1), dtype(0))
    assert most <= below_one
    assert most == below_one or dtype == np.float32


def next_to(value, dtype, direction):
    return float(np.nextafter(dtype(value), dtype(direction)))


numbers = st.floats(-1e4, 1e4) | st.sampled_from([0.0, -0.0, 1.0, 1e-30, -1e-40, 2.0**-149, 1e-8, 0.1, -0.1])


@settings(deadline=None, max_examples=400)
@given(
    low=numbers,
    span=st.floats(0, 1e4) | st.floats(0, 1e-4) | st.sampled_from([0.0, 1e-45, 1e-300, 2.0**-25, 1e-3]),
    dtype=st.sampled_from([np.float16, ml_dtypes.bfloat16, np.float32]),
)
def test_uniform_keeps_below_high_where_the_dtype_has_a_value_there(low, span, dtype):
    high = low + span
    assume(high >= low)
    values = default_rng(7).uniform(low, high, 2000, dtype)
    rounded = dtype(low)
    with np.errstate(over="ignore"):
        least = float(rounded) if float(rounded) >= low else next_to(rounded, dtype, np.inf)
    wide = values.astype(np.float64)
    if least < high:
        assert (wide >= low).all()
        assert (wide < high).all()
    else:
        assert (wide == float(rounded)).all()
    assert default_rng(7).uniform([low], [high], 2000, dtype).tobytes() == values.tobytes()


@pytest.mark.parametrize("tag", ["f16", "bf16", "f32"])
def test_the_limits_of_uniform_are_the_dtypes_values_next_to_its_bounds(tag):
    dtype = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}[tag]
    least, one_up = float(np.nextafter(dtype(0), dtype(1))), next_to(1, dtype, 2)
    cases = {
        (-1.0, 0.0): (-1.0, -least),
        (0.0, least): (0.0, 0.0),
        (-least, least): (-least, 0.0),
        (1.0, one_up): (1.0, 1.0),
        (1.0 - 2.0**-40, one_up + 2.0**-40): (1.0, one_up),
    }
    # No value lies in [low, high): low is rounded to float32, then to the dtype, here a tie to even.
    between = 1 + 1.5 * (one_up - 1) - 2.0**-40 if tag != "f32" else 1 + 2.0**-24
    cases[between, between] = (float(dtype(np.float32(between))),) * 2
    for (low, high), limits in cases.items():
        assert struct.unpack_from("4d", _dispatch.prepared("uniform", tag, low, high))[2:] == limits, (
            low,
            high,
        )


@settings(deadline=None, max_examples=400)
@given(
    low=st.floats(-40, 40) | st.just(-np.inf),
    span=st.floats(0, 10) | st.floats(0, 1e-6) | st.just(np.inf),
    loc=st.sampled_from([0.0, 1.0, -0.3, 1e3]),
    scale=st.sampled_from([1.0, 0.02, 0.0, 7.0]),
    dtype=st.sampled_from(DTYPES),
)
def test_truncated_normal_keeps_within_its_bounds(low, span, loc, scale, dtype):
    high = low + span if np.isfinite(low) else 40.0
    assume(low <= high)
    assume(scale or np.isfinite([low, high]).all())
    values = default_rng(7).truncated_normal(low, high, loc, scale, 500, dtype).astype(np.float64)
    least, most = loc + scale * low, loc + scale * high
    slack = (abs(loc) + scale * 50) * EPSILON[np.float64]
    nearest = [float(dtype(x)) for x in (least, most)]
    assert (values >= min(least - slack, *nearest)).all()
    assert (values <= max(most + slack, *nearest)).all()


def test_truncation_in_a_sliver():
    values = default_rng(7).truncated_normal(3, 3.0000001, size=1000)
    assert ((values >= 3) & (values <= 3.0000001)).all()
    assert np.unique(values).size > 900
    assert (default_rng(7).truncated_normal(1.5, 1.5, size=9) == 1.5).all()
