"""Activations of a network against torch's."""

import numpy as np
import pytest
import torch

from fastinit.checkpoint import BadInput
from fastinit.propagation import activations

MODULES = {
    "linear": torch.nn.Identity(),
    "relu": torch.nn.ReLU(),
    "leaky_relu(negative_slope=0.2)": torch.nn.LeakyReLU(0.2),
    "selu": torch.nn.SELU(),
    "sigmoid": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
}


@pytest.mark.parametrize("spec", MODULES)
def test_values_and_slopes(spec):
    x = np.append(np.linspace(-3, 3, 100), -1e-9)
    theirs = torch.tensor(x, requires_grad=True)
    MODULES[spec](theirs).sum().backward()
    mine = activations.get(spec)
    y = mine(x)
    np.testing.assert_allclose(y, MODULES[spec](theirs).detach(), rtol=1e-12)
    np.testing.assert_allclose(mine.slope(x, y), theirs.grad, rtol=1e-12)
    assert mine.steepest == pytest.approx(float(theirs.grad.abs().max()), rel=2e-3)


def test_a_module_is_its_name():
    assert activations.get(torch.nn.LeakyReLU(0.2)).spec == "leaky_relu(negative_slope=0.2)"


@pytest.mark.parametrize("wrong", ["gelu", "", "relu(x=1)", "leaky_relu(negative_slope=word)", "relu relu"])
def test_what_is_no_activation(wrong):
    with pytest.raises(BadInput, match="activation"):
        activations.get(wrong)
