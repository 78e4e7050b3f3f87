"""Errors against mpmath, in units in the last place. Half types are tested at every value.

Of the instruction set in use: that the others give the same bits is tested in test_nn.py.
"""

import mpmath
import numpy as np
import pytest
from activations import BY_NAME, DTYPES, EPSILON, every_half

from fastinit import nn

BOUND = 2.0
HALF_BOUND = 0.5 + 2.0**-12  # one rounding, after the error of float32

mpmath.mp.dps = 60
ALPHA = mpmath.mpf("1.6732632423543772848170429916717")
SCALE = mpmath.mpf("1.0507009873554804934193349852946")

EXACT = {
    "selu": lambda x: SCALE * x if x > 0 else SCALE * ALPHA * mpmath.expm1(x),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
}
LIMITS = {"f16": 2.0**-24, "bf16": 2.0**-133, "f32": 2.0**-149, "f64": 2.0**-1074}


def errors(got, exact, tag):
    """Return the error of each value, in units in the last place of the exact one."""
    found = []
    for value, wanted in zip(got.tolist(), exact, strict=True):
        _, exponent = mpmath.frexp(wanted)
        unit = max(mpmath.ldexp(mpmath.mpf(EPSILON[tag]), exponent - 1), mpmath.mpf(LIMITS[tag]))
        found.append(float(abs(mpmath.mpf(value) - wanted) / unit))
    return np.array(found)


def report(name, tag, x, found):
    where = found.argmax()
    print(f"{name} {tag}: at most {found[where]:.3f} ulp, at {x[where]}")


#: The same in NumPy's widest floats, to find the worst values, which mpmath then decides.
WIDE = {
    "selu": lambda x: np.where(x > 0, SELU[0] * x, SELU[1] * np.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
SELU = np.longdouble(str(SCALE)), np.longdouble(str(SCALE * ALPHA))


def arguments(rng, tag, n):
    """Values in every binade from the smallest subnormal, densely if results are neither x nor constant."""
    low = np.log2(LIMITS[tag])
    magnitudes = [
        2 ** rng.uniform(low, 11, n // 4),
        2 ** rng.uniform(-14, 5, n // 2),
        rng.uniform(0, 1, n // 4),
    ]
    x = np.concatenate(
        [*magnitudes, np.nextafter(np.log(2) * (np.arange(40) + 0.5), 9), [0, 2 * LIMITS[tag]]]
    )
    return np.concatenate([x, -x]).astype(DTYPES[tag])


def worst(name, x, n):
    """The n values of x whose results are farthest from NumPy's widest."""
    got, wide = BY_NAME[name].call(x), WIDE[name](x.astype(np.longdouble))
    return x[np.argsort(abs(got - wide) / np.spacing(abs(got)))[-n:]]


@pytest.mark.parametrize("tag", ["f32", "f64"])
@pytest.mark.parametrize("name", EXACT)
def test_within_two_units_of_mpmath(name, tag):
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore", under="ignore"):
        x = np.concatenate([arguments(rng, tag, 2000), worst(name, arguments(rng, tag, 1 << 19), 300)])
    found = errors(BY_NAME[name].call(x), [EXACT[name](mpmath.mpf(each)) for each in x.tolist()], tag)
    report(name, tag, x, found)
    assert found.max() <= BOUND


@pytest.mark.parametrize("tag", ["f16", "bf16"])
@pytest.mark.parametrize("name", EXACT)
def test_every_half_is_the_nearest_but_for_float32s_error(name, tag):
    x = every_half(tag)
    x = x[np.isfinite(x.astype(np.float32))]
    got = BY_NAME[name].call(x).astype(np.float32)
    x, got = x[np.isfinite(got)], got[np.isfinite(got)]  # lambda times the largest value is infinite
    found = errors(got, [EXACT[name](mpmath.mpf(each)) for each in x.tolist()], tag)
    report(name, tag, x, found)
    assert found.max() <= HALF_BOUND


#: Gradients from the output are polynomials of it, with two roundings and a product each.
GRADIENTS = {
    "selu_backward_x": lambda g, x: g * SCALE * (1 if x > 0 else ALPHA * mpmath.exp(x)),
    "sigmoid_backward": lambda g, y: g * y * (1 - y),
    "tanh_backward": lambda g, y: g * (1 - y) * (1 + y),
}


@pytest.mark.parametrize("tag", ["f32", "f64"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_within_three_units_of_mpmath(name, tag):
    rng = np.random.default_rng(2)
    other = arguments(rng, tag, 3000) if name.endswith("_x") else rng.uniform(0, 1, 3000).astype(DTYPES[tag])
    grad = rng.uniform(1, 2, other.size).astype(DTYPES[tag])
    pairs = zip(grad.tolist(), other.tolist(), strict=True)
    exact = [GRADIENTS[name](mpmath.mpf(g), mpmath.mpf(each)) for g, each in pairs]
    found = errors(BY_NAME[name].call(grad, other), exact, tag)
    report(name, tag, other, found)
    assert found.max() <= 3


def test_selu_keeps_its_digits_where_exp_minus_one_has_none():
    x = np.array([-1e-20, -1e-9, -3e-5])
    by_hand = 1.0507009873554805 * 1.6732632423543772 * (np.exp(x) - 1)
    exact = np.array([float(EXACT["selu"](mpmath.mpf(each))) for each in x])
    assert (abs(by_hand - exact) > 1e-13 * abs(exact)).all()
    np.testing.assert_allclose(nn.selu(x), exact, rtol=4e-16)
