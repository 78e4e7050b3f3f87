"""Sketches: counts are NumPy's, distances SciPy's, whatever the size, the dtype and the order of pieces."""

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from fastinit.checkpoint import TensorSpec
from fastinit.checkpoint.sketches import BINS, EXACT, Counter, between, distance

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I32": np.int32,
    "I8": np.int8,
    "U8": np.uint8,
}


def sketched(values, tag, pieces=3):
    spec = TensorSpec("x", tag, values.shape)
    counter = Counter(spec)
    words = values.view(spec.storage) if spec.floating else values
    for part in reversed(np.array_split(words, pieces)):
        counter.add(spec.as_numbers(part))
    return counter.sketch(), spec.stored


def values_of(tag, size, scale=1.0, seed=0, mean=0.0):
    values = mean + scale * np.random.default_rng(seed).standard_normal(size)
    if tag in ("I32", "I8", "U8"):
        values = np.clip(
            30 * values + 60 * (tag == "U8"), 0 if tag == "U8" else -128, 127 * 100 ** (tag == "I32")
        )
    return values.astype(DTYPES[tag])


@pytest.mark.parametrize("size", [1, 2, 100, EXACT, EXACT + 1, 300_001])
@pytest.mark.parametrize("tag", DTYPES)
def test_a_histogram_is_numpys(tag, size):
    values = values_of(tag, size)
    sketch, stored = sketched(values, tag)
    wide = values.astype(np.float64)
    low, high = max(wide.min(), -3.0), wide.max()
    found = sketch.histogram(low, high, stored)
    assert 1 <= len(found.counts) <= BINS
    assert np.histogram(wide, np.asarray(found.edges))[0].tolist() == found.counts.tolist()
    assert found.below == (wide < found.edges[0]).sum()
    assert found.above == (wide > found.edges[-1]).sum()
    if tag != "F64":
        assert not set(found.edges) & set(wide.tolist())
    assert found.edges[0] <= low + (high - low) / 16 + (tag[0] in "IU")
    assert found.above == 0


@pytest.mark.parametrize("tag", ["F64", "F32", "F16", "BF16"])
def test_edges_stay_near_where_they_are_wanted(tag):
    """A cell is at most 1/128 of its values wide."""
    sketch, stored = sketched(values_of(tag, 100_000), tag)
    wanted = np.linspace(-3, 3, 101)
    for edge in wanted:
        (found,) = sketch.fitted(np.array([edge]), stored)
        assert abs(found - edge) <= abs(edge) / 64 + 1e-7


@pytest.mark.parametrize("tag", ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_an_edge_is_what_rounds_to_either_side(tag):
    stored = TensorSpec("x", tag, ()).stored
    dtype = DTYPES[tag]
    edges = np.concatenate([values_of("F64", 500, 10.0**power, power + 9) for power in (-6, -1, 0, 2)])
    found = between(edges, stored)
    held = np.abs(edges).astype(dtype).astype(np.float64)
    # The neighbours by ml_dtypes' and NumPy's own nextafter.
    below, above = (
        np.nextafter(np.abs(edges).astype(dtype), dtype(end)).astype(np.float64) for end in (0, 400)
    )
    lower = np.where(held <= np.abs(edges), held, below)
    upper = np.where(held <= np.abs(edges), above, held)
    middle = lower + (upper - lower) / 2 if tag != "F64" else np.where(edges < 0, lower, upper)
    np.testing.assert_array_equal(found, np.copysign(middle, edges))


def test_what_is_not_finite_is_in_no_bin():
    for size in (1000, 100_000):
        values = values_of("F32", size)
        values[:3] = np.nan, np.inf, -np.inf
        values[3:5] = np.float32(3.4028235e38), -0.0
        sketch, _ = sketched(values, "F32")
        assert sketch.size == size - 3


@pytest.mark.parametrize("one", [500, 200_000])
@pytest.mark.parametrize("other", [400, 150_000])
@pytest.mark.parametrize("tag", ["F32", "F16", "BF16", "F8_E4M3", "I8"])
def test_distances_are_scipys(tag, one, other):
    a, b = values_of(tag, one), values_of(tag, other, 1.3, 1, 0.1)
    wanted = stats.ks_2samp(a.astype(np.float64), b.astype(np.float64), method="asymp").statistic
    found, more = distance(sketched(a, tag)[0], sketched(b, tag)[0])
    if max(one, other) <= EXACT or tag in ("BF16", "F8_E4M3", "I8"):
        assert more == 0.0
        assert found == pytest.approx(wanted, abs=1e-12)
    else:
        assert found - 1e-12 <= wanted <= found + more + 1e-12
        assert more < 0.02


def test_a_value_against_its_neighbour_is_seen_or_said_to_be_hidden():
    a, b = np.full(20_000, 1.0, np.float32), np.full(20_000, 1.001, np.float32)
    assert distance(sketched(a, "F32")[0], sketched(b, "F32")[0]) == (0.0, 1.0)
    few = slice(100)
    assert distance(sketched(a[few], "F32")[0], sketched(b[few], "F32")[0]) == (1.0, 0.0)
