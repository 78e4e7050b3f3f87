"""The examples do what they say."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def digits():
    example = runpy.run_path(str(ROOT / "examples" / "digits_mlp.py"))
    return example, *example["digits"]()


@pytest.mark.parametrize("activation", ["LeakyReLU", "SELU"])
def test_a_net_learns_digits(digits, activation):
    example, train, test = digits
    net = example["MLP"](example[activation]())
    assert [each.shape for each in net.parameters] == [(256, 784), (256,), (10, 256), (10,)]
    assert net.accuracy(*test) < 0.3
    net.train(*train)
    assert net.accuracy(*test) > 0.95


@pytest.mark.parametrize("activation", ["LeakyReLU", "SELU"])
def test_its_gradients_are_those_of_differences(digits, activation):
    """The gradients of the loss by each parameter."""
    example, (images, labels), _ = digits
    x, labels = images[:50].astype(np.float64), labels[:50]
    net = example["MLP"](example[activation]())
    net.parameters = [each.astype(np.float64) for each in net.parameters]

    def loss():
        chances = example["softmax"](net.forward(x.copy()))
        return -np.log(chances[np.arange(len(x)), labels]).mean()

    rng = np.random.default_rng(1)
    gradients = net.gradients(x.copy(), labels)
    for parameter, gradient in zip(net.parameters, gradients, strict=True):
        direction = rng.standard_normal(parameter.shape)
        step = 1e-6
        parameter += step * direction
        above = loss()
        parameter -= 2 * step * direction
        below = loss()
        parameter += step * direction
        assert (above - below) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=1e-6)
