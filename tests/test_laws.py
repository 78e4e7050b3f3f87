"""A billion values of each law and dtype against exact probabilities and moments: minutes each."""

import math

import ml_dtypes
import numpy as np
import pytest
from scipy import special, stats

from fastinit.random import default_rng

pytestmark = pytest.mark.long

N = 10**9
CHUNK = 1 << 22
TAILS = 2 * 10**10
#: Of some 200 tests, with known seeds, none may be as unlikely as this.
UNLIKELY = 1e-6
DTYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}
CELLS = 1 << 12  # of f32 and f64


def truncated_cdf(x):
    return (special.ndtr(np.clip(x, -2, 2)) - special.ndtr(-2)) / (special.ndtr(2) - special.ndtr(-2))


#: name: the method, its arguments, the exact distribution function, and the ends of its cells.
LAWS = {
    "random": ("random", (), lambda x: np.clip(x, 0, 1), (0, 1)),
    "normal": ("standard_normal", (), special.ndtr, (-8, 8)),
    "truncated": ("truncated_normal", (-2, 2), truncated_cdf, (-2, 2)),
}


def chunks(law, dtype, n, rng=None):
    """Yield values, n in all, from one buffer."""
    method, arguments, *_ = LAWS[law]
    rng, out = rng or default_rng(2026), np.empty(CHUNK, dtype)
    for done in range(0, n, CHUNK):
        part = out[: min(CHUNK, n - done)]
        yield getattr(rng, method)(*arguments, out=part, dtype=dtype)


def of_halves(law, dtype):
    """The probability of each bit pattern of a half type: of all that is rounded to it."""
    codes = np.arange(1 << 16, dtype=np.uint16)
    if law == "random":  # each of 2^24 numbers, rounded; what would be 1 is the value below
        below_one = np.nextafter(dtype(1), dtype(0))
        u = np.minimum(
            (np.arange(1 << 24) * 2.0**-24).astype(dtype).astype(np.float32), np.float32(below_one)
        )
        return np.bincount(u.astype(dtype).view(np.uint16), minlength=1 << 16) / 2**24
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = codes.view(dtype).astype(np.float64)
    finite = np.isfinite(values)
    order = np.argsort(np.where(finite, values, np.inf), kind="stable")[: finite.sum()]
    ordered = values[order]
    keep = np.append(True, np.diff(ordered) > 0)  # one of the two zeros
    order, ordered = order[keep], ordered[keep]
    middles = (ordered[1:] + ordered[:-1]) / 2
    cdf = LAWS[law][2]
    # each side from its own end, so that no digits cancel
    low, high = np.append(-np.inf, middles), np.append(middles, np.inf)
    shares = np.where(ordered > 0, cdf(-low) - cdf(-high), cdf(high) - cdf(low))
    probabilities = np.zeros(1 << 16)
    probabilities[order] = shares
    return probabilities


def of_cells(law):
    """The probability of each cell of equal width."""
    _, _, cdf, (low, high) = LAWS[law]
    edges = np.linspace(low, high, CELLS + 1)
    return (
        np.diff(cdf(edges))
        if law == "random"
        else np.where(edges[1:] > 0, cdf(-edges[:-1]) - cdf(-edges[1:]), cdf(edges[1:]) - cdf(edges[:-1]))
    )


def cells_of(values, law):
    """The cell of each value; a half value's is its bits, of either zero the first."""
    if values.itemsize == 2:
        bits = values.view(np.uint16)
        return np.where(bits == 0x8000, 0, bits)
    low, high = LAWS[law][3]
    return np.clip(((values - low) * (CELLS / (high - low))).astype(np.int64), 0, CELLS - 1)


def p_value(counts, probabilities):
    """Chi-square's, rare cells taken together."""
    expected = probabilities * counts.sum()
    rare = expected < 20
    got = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    if wanted[-1] < 20:
        got, wanted = np.append(got[:-2], got[-2:].sum()), np.append(wanted[:-2], wanted[-2:].sum())
    return stats.chi2.sf(((got - wanted) ** 2 / wanted).sum(), len(wanted) - 1)


def chi_square(law, dtype, n, scale=1):
    """The p-value of n values of a law, times `scale`."""
    probabilities = of_halves(law, dtype) if np.dtype(dtype).itemsize == 2 else of_cells(law)
    if np.dtype(dtype).itemsize == 2 and law != "random":
        zeros = probabilities[[0, 0x8000]].sum()
        probabilities[[0, 0x8000]] = zeros, 0
    counts = np.zeros(len(probabilities), np.int64)
    for values in chunks(law, dtype, n):
        scaled = values if scale == 1 else (values * values.dtype.type(scale))
        counts += np.bincount(cells_of(scaled, law), minlength=len(counts))
    return p_value(counts, probabilities)


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("law", LAWS)
def test_cells_are_as_full_as_they_should_be(law, tag):
    assert chi_square(law, DTYPES[tag], N) > UNLIKELY


def test_a_sigma_that_is_a_thousandth_narrow_is_caught():
    assert chi_square("normal", np.float32, N, scale=0.999) < UNLIKELY


def exact_moments(law):
    """Moments to the 16th."""
    if law == "random":
        return [1 / (k + 1) for k in range(17)]
    if law == "normal":
        return [0 if k % 2 else math.prod(range(1, k, 2)) for k in range(17)]
    density, moments = 2 * stats.norm.pdf(2) / (special.ndtr(2) - special.ndtr(-2)), [1, 0]
    for k in range(2, 17):
        moments.append(0 if k % 2 else (k - 1) * moments[k - 2] - density * 2 ** (k - 1))
    return moments


@pytest.mark.parametrize("tag", ["f32", "f64"])
@pytest.mark.parametrize("law", LAWS)
def test_moments_to_the_eighth(law, tag):
    n, sums, exact = N // 10, np.zeros(9), exact_moments(law)
    for values in chunks(law, DTYPES[tag], n):
        wide = values.astype(np.float64)
        power = np.ones_like(wide)
        for k in range(1, 9):
            power *= wide
            sums[k] += power.sum()
    for k in range(1, 9):
        error = math.sqrt((exact[2 * k] - exact[k] ** 2) / n)
        assert abs(sums[k] / n - exact[k]) < 5 * error, (k, (sums[k] / n - exact[k]) / error)


@pytest.mark.parametrize("law", LAWS)
def test_no_lag_up_to_64_and_no_pair_is_correlated(law):
    n = N // 50
    values = np.concatenate([each.astype(np.float64) for each in chunks(law, np.float32, n)])
    exact = exact_moments(law)
    deviations = (values - exact[1]) / math.sqrt(exact[2] - exact[1] ** 2)
    for power in (1, 2):
        powers = deviations**power
        powers = (powers - powers.mean()) / powers.std()
        for lag in range(1, 65):
            assert abs(powers[:-lag] @ powers[lag:]) < 5 * math.sqrt(n - lag), (power, lag)
    side = 64
    marks = np.minimum((LAWS[law][2](values) * side).astype(np.int64), side - 1)
    for first, second in ((marks[::2], marks[1::2]), (marks[:-2:2], marks[2::2])):
        counts = np.bincount(first * side + second, minlength=side * side)
        assert p_value(counts, np.full(side * side, side**-2.0)) > UNLIKELY


def test_tails_of_float32_normals_are_binomial():
    limits = np.arange(4, 6.75, 0.5)
    beyond = np.zeros(len(limits), np.int64)
    for values in chunks("normal", np.float32, TAILS):
        far = values[np.abs(values, out=values) > np.float32(limits[0])]
        beyond += [np.count_nonzero(far > limit) for limit in limits]
    for limit, count in zip(limits, beyond.tolist(), strict=True):
        assert stats.binomtest(count, TAILS, 2 * special.ndtr(-limit)).pvalue > UNLIKELY, (limit, count)


def test_interleaved_streams_of_fold_in_are_independent():
    root, streams, each = default_rng(2026), 4096, 1 << 14
    values = np.stack([root.fold_in(i).random(each, np.float32) for i in range(streams)], axis=1).ravel()
    counts = np.bincount(cells_of(values, "random"), minlength=CELLS)
    assert p_value(counts, of_cells("random")) > UNLIKELY
    deviations = (values.astype(np.float64) - 0.5) * math.sqrt(12)
    for lag in (*range(1, 65), streams - 1, streams, streams + 1):
        assert abs(deviations[:-lag] @ deviations[lag:]) < 5 * math.sqrt(deviations.size), lag
