"""Alpha dropout: which elements it drops, their values, and the same elements in the gradient."""

import copy

import activations
import numpy as np
import pytest
from activations import DTYPES, EPSILON, FUNCTIONS, SEED, P, assert_same, dropped
from numpy.testing import assert_array_equal

from fastinit import nn, random
from fastinit.random import default_rng

LOW = -1.0507009873554804934 * 1.6732632423543772848  # the limit of selu at -infinity


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 31, 4097, 20_001])
def test_the_stream_says_which_are_dropped(isa, tag, n):
    """Word i is NumPy's i-th uint32 of the seed, whatever the dtype."""
    x = np.ones(n, DTYPES[tag])
    y = nn.alpha_dropout(x, P, default_rng(SEED)).astype(np.float64)
    low, high = y[dropped(n)], y[~dropped(n)]
    assert {*low} == {low[0]} if low.size else True
    assert {*high} == {high[0]} if high.size else True
    assert max(low, default=-9) < min(high, default=9)
    gradient = nn.alpha_dropout_backward(x, P, default_rng(SEED))
    assert_array_equal(gradient == 0, dropped(n))


@pytest.mark.parametrize("bits", [random.PCG64, random.PCG64DXSM, np.random.PCG64, np.random.PCG64DXSM])
def test_any_pcg64_makes_the_mask_of_its_own_words(bits):
    words = np.random.Generator(bits(5)).integers(0, 2**32, 999, dtype=np.uint32)
    for rng in (random.Generator(bits(5)), np.random.Generator(bits(5))):
        gradient = nn.alpha_dropout_backward(np.ones(999), P, rng)
        assert_array_equal(gradient == 0, words < round(P * 2**32))


def test_a_probability_of_less_than_a_word_drops_next_to_nothing():
    x = np.linspace(-3, 3, 1000)
    np.testing.assert_allclose(nn.alpha_dropout_backward(x, 1e-11, default_rng(SEED)), x, rtol=1e-10)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 20_001])
@pytest.mark.parametrize("buffered", [False, True])
def test_the_generator_moves_by_a_word_an_element(n, buffered):
    """The generator moves as for as many float32 values, also from a buffered half."""
    ours, numpys = random.Generator(random.PCG64(3)), np.random.Generator(np.random.PCG64(3))
    for rng in (ours, numpys):
        rng.random(dtype=np.float32) if buffered else None
    for _ in range(2):
        words = numpys.integers(0, 2**32, n, dtype=np.uint32)
        y = nn.alpha_dropout(np.ones(n), P, ours)
        assert_array_equal(y < 0, words < round(P * 2**32))
        assert ours.bit_generator.state == numpys.bit_generator.state


def test_backward_leaves_the_generator_where_it_stands():
    rng = default_rng(3)
    before = rng.bit_generator.state
    ones = np.ones(1000)
    nn.alpha_dropout_backward(ones, P, rng)
    nn.selu_backward(ones, ones, dropout_p=P, rng=rng)
    nn.selu_backward(ones, x=ones, dropout_p=P, rng=rng)
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("tag", DTYPES)
def test_backward_makes_the_mask_of_forward_again(tag):
    """The mask comes again from a copy, from the same fold_in, and for other threads and layouts."""
    layers = default_rng(1)
    x = np.random.default_rng(2).standard_normal((300, 41)).astype(DTYPES[tag])
    ones = np.ones_like(x)
    for rng, again in [
        (layers.fold_in("layer"), layers.fold_in("layer")),
        (layers, copy.deepcopy(layers)),
    ]:
        y = nn.selu(x, dropout_p=P, rng=rng)
        mask = y == y.min()
        assert 0.3 < mask.mean() < 0.5
        for order in "CF":
            grad = np.asarray(ones, order=order)
            for gradient in (
                nn.selu_backward(grad, y, dropout_p=P, rng=again),
                nn.selu_backward(grad, x=x, dropout_p=P, rng=again),
                nn.alpha_dropout_backward(grad, P, again),
            ):
                assert_array_equal(gradient == 0, mask)


@pytest.mark.parametrize("tag", ["f32", "f64"])
def test_fused_is_selu_and_then_dropout(isa, tag):
    x = (3 * np.random.default_rng(4).standard_normal(5003)).astype(DTYPES[tag])
    expected = nn.alpha_dropout(nn.selu(x), P, default_rng(SEED))
    assert_same(nn.selu(x, dropout_p=P, rng=default_rng(SEED)), expected)


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_mean_and_variance_stay(p):
    n = 1_000_000
    x = np.random.default_rng(5).standard_normal(n)
    y = nn.alpha_dropout(x, p, default_rng(6))
    fourth = np.mean((y - y.mean()) ** 4)
    assert abs(y.mean()) < 5 / np.sqrt(n)
    assert abs(y.var() - 1) < 5 * np.sqrt((fourth - 1) / n)


def test_a_deep_net_of_selu_with_dropout_stays_normal():
    rng, x = default_rng(7), np.random.default_rng(8).standard_normal((2000, 256))
    for _ in range(16):
        weights = rng.normal(0, 1 / 16, (256, 256))
        x = nn.selu(x @ weights, dropout_p=0.1, rng=rng)
    assert abs(x.mean()) < 0.15
    assert abs(x.var() - 1) < 0.25


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_as_many_are_dropped_as_asked_for(tag, p):
    n = 200_000
    count = np.count_nonzero(nn.alpha_dropout_backward(np.ones(n, DTYPES[tag]), p, default_rng(9)) == 0)
    assert abs(count - p * n) < 5 * np.sqrt(p * (1 - p) * n)


@pytest.mark.parametrize("tag", DTYPES)
def test_none_and_all(tag):
    x = np.linspace(-3, 3, 501).astype(DTYPES[tag])
    for nothing in (
        nn.alpha_dropout(x, 0, default_rng(1)),
        nn.alpha_dropout_backward(x, 0.0, default_rng(1)),
    ):
        assert_same(nothing, x)
    assert_same(nn.selu(x, dropout_p=0.0), nn.selu(x))
    assert not nn.alpha_dropout(x, 1, default_rng(1)).any()
    assert not nn.alpha_dropout_backward(x, 1.0, default_rng(1)).any()


@pytest.mark.parametrize("tag", DTYPES)
def test_what_is_dropped_has_one_value(isa, tag):
    """Every dropped element becomes the paper's a alpha' + b, even an infinite one."""
    q = 1 - P
    a = 1 / np.sqrt(q + LOW**2 * q * (1 - q))
    low = a * LOW - a * (1 - q) * LOW
    mask = dropped(1000)
    for value in (np.inf, -np.inf, 1e4):
        y = nn.alpha_dropout(np.full(1000, value, DTYPES[tag]), P, default_rng(SEED))
        np.testing.assert_allclose(y[mask].astype(np.float64), low, rtol=EPSILON[tag])
        expected = a * value - a * (1 - q) * LOW
        np.testing.assert_allclose(y[~mask].astype(np.float64), expected, rtol=EPSILON[tag])
        gradient = nn.alpha_dropout_backward(np.full(1000, value, DTYPES[tag]), P, default_rng(SEED))
        assert not gradient[mask].any()


def test_a_seed_is_a_generator():
    x = np.linspace(-1, 1, 100)
    assert_same(nn.alpha_dropout(x, P, SEED), nn.alpha_dropout(x, P, default_rng(SEED)))


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("p", [0.0, P, 1.0])
@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each.draws], ids=str)
def test_nan_is_never_dropped(isa, function, tag, p, monkeypatch):
    """A NaN in any operand gives NaN, also beside infinities."""
    monkeypatch.setattr(activations, "P", p)
    for i in range(function.tall):
        for other in (1, np.inf, -np.inf, np.nan):
            operands = [np.full(1000, other, DTYPES[tag]) for _ in range(function.tall)]
            operands[i][:] = np.nan
            assert np.isnan(function.call(*operands)).all()


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize("given", ["y", "x"])
def test_an_infinite_gradient_of_what_is_dropped_is_nothing(isa, tag, given):
    y = nn.alpha_dropout(np.zeros(1000, DTYPES[tag]), P, SEED)
    for other in (y, np.full_like(y, np.inf), np.full_like(y, -np.inf)):
        grad = np.full_like(y, np.inf)
        gradient = nn.selu_backward(grad, **{given: other}, dropout_p=P, rng=default_rng(SEED))
        assert not gradient[dropped(1000)].any()


@pytest.mark.parametrize("offset", [-0.5, 0.0, 0.25, 0.5, 0.75])
def test_the_threshold_is_rounded_to_the_nearest_and_halves_to_even(offset):
    """An element beside a word of each parity is dropped exactly if NumPy's word says so."""
    words = np.random.Generator(np.random.PCG64(SEED)).integers(0, 2**32, 1000, dtype=np.uint32)
    for word in (int(words[words % 2 == 0][0]), int(words[words % 2 == 1][0])):
        p = (word + offset) / 2**32
        gradient = nn.alpha_dropout_backward(np.ones(1000), p, default_rng(SEED))
        assert_array_equal(gradient == 0, words < round(p * 2**32))


def test_a_probability_just_below_one_drops_all():
    for p in (1 - 2.0**-34, 1 - 2.0**-53):
        assert not nn.alpha_dropout_backward(np.ones(1000), p, default_rng(SEED)).any()
