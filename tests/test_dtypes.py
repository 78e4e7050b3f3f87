"""Dtypes: tags, storage, and the one rounding from float64."""

import gc
import itertools
import subprocess
import sys
import weakref
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from fastinit import _dtypes, init, random

TAGS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}


@pytest.mark.parametrize(("tag", "scalar"), TAGS.items())
def test_every_spelling_of_a_dtype_has_its_tag(tag, scalar):
    for spelling in (scalar, np.dtype(scalar), np.dtype(scalar).name):
        assert _dtypes.of(spelling).tag == tag
    with pytest.raises(TypeError, match=f"not {tag!r}"):
        _dtypes.of(tag)  # "f16" is NumPy's name for 16 bytes
    for code, tag_of_code in (("f2", "f16"), ("f4", "f32"), ("f8", "f64")):
        assert _dtypes.of(code).tag == _dtypes.of(np.dtype(code)).tag == tag_of_code
    assert _dtypes.of("float").tag == "f64"
    assert _dtypes.DTYPES[tag].numpy == np.dtype(scalar)
    assert _dtypes.DTYPES[tag].name == np.dtype(scalar).name
    assert _dtypes.DTYPES[tag].storage.itemsize == np.dtype(scalar).itemsize


@pytest.mark.parametrize("dtype", [np.int32, "nonsense", None, ml_dtypes.float8_e4m3fn, complex, 3.5])
def test_another_dtype_is_named_beside_the_four(dtype):
    with pytest.raises(TypeError, match="float16, bfloat16, float32, float64") as caught:
        _dtypes.of(dtype)
    assert repr(dtype) in str(caught.value)


def test_foreign_byte_order_is_refused():
    with pytest.raises(TypeError, match="native byte order"):
        _dtypes.of(np.dtype(np.float32).newbyteorder())


def test_bfloat16_is_known_without_ml_dtypes():
    code = """
import sys
import weakref
from fastinit import _dtypes
assert _dtypes.of("bfloat16").tag == "bf16" and "ml_dtypes" not in sys.modules
sys.modules["ml_dtypes"] = None
try:
    _dtypes.DTYPES["bf16"].numpy
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ml_dtypes" in done.stdout


def test_storage_is_the_same_memory():
    array = np.zeros(3, ml_dtypes.bfloat16)
    _dtypes.DTYPES["bf16"].view(array)[1] = 0x3F80
    assert array.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(TypeError, match="float32"):
        _dtypes.DTYPES["bf16"].view(np.zeros(3, np.float32))


def nearest_even_bfloat16(value):
    """Round to bfloat16 by exact comparison with both neighbours, in integers of its last place."""
    _, exponent = np.frexp(abs(value))
    place = Fraction(2) ** (max(int(exponent), -125) - 8)
    return float(np.copysign(float(round(Fraction(abs(value)) / place) * place), value))


def test_bfloat16_is_rounded_once():
    rng = np.random.default_rng(1)
    plain = rng.standard_normal(500) * 10.0 ** rng.integers(-42, 30, 500)
    # ties of bfloat16, and values a hair to either side that a rounding to float32 on the way would make ties
    ties = (1.0 + (2 * np.arange(64) + 1) / 256.0) * 2.0 ** rng.integers(-20, 20, 64)
    hairs = np.concatenate([ties * (1 + 2.0**-40), ties * (1 - 2.0**-40)])
    values = np.concatenate([plain, ties, hairs, -hairs, [0.0, -0.0, 3.4e38, 1e-45]])
    ours = _dtypes.rounded(values, _dtypes.DTYPES["bf16"]).view(ml_dtypes.bfloat16).astype(np.float64)
    finite = np.isfinite(ours)
    assert ours[finite].tolist() == [nearest_even_bfloat16(value) for value in values[finite]]
    assert values[~finite].tolist() == [3.4e38]


@pytest.mark.parametrize("tag", TAGS)
def test_rounding_keeps_infinities_and_nan(tag):
    out = (
        _dtypes.rounded(np.array([np.inf, -np.inf, np.nan, 1e300]), _dtypes.DTYPES[tag])
        .view(TAGS[tag])
        .astype(np.float64)
    )
    assert out[0] == np.inf
    assert out[1] == -np.inf
    assert np.isnan(out[2])
    assert out[3] == (1e300 if tag == "f64" else np.inf)


@pytest.mark.parametrize("tag", ["f16", "f32", "f64"])
def test_rounding_is_numpys(tag):
    values = np.random.default_rng(2).standard_normal(1000)
    assert np.array_equal(_dtypes.rounded(values, _dtypes.DTYPES[tag]), values.astype(TAGS[tag]))


@pytest.mark.parametrize("tag", TAGS)
def test_limits_are_those_of_the_dtype(tag):
    limits = ml_dtypes.finfo(TAGS[tag])
    assert _dtypes.DTYPES[tag].max == float(limits.max)
    assert _dtypes.DTYPES[tag].epsilon == float(limits.eps)


FLOAT8 = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
each_float8 = pytest.mark.parametrize("dtype", _dtypes.FLOAT8, ids=lambda dtype: dtype.name)


def saturated(values, dtype):
    """Round by ml_dtypes, and let the finite values that it takes to infinity or NaN be the largest."""
    largest = float(ml_dtypes.finfo(dtype).max)
    return np.clip(values, -largest, largest).astype(dtype).view(np.uint8)


@each_float8
def test_float8_is_that_of_ml_dtypes(dtype):
    theirs = FLOAT8[dtype.stored_as]
    limits = ml_dtypes.finfo(theirs)
    assert dtype.numpy == np.dtype(theirs)
    assert (dtype.max, dtype.epsilon, dtype.tiny) == (limits.max, limits.eps, limits.smallest_subnormal)
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(dtype.widen(codes), codes.view(theirs).astype(np.float32))


@each_float8
def test_float32_values_are_rounded_to_float8_as_by_ml_dtypes_but_saturate(dtype):
    bits = np.arange(0, 2**32, 4093, dtype=np.uint32)
    # All that rounding can tell apart: around every value and every tie.
    codes = np.arange(256, dtype=np.uint8)
    exact = np.sort(dtype.widen(codes)[np.isfinite(dtype.widen(codes))])
    ties = np.concatenate([exact, (exact[1:] + exact[:-1]) / 2])
    beside = [np.nextafter(ties, np.float32(way)) for way in (-np.inf, np.inf)]
    values = np.concatenate([bits.view(np.float32), ties, *beside, [-0.0, 3.4e38, -3.4e38]], dtype=np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(dtype.narrow(values), saturated(values, FLOAT8[dtype.stored_as]))
    assert dtype.narrow(values[:6].reshape(2, 3)).shape == (2, 3)


def nearest_even(value, dtype):
    """Find the nearest value of float8 by exact comparison, and the even code of two that are as near."""
    codes = [code for code in range(128) if np.isfinite(dtype.widen([code])[0])]
    distance = {code: abs(Fraction(float(dtype.widen([code])[0])) - Fraction(abs(value))) for code in codes}
    return min(codes, key=lambda code: (distance[code], code % 2)) + 128 * bool(np.signbit(value))


@each_float8
def test_float8_is_rounded_once(dtype):
    """A rounding to float32 or float16 on the way would make ties of these. ml_dtypes has one for E5M2."""
    exact = dtype.widen(np.arange(4, 100, 7, dtype=np.uint8)).astype(np.float64)
    ties = (exact + dtype.widen(np.arange(5, 101, 7, dtype=np.uint8))) / 2
    values = np.concatenate([ties, ties * (1 + 2.0**-40), ties * (1 - 2.0**-40), [1e-300, 1e300, 5e-324]])
    values = np.concatenate([values, -values])
    assert _dtypes.rounded(values, dtype).tolist() == [nearest_even(value, dtype) for value in values]


@each_float8
def test_infinity_and_nan_in_float8(dtype):
    """Infinity saturates if the dtype has none."""
    for kind in (np.float32, np.float64):
        got = dtype.widen(dtype.narrow(np.array([np.inf, -np.inf, np.nan], kind)))
        largest = dtype.max if dtype.stored_as == "F8_E4M3" else np.inf
        np.testing.assert_array_equal(got, [largest, -largest, np.nan])


def spellings():
    """Arguments that are equal to each other, or have a dtype of their own, in all orders of three."""
    values = [np.float64(1), np.float32(1), np.float16(1), 1, True, 1.0, ml_dtypes.bfloat16(1), np.int64(1)]
    return [*itertools.permutations(values, 3)]


def test_equal_arguments_of_other_dtypes_are_told_apart():
    """What came before is of no account: NumPy goes by an argument's own dtype."""
    for order in spellings():
        rng = random.default_rng(7)
        for each in order:
            wanted = getattr(each, "dtype", None)
            if wanted is None or wanted == np.int64:
                for call in (rng.random, init.zeros):
                    with pytest.raises(TypeError, match=r"dtype|data type"):
                        call(2, dtype=each)
            else:
                assert rng.random(2, dtype=each).dtype == init.zeros(2, dtype=each).dtype == wanted


def test_arguments_with_a_dtype_are_not_kept():
    class Column:
        dtype = np.dtype("f4")

    rng, columns, kinds = random.default_rng(7), [], []
    for _ in range(200):
        column, kind = Column(), type("Column", (), {"dtype": np.dtype("f4")})
        for each in (column, kind):
            assert rng.random(2, dtype=each).dtype == init.zeros(2, dtype=each).dtype == np.float32
        columns.append(weakref.ref(column)), kinds.append(weakref.ref(kind))
    del column, kind, each
    gc.collect()
    assert not any(ref() for ref in columns)
    assert sum(ref() is not None for ref in kinds) <= 128  # bounded tables
