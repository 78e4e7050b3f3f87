"""Recommended initialisers, against the moments of each activation and torch's names."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from fastinit import init, nn

# The tables of the theory: the activation, the method, and its paper's year.
TABLES = [
    ("sigmoid", "xavier", "2010"),
    ("tanh", "xavier", "2010"),
    ("relu", "kaiming", "2015"),
    ("leaky_relu", "kaiming", "2015"),
    ("selu", "lecun", "2017"),
]


@pytest.mark.parametrize(("activation", "method", "year"), TABLES)
def test_the_tables(activation, method, year):
    found = init.recommended(activation)
    assert {each.initializer.name for each in found} == {f"{method}_normal", f"{method}_uniform"}
    assert all(each.source.endswith(year) for each in found)


@pytest.mark.parametrize(
    "activation", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu", "silu"]
)
def test_the_gain_is_that_of_the_initialiser(activation):
    for each in init.recommended(activation):
        plan = each.initializer.plan((400, 400))
        assert math.isclose(plan.std, each.gain / 20, rel_tol=1e-12)
        assert all(isinstance(text, str) and text for text in (each.keeps, each.instead_of, each.use))


@pytest.mark.parametrize(
    "module", [torch.nn.ReLU(), torch.nn.LeakyReLU(0.3), torch.nn.SELU(), torch.nn.GELU(), torch.nn.SiLU()]
)
def test_the_gain_keeps_the_mean_square(module):
    def square(x):
        return module(torch.tensor(x, dtype=torch.float64)).item() ** 2 * math.exp(-x * x / 2)

    mean = (quad(square, -15, 0)[0] + quad(square, 0, 15)[0]) / math.sqrt(2 * math.pi)
    assert math.isclose(mean * init.recommended(module)[0].gain ** 2, 1.0, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (nn.relu, "relu"),
        (torch.relu, "relu"),
        (torch.nn.functional.leaky_relu, "leaky_relu"),
        (torch.nn.SELU, "selu"),
        (torch.nn.Tanh(), "tanh"),
        ("Sigmoid", "sigmoid"),
        ("Identity", "linear"),
    ],
)
def test_names_of_torch_and_fastinit(given, name):
    assert {each.activation for each in init.recommended(given)} == {name}


def test_the_slope_is_the_modules():
    assert init.recommended(torch.nn.LeakyReLU(0.2))[0].spec == "kaiming_normal(a=0.2)"
    weights = init.recommended(torch.nn.LeakyReLU(2.0))[0].initializer(
        (500, 500), rng=np.random.default_rng(0)
    )
    assert abs(weights.std() / math.sqrt(2 / 5 / 500) - 1) < 5 / math.sqrt(2 * weights.size)


@pytest.mark.parametrize("wrong", ["swiglu", "relu(", "relu(slope=1)", 3, "leaky_relu(a=1)"])
def test_what_is_unknown(wrong):
    with pytest.raises(ValueError, match=r"known are linear, sigmoid|no argument|a spec is"):
        init.recommended(wrong)
