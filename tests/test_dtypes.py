"""Dtypes: tags, storage, and the one rounding from float64."""

import subprocess
import sys
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from fastinit import _dtypes

TAGS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}


@pytest.mark.parametrize(("tag", "scalar"), TAGS.items())
def test_every_spelling_of_a_dtype_has_its_tag(tag, scalar):
    for spelling in (scalar, np.dtype(scalar), np.dtype(scalar).name):
        assert _dtypes.tag(spelling) == tag
    with pytest.raises(TypeError, match=f"not {tag!r}"):
        _dtypes.tag(tag)  # "f16" is NumPy's name for 16 bytes
    for code, tag_of_code in (("f2", "f16"), ("f4", "f32"), ("f8", "f64")):
        assert _dtypes.tag(code) == _dtypes.tag(np.dtype(code)) == tag_of_code
    assert _dtypes.tag("float") == "f64"
    assert _dtypes.dtype(tag) == np.dtype(scalar)
    assert _dtypes.name(tag) == np.dtype(scalar).name
    assert _dtypes.STORAGE[tag].itemsize == np.dtype(scalar).itemsize


@pytest.mark.parametrize("dtype", [np.int32, "nonsense", None, ml_dtypes.float8_e4m3fn, complex, 3.5])
def test_another_dtype_is_named_beside_the_four(dtype):
    with pytest.raises(TypeError, match="float16, bfloat16, float32, float64") as caught:
        _dtypes.tag(dtype)
    assert repr(dtype) in str(caught.value)


def test_foreign_byte_order_is_refused():
    with pytest.raises(TypeError, match="native byte order"):
        _dtypes.tag(np.dtype(np.float32).newbyteorder())


def test_bfloat16_is_known_without_ml_dtypes():
    code = """
import sys
from fastinit import _dtypes
assert _dtypes.tag("bfloat16") == "bf16" and "ml_dtypes" not in sys.modules
sys.modules["ml_dtypes"] = None
try:
    _dtypes.dtype("bf16")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ml_dtypes" in done.stdout


def test_storage_is_the_same_memory():
    array = np.zeros(3, ml_dtypes.bfloat16)
    _dtypes.storage(array, "bf16")[1] = 0x3F80
    assert array.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(TypeError, match="float32"):
        _dtypes.storage(np.zeros(3, np.float32), "bf16")


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
    ours = _dtypes.rounded(values, "bf16").view(ml_dtypes.bfloat16).astype(np.float64)
    finite = np.isfinite(ours)
    assert ours[finite].tolist() == [nearest_even_bfloat16(value) for value in values[finite]]
    assert values[~finite].tolist() == [3.4e38]


@pytest.mark.parametrize("tag", TAGS)
def test_rounding_keeps_infinities_and_nan(tag):
    out = _dtypes.rounded(np.array([np.inf, -np.inf, np.nan, 1e300]), tag).view(TAGS[tag]).astype(np.float64)
    assert out[0] == np.inf
    assert out[1] == -np.inf
    assert np.isnan(out[2])
    assert out[3] == (1e300 if tag == "f64" else np.inf)


@pytest.mark.parametrize("tag", ["f16", "f32", "f64"])
def test_rounding_is_numpys(tag):
    values = np.random.default_rng(2).standard_normal(1000)
    assert np.array_equal(_dtypes.rounded(values, tag), values.astype(TAGS[tag]))
