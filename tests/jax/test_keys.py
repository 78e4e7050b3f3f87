import jax
import numpy as np
import pytest

import fastinit.jax as fj
from fastinit.jax.keys import words_of
from fastinit.random import Generator, default_rng


@pytest.mark.parametrize("name", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_words_of_a_key_are_the_seed(name):
    key = jax.random.fold_in(jax.random.key(3, impl=name), 5)
    seed = np.random.SeedSequence(np.asarray(jax.random.key_data(key)).tolist())
    expected = default_rng(seed).standard_normal(9, dtype="float32")
    assert np.array_equal(fj.normal(1.0)(key, (9,)), expected)


def test_arrays_of_keys_are_an_error():
    for keys in [jax.random.split(jax.random.key(0)), jax.random.split(jax.random.PRNGKey(0))]:
        with pytest.raises(ValueError, match=r"use jax\.vmap"):
            words_of(keys)


@pytest.mark.parametrize(
    "key",
    [7, None, np.random.default_rng(7), np.zeros(2, np.int64), np.uint32(1), np.float32([1, 2])],
    ids=str,
)
def test_another_key_is_an_error(key):
    with pytest.raises(TypeError, match="key must be one of"):
        fj.normal()(key, (3,))


def test_a_generator_moves_past_the_array():
    mine, other = default_rng(7), default_rng(7)
    made = [fj.normal(1.0)(mine, (5,)) for _ in range(2)]
    expected = [other.standard_normal(5, dtype="float32") for _ in range(2)]
    assert np.array_equal(made, expected)
    assert mine.random() == other.random()
    foreign = Generator(np.random.MT19937(3))
    assert fj.normal()(foreign, (5,)).shape == (5,)


def test_a_generator_is_an_error_under_tracing():
    rng = default_rng(7)
    state = rng.bit_generator.state
    for trace in [jax.jit, lambda make: lambda: jax.eval_shape(make)]:
        with pytest.raises(TypeError, match=r"give a key of jax\.random"):
            trace(lambda: fj.normal()(rng, (3,)))()
    assert rng.bit_generator.state == state


def test_states_and_defaults_stay():
    numpys = np.random.mtrand._rand  # NumPy's global generator
    before = numpys.get_state(legacy=True)[1].tolist(), dict(jax.config.values)
    key = jax.random.key(7)
    fj.normal()(key, (3,))
    assert (numpys.get_state(legacy=True)[1].tolist(), jax.config.values) == before
    assert jax.random.key_data(key).tolist() == [0, 7]
