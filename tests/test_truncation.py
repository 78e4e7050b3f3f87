"""Standard deviations of truncated normals against mpmath and SciPy."""

import decimal
import math

import mpmath
import numpy as np
import pytest
import scipy.stats

from fastinit._distributions import _CUT_STD
from fastinit._truncation import cut_std, std_before

INF = math.inf
BOUNDS = [
    (-2, 2),
    (-3, 3),
    (-1, 1),
    (-0.01, 0.01),
    (-1e-5, 3),
    (1, 2),
    (5, INF),
    (30, 31),
    (-INF, -12),
    (1e3, INF),
    (-INF, INF),
    (-8, 9),
    (-100, 0.5),
]


def exact(low, high):
    """The standard deviation by its closed form, with digits to spare."""
    with mpmath.workdps(400):
        low, high = mpmath.mpf(low), mpmath.mpf(high)
        at_low, at_high = (0 if mpmath.isinf(x) else mpmath.npdf(x) for x in (low, high))
        mass = (mpmath.erfc(low / mpmath.sqrt(2)) - mpmath.erfc(high / mpmath.sqrt(2))) / 2
        edges = (low * at_low if at_low else 0) - (high * at_high if at_high else 0)
        return mpmath.sqrt(1 + edges / mass - ((at_low - at_high) / mass) ** 2)


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_the_std_between_bounds_is_correctly_rounded(low, high):
    cut_std.cache_clear()
    assert cut_std(low, high) == float(exact(low, high))


def test_the_constant_of_variance_scaling_is_its_std():
    assert cut_std(-2.0, 2.0) == _CUT_STD


@pytest.mark.parametrize("seed", range(20))
def test_the_std_before_the_cut_gives_the_one_after(seed):
    pick = np.random.default_rng(seed)
    mean, std = float(pick.normal()), float(10 ** pick.uniform(-3, 1))
    a = mean + float(pick.normal(scale=5)) * std
    b = INF if seed % 4 == 0 else a + std * float(pick.uniform(3.5, 20))
    if seed % 2:
        mean, a, b = -mean, -b, -a
    before = std_before(std, mean, a, b)
    after = before * exact((a - mpmath.mpf(mean)) / before, (b - mpmath.mpf(mean)) / before)
    assert float(after) == pytest.approx(std, rel=1e-15)


def test_the_most_that_is_kept_is_a_uniform_distributions():
    most = 2 / math.sqrt(12)
    assert std_before(math.nextafter(most, 0), 0.0, -1.0, 1.0) > 1e6
    with pytest.raises(ValueError, match=r"std=0.58 is too large to be kept between a=-1.0 and b=1.0"):
        std_before(0.58, 0.0, -1.0, 1.0)
    for a, b in ((0.5, 0.5), (INF, INF)):
        with pytest.raises(ValueError, match="too large to be kept"):
            std_before(0.1, 0.0, a, b)


def test_the_callers_decimals_change_nothing():
    expected = cut_std(-1.5, 3.5), std_before(0.3, 0.0, -0.5, 1.5)
    cut_std.cache_clear()
    std_before.cache_clear()
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP, Emax=9, Emin=-9) as context:
        context.traps[decimal.Inexact] = True
        assert (cut_std(-1.5, 3.5), std_before(0.3, 0.0, -0.5, 1.5)) == expected


def test_scipy_agrees():
    assert cut_std(-1.0, 2.5) == pytest.approx(scipy.stats.truncnorm(-1.0, 2.5).std(), rel=1e-12)
