"""Moments and maps of mean-field theory against closed forms and SciPy's integrals."""

import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import erf, erfcx

from fastinit.propagation import activations, chains, theory

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def expected(function):
    return sum(
        quad(lambda x: function(x) * density(x), *ends, epsabs=1e-13)[0] for ends in ((-12, 0), (0, 12))
    )


def predict(spec, variance, *, width=100, depth=50, **options):
    chain = chains.of_widths([width] * (depth + 1))
    return theory.predict(chain, [variance / width] * depth, activations.get(spec), **options)


@pytest.mark.parametrize(
    "spec", ["linear", "relu", "leaky_relu(negative_slope=0.2)", "selu", "sigmoid", "tanh"]
)
@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 40.0])
def test_moments_are_integrals(spec, q):
    activation = activations.get(spec)

    def f(x):
        return float(activation(np.array([x]))[0])

    def slope(x):
        return float(activation.slope(np.array([x]), activation(np.array([x])))[0])

    root = math.sqrt(q)
    found = theory.moments(activation, q, q)
    assert found.mean == pytest.approx(expected(lambda x: f(root * x)), rel=1e-8, abs=1e-12)
    assert found.square == pytest.approx(expected(lambda x: f(root * x) ** 2), rel=1e-8)
    assert found.slope == pytest.approx(expected(lambda x: slope(root * x) ** 2), rel=1e-8)
    assert found.apart == pytest.approx(found.square - found.mean**2, rel=1e-6)  # independent inputs


@pytest.mark.parametrize("c", [-0.5, 0.0, 0.5, 0.99, 1 - 1e-6])
def test_correlated_inputs_of_relu(c):
    """The arc-cosine kernel of Cho and Saul, 2009."""
    angle = math.acos(c)
    together = (math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi)
    found = theory.moments(activations.get("relu"), 1.0, 1.0 - c)
    assert found.apart == pytest.approx(0.5 - together, rel=1e-4)


def test_correlated_inputs_of_tanh():
    c = 0.7
    both, _ = dblquad(
        lambda y, x: math.tanh(x) * math.tanh(c * x + math.sqrt(1 - c * c) * y) * density(x) * density(y),
        -8,
        8,
        -8,
        8,
        epsabs=1e-8,
    )
    found = theory.moments(activations.get("tanh"), 1.0, 1 - c)
    assert found.apart == pytest.approx(found.square - both, rel=1e-5)


def test_alike_inputs_differ_by_the_slope():
    """What is left of a small difference is chi: no digits cancel."""
    for spec in ("tanh", "selu", "sigmoid"):
        found = theory.moments(activations.get(spec), 1.0, 1e-12)
        assert found.apart == pytest.approx(1e-12 * found.slope, rel=1e-4)


def test_xavier_halves_the_mean_square_of_relu_and_he_keeps_it():
    for variance, factor in ((1.0, 0.5), (2.0, 1.0)):
        found = predict("relu", variance)
        square = found["mean"] ** 2 + found["std"] ** 2
        np.testing.assert_allclose(square[1:] / square[:-1], factor, rtol=1e-9)
        np.testing.assert_allclose((found["gradient"][:-1] / found["gradient"][1:]) ** 2, factor, rtol=1e-9)


def test_he_by_the_slope_keeps_leaky_relu():
    slope = 0.3
    found = predict(f"leaky_relu(negative_slope={slope})", 2 / (1 + slope**2))
    np.testing.assert_allclose(found["mean"] ** 2 + found["std"] ** 2, 1.0, rtol=1e-9)
    np.testing.assert_allclose(found["stretch"], 1.0, rtol=1e-9)


def test_lecun_and_selu_stay_at_mean_0_and_variance_1():
    found = predict("selu", 1.0)
    np.testing.assert_allclose(found["mean"], 0.0, atol=1e-9)
    np.testing.assert_allclose(found["std"], 1.0, rtol=1e-9)
    # E[f'^2] = scale^2 (1 / 2 + alpha^2 E[e^(2 x); x < 0]), the second by erfcx
    chi = SELU_SCALE**2 * (0.5 + SELU_ALPHA**2 * erfcx(math.sqrt(2)) / 2)
    np.testing.assert_allclose((found["gradient"][:-1] / found["gradient"][1:]) ** 2, chi, rtol=1e-9)


def test_the_edge_of_chaos_of_tanh_is_at_variance_1():
    below, at, above = (predict("tanh", variance, depth=300) for variance in (0.9, 1.0, 1.1))
    assert below["std"][-1] < 1e-6
    assert 0.02 < at["std"][-1] < 0.1  # 1 / sqrt(2 l)
    assert at["std"][-1] == pytest.approx(1 / math.sqrt(2 * 300), rel=0.05)
    assert above["spread"][-1] > 0.2
    assert above["gradient"][0] > at["gradient"][0] > below["gradient"][0]


def test_the_slope_of_a_probit_like_sigmoid():
    """tanh's chi at a fixed point against erf's closed form, which is near: a check of the scale."""
    q = 0.5
    found = theory.moments(activations.get("tanh"), q, q)
    root = math.sqrt(math.pi) / 2  # erf(root x) has slope 1 at 0, too
    closed = 2 / math.pi * math.asin(2 * root**2 * q / (1 + 2 * root**2 * q))
    assert expected(lambda x: erf(root * math.sqrt(q) * x) ** 2) == pytest.approx(closed, rel=1e-8)
    assert found.square == pytest.approx(closed, rel=0.15)


def test_norms():
    np.testing.assert_allclose(
        predict("tanh", 7.0, norm="layer")["std"][2:],
        predict("tanh", 1.0, norm="layer")["std"][2:],
        rtol=1e-4,
    )
    steps = predict("relu", 2.0, norm="batch")["gradient"]
    np.testing.assert_allclose(
        steps[1:-2] / steps[2:-1], math.sqrt(math.pi / (math.pi - 1)), rtol=1e-4
    )  # Yang et al.


def test_a_residual_network_adds():
    found = predict("tanh", 1.0, residual=True, depth=2)
    first = theory.moments(activations.get("tanh"), 1.0, 1.0)
    assert found["std"][1] == pytest.approx(math.sqrt(1 + first.square), rel=1e-12)
    assert found["stretch"][1] == pytest.approx(math.sqrt(1 + first.slope), rel=1e-12)


def test_a_mean_adds_up_in_a_residual_network():
    found = predict("relu", 2.0, norm="layer", residual=True)
    layers = np.arange(51)
    np.testing.assert_allclose(found["mean"], layers / math.sqrt(2 * math.pi), rtol=1e-4)
    np.testing.assert_allclose(found["std"] ** 2, 1 + layers * (0.5 - 1 / (2 * math.pi)), rtol=1e-4)


def test_fans_of_each_layer_count():
    chain = chains.of_widths([784, 256, 10])
    found = theory.predict(chain, [1 / 784, 1 / 256], activations.get("linear"))
    np.testing.assert_allclose(found["std"], 1.0, rtol=1e-9)
    np.testing.assert_allclose(found["gradient"] ** 2, [10 / 784, 10 / 256, 1.0], rtol=1e-9)
