"""Gradients in float64: torch's autograd, and differences of our own functions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from activations import SEED, SLOPE, torchs_dropout

from fastinit import nn
from fastinit.random import default_rng

P = {"p": 0.4}
DROPOUT = {"dropout_p": 0.4}


def rng():
    return default_rng(SEED)


#: name: ours, its backward from grad, input and output, torch's of the same.
LAYERS = {
    "relu": (nn.relu, lambda g, x, y: nn.relu_backward(g, x), torch.relu),
    "relu from its output": (nn.relu, lambda g, x, y: nn.relu_backward(g, y), torch.relu),
    "leaky_relu": (
        lambda x: nn.leaky_relu(x, SLOPE),
        lambda g, x, y: nn.leaky_relu_backward(g, x, SLOPE),
        lambda x: F.leaky_relu(x, SLOPE),
    ),
    "leaky_relu, negative slope": (
        lambda x: nn.leaky_relu(x, -0.5),
        lambda g, x, y: nn.leaky_relu_backward(g, x, -0.5),
        lambda x: F.leaky_relu(x, -0.5),
    ),
    "selu": (nn.selu, lambda g, x, y: nn.selu_backward(g, y), F.selu),
    "selu from its input": (nn.selu, lambda g, x, y: nn.selu_backward(g, x=x), F.selu),
    "sigmoid": (nn.sigmoid, lambda g, x, y: nn.sigmoid_backward(g, y), torch.sigmoid),
    "tanh": (nn.tanh, lambda g, x, y: nn.tanh_backward(g, y), torch.tanh),
    "alpha_dropout": (
        lambda x: nn.alpha_dropout(x, rng=rng(), **P),
        lambda g, x, y: nn.alpha_dropout_backward(g, rng=rng(), **P),
        torchs_dropout,
    ),
    "selu with dropout": (
        lambda x: nn.selu(x, rng=rng(), **DROPOUT),
        lambda g, x, y: nn.selu_backward(g, y, rng=rng(), **DROPOUT),
        lambda x: torchs_dropout(F.selu(x)),
    ),
    "selu with dropout from its input": (
        lambda x: nn.selu(x, rng=rng(), **DROPOUT),
        lambda g, x, y: nn.selu_backward(g, x=x, rng=rng(), **DROPOUT),
        lambda x: torchs_dropout(F.selu(x)),
    ),
}
#: Functions of x and a bias, whose backward gives both gradients.
BIASED = {
    "bias_leaky_relu": (
        lambda x, b: nn.bias_leaky_relu(x, b, SLOPE),
        lambda g, x, b, y: nn.bias_leaky_relu_backward(g, x, b, SLOPE),
        lambda x, b: F.leaky_relu(x + b, SLOPE),
    ),
    "bias_selu": (nn.bias_selu, lambda g, x, b, y: nn.bias_selu_backward(g, y), lambda x, b: F.selu(x + b)),
}


def away_from_the_corner(shape):
    """Return x so far from 0 that no finite difference crosses it."""
    drawn = np.random.default_rng(1).standard_normal(shape)
    return drawn + np.copysign(0.01, drawn)


def differences(forward, grad, x, step=1e-6):
    """The gradient of sum(grad * forward(x)) of an elementwise function, all elements at once."""
    return grad * (forward(x + step) - forward(x - step)) / (2 * step)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(3000,), (7, 5, 11)])
def test_gradient_is_autograds_and_that_of_differences(isa, name, shape):
    forward, backward, torchs = LAYERS[name]
    x = away_from_the_corner(shape)
    grad = np.random.default_rng(2).standard_normal(shape)
    y = forward(x)
    got = backward(grad, x, y)

    tensor = torch.from_numpy(x).requires_grad_()
    result = torchs(tensor)
    result.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(y, result.detach().numpy(), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(got, differences(forward, grad, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", BIASED)
@pytest.mark.parametrize("shape", [(3000,), (1, 1), (40, 3), (7, 5, 11), (3, 700)])
def test_gradients_of_input_and_bias_are_autograds_and_those_of_differences(isa, name, shape):
    forward, backward, torchs = BIASED[name]
    grad, bias = np.random.default_rng(2).standard_normal(shape), np.linspace(-1, 1, shape[-1])
    x = away_from_the_corner(shape) - bias
    grad_x, grad_bias = backward(grad, x, bias, forward(x, bias))

    tensors = [torch.from_numpy(each).requires_grad_() for each in (x, bias)]
    torchs(*tensors).backward(torch.from_numpy(grad))
    np.testing.assert_allclose(grad_x, tensors[0].grad.numpy(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(grad_bias, tensors[1].grad.numpy(), rtol=1e-12, atol=1e-12)
    by_differences = differences(lambda b: forward(x, b), grad, bias).reshape(-1, shape[-1]).sum(0)
    np.testing.assert_allclose(grad_bias, by_differences, rtol=1e-6, atol=1e-6)


class Layer(torch.autograd.Function):
    """bias_selu as a torch function."""

    @staticmethod
    def forward(ctx, x, bias):
        y = torch.from_numpy(nn.bias_selu(x.detach(), bias.detach()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return tuple(map(torch.from_numpy, nn.bias_selu_backward(grad, y.detach())))


def test_gradcheck_of_a_layer_in_torch():
    x = torch.from_numpy(away_from_the_corner((5, 4))).requires_grad_()
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Layer.apply, (x, bias))
