"""Verdicts from sizes that are known."""

import numpy as np
import pytest

from fastinit.propagation import verdicts

PLACES = np.arange(21)


def powers(factor, start=1.0):
    return np.array([start * factor**PLACES])


@pytest.mark.parametrize(
    ("factor", "word"), [(0.7, "vanishes"), (0.95, "stable"), (1.05, "stable"), (1.3, "explodes")]
)
def test_both_ways(factor, word):
    forward = verdicts.forward({"std": powers(factor)}, {"std": powers(0.5)[0]})
    assert (forward.word, forward.of, forward.expected) == (word, "std", "vanishes")
    assert (forward.factor, forward.predicted) == (pytest.approx(factor), pytest.approx(0.5))
    backward = verdicts.backward({"gradient": powers(factor)[:, ::-1]}, {})
    assert (backward.word, backward.predicted, backward.expected) == (word, None, None)
    assert backward.factor == pytest.approx(factor)


def test_the_limit_is_tenfold_over_all_layers():
    for factor, word in ((10 ** (0.99 / 20), "stable"), (10 ** (1.01 / 20), "explodes")):
        assert verdicts.forward({"std": powers(factor)}, {}).word == word


def test_inputs_that_become_alike():
    same = {"std": powers(1.0, 0.1), "mean": powers(1.0, 0.5), "spread": np.maximum(powers(0.25), 1e-8)}
    found = verdicts.forward(
        same, {"std": same["std"][0], "mean": same["mean"][0], "spread": powers(0.25)[0]}
    )
    assert (found.word, found.of, found.expected) == ("vanishes", "spread", "vanishes")
    assert found.factor == pytest.approx(0.25)  # the rounding at 1e-8 is left out
    assert found.predicted == pytest.approx(0.25)
    assert "alike" in found.text
    apart = {**same, "spread": powers(0.95)}
    assert verdicts.forward(apart, {}).word == "stable"


def test_a_mean_counts_as_signal():
    values = {"std": powers(0.5), "mean": powers(1.0), "spread": powers(1.0)}
    assert verdicts.forward(values, {}).word == "stable"


def test_a_band_over_seeds():
    sizes = np.concatenate([powers(factor) for factor in np.linspace(0.5, 0.7, 11)])
    found = verdicts.forward({"std": sizes}, {})
    np.testing.assert_allclose([found.low, found.factor, found.high], [0.52, 0.6, 0.68], rtol=1e-9)


def test_where_numbers_end():
    for last, word in ((np.inf, "explodes"), (0.0, "vanishes")):
        found = verdicts.forward({"std": np.array([[1.0, last, np.nan, np.nan]])}, {})
        assert found.word == word
        found = verdicts.backward({"gradient": np.array([[1.0, np.nan, np.nan, np.nan]])}, {})
        assert found.word == "unknown"
    cut = np.array([[1.0, 4.0, 16.0, np.inf, np.nan]])
    assert verdicts.forward({"std": cut}, {}).factor == pytest.approx(4.0)
    found = verdicts.backward({"gradient": np.array([[4.0, 2.0, 1.0, np.nan, np.nan]])}, {})
    assert found.factor == pytest.approx(2.0)
    dead = verdicts.backward({"gradient": np.array([[0.0, 0.0, 0.0, 1.0]])}, {})
    assert (dead.word, dead.factor) == ("vanishes", 0.0)


def test_a_gradient_that_spreads_is_not_lost():
    """He with fan_in: its std follows the widths, but not its length."""
    widths = [784, 256, 10]
    gradient = np.sqrt([[10 / 784, 10 / 256, 1.0]])
    found = verdicts.backward({"gradient": gradient}, {"gradient": gradient[0]}, widths)
    assert (found.word, found.factor) == ("stable", pytest.approx(1.0))
    assert verdicts.backward({"gradient": gradient}, {}).word == "vanishes"
    assert found.predicted == pytest.approx(1.0)


def test_one_layer():
    assert verdicts.forward({"std": np.array([[1.0, 0.5]])}, {}).factor == pytest.approx(0.5)
    assert verdicts.backward({"gradient": np.array([[0.5, 1.0]])}, {}).factor == pytest.approx(0.5)
