"""The theory behind this package: each of its numbers, formulas, tables and examples, with fastinit.

Its layers have widths 784, 256 and 10. Variances are measured on a layer's worth of draws and must lie within
five standard errors.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fastinit import init

SHAPE = (256, 784)  # torch's order: out, in
N_OUT, N_IN = SHAPE
# E[z^4] / E[z^2]^2, which the error of a measured variance depends on
KURTOSIS = {"uniform": 9 / 5, "normal": 3.0}


def assert_variance(values, variance, distribution):
    error = variance * math.sqrt((KURTOSIS[distribution] - 1) / values.size)
    assert np.mean(np.square(values, dtype=np.float64)) == pytest.approx(variance, abs=5 * error)


# The formulas: name, arguments, and the bound or the standard deviation as the text writes it.
FORMULAS = [
    ("xavier_uniform", {}, math.sqrt(6 / (N_IN + N_OUT))),
    ("xavier_normal", {}, math.sqrt(2 / (N_IN + N_OUT))),
    ("xavier_uniform", {"gain": math.sqrt(2)}, math.sqrt(2) * math.sqrt(6 / (N_IN + N_OUT))),
    ("xavier_normal", {"gain": math.sqrt(2)}, math.sqrt(2) * math.sqrt(2 / (N_IN + N_OUT))),
    ("kaiming_uniform", {"nonlinearity": "relu"}, math.sqrt(6 / N_IN)),
    ("kaiming_normal", {"nonlinearity": "relu"}, math.sqrt(2 / N_IN)),
    ("kaiming_uniform", {"nonlinearity": "relu", "mode": "fan_out"}, math.sqrt(6 / N_OUT)),
    ("kaiming_normal", {"nonlinearity": "relu", "mode": "fan_out"}, math.sqrt(2 / N_OUT)),
    ("he_uniform", {}, math.sqrt(6 / N_IN)),
    ("he_normal", {}, math.sqrt(2 / N_IN)),
    ("lecun_uniform", {}, math.sqrt(3 / N_IN)),
    ("lecun_normal", {}, math.sqrt(1 / N_IN)),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), FORMULAS)
def test_formula(name, arguments, expected):
    initializer = init.get(name, **arguments)
    plan = initializer.plan(SHAPE)
    values = initializer(SHAPE, rng=1)
    if name.endswith("uniform"):
        assert plan.parameters == pytest.approx((-expected, expected), rel=4e-16, abs=0)
        assert_variance(values, expected**2 / 3, "uniform")
        # the extremes of n uniforms are within 20/n of the bound's width, except once in 10^8
        assert expected * (1 - 40 / values.size) < abs(values).max() <= np.float32(expected)
    else:
        assert plan.parameters == pytest.approx((0.0, expected), rel=4e-16, abs=0)
        assert_variance(values, expected**2, "normal")


def test_glorot_and_he_are_other_names():
    for one, other in (("xavier", "glorot"), ("kaiming", "he")):
        for distribution in ("uniform", "normal"):
            assert init.get(f"{one}_{distribution}") == init.get(f"{other}_{distribution}")


def signal(weights, activation, width, rng):
    """Mean square of the signal before each activation, by layer."""
    x = rng.standard_normal((512, width))
    squares = []
    for weight in weights:
        y = x @ weight.T
        squares.append(float(np.mean(y * y)))
        x = activation(y)
    return squares


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.1 * x),
    "selu": lambda x: np.where(
        x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(np.minimum(x, 0))
    ),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize(
    ("activation", "spec"),
    [
        ("linear", "xavier_uniform"),
        ("linear", "xavier_normal"),
        ("relu", "kaiming_normal(nonlinearity=relu)"),
        ("relu", "kaiming_uniform(nonlinearity=relu)"),
        ("leaky_relu", "kaiming_normal(a=0.1)"),
        ("selu", "lecun_normal"),
    ],
)
def test_the_recommended_pair_keeps_the_variance(activation, spec):
    """The signal's variance stays the same over twenty layers, within the error of 512 samples."""
    weights = [init.get(spec)((256, 256), rng=layer, dtype=np.float64) for layer in range(20)]
    squares = signal(weights, ACTIVATIONS[activation], 256, np.random.default_rng(0))
    assert 0.5 < squares[-1] / squares[0] < 2.0


def test_too_small_weights_vanish_and_too_large_ones_explode():
    for factor, low, high in ((0.5, 0.0, 1e-9), (2.0, 1e9, math.inf)):
        weights = [
            factor * init.xavier_normal((256, 256), rng=layer, dtype=np.float64) for layer in range(20)
        ]
        squares = signal(weights, ACTIVATIONS["linear"], 256, np.random.default_rng(0))
        assert low <= squares[-1] / squares[0] <= high


def test_relu_halves_what_xavier_keeps():
    weights = [init.xavier_normal((256, 256), rng=layer, dtype=np.float64) for layer in range(20)]
    squares = signal(weights, ACTIVATIONS["relu"], 256, np.random.default_rng(0))
    assert math.log2(squares[-1] / squares[0]) == pytest.approx(-19, abs=1)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturating_activations_stay_in_range_with_xavier(activation):
    weights = [init.xavier_uniform((256, 256), rng=layer, dtype=np.float64) for layer in range(20)]
    squares = signal(weights, ACTIVATIONS[activation], 256, np.random.default_rng(0))
    assert 0.01 < squares[-1] < 2.0


def test_the_backward_pass_keeps_its_variance_with_fan_out():
    weights = [
        init.kaiming_normal((512, 128) if layer % 2 else (128, 512), mode="fan_out", rng=layer)
        for layer in range(20)
    ]
    gradient = np.random.default_rng(0).standard_normal((512, 512))
    first = None
    for weight in reversed(weights):
        gradient = gradient @ weight.astype(np.float64)
        gradient = gradient * np.random.default_rng(1).integers(0, 2, gradient.shape)  # ReLU's mask
        first = first or np.mean(gradient**2)
    assert 0.5 < np.mean(gradient**2) / first < 2.0


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / (1 + 0.01**2)), rel=3e-16)
    assert init.calculate_gain("leaky_relu", 0.1) == pytest.approx(math.sqrt(2 / (1 + 0.1**2)), rel=3e-16)
    assert init.calculate_gain("linear") == 1


# The code examples.


def model():
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def test_xavier_by_hand_applied_to_every_linear_layer():
    def xavier_init(layer):
        if isinstance(layer, nn.Linear):
            n_out, n_in = layer.weight.shape  # out comes first; Xavier's sum hides it, He's fan would not
            bound = math.sqrt(6.0 / (n_in + n_out))
            init.uniform_(layer.weight, -bound, bound, generator=1)
            init.zeros_(layer.bias)

    network = model()
    network.apply(xavier_init)
    for layer, shape in ((network[0], (256, 784)), (network[2], (10, 256))):
        expected = init.xavier_uniform(shape, rng=1)
        assert layer.weight.detach().numpy().tobytes() == expected.tobytes()
        assert not layer.bias.any()


def test_built_in_functions_on_a_model():
    network = model()
    init.xavier_uniform_(network[0].weight, gain=init.calculate_gain("relu"), generator=1)
    init.xavier_normal_(network[2].weight, generator=1)
    assert_variance(network[0].weight.detach().numpy(), 2 * 2 / (784 + 256), "uniform")
    assert_variance(network[2].weight.detach().numpy(), 2 / (256 + 10), "normal")


def test_he_in_place():
    tensor = torch.empty(SHAPE)
    init.kaiming_normal_(tensor, mode="fan_in", nonlinearity="relu", generator=1)
    assert_variance(tensor.numpy(), 2 / N_IN, "normal")
    init.kaiming_uniform_(tensor, mode="fan_out", nonlinearity="leaky_relu", a=0.1, generator=1)
    assert_variance(tensor.numpy(), 2 / (1 + 0.1**2) / N_OUT, "uniform")


def test_lecun_by_hand_is_lecun():
    by_hand, built_in = torch.empty(SHAPE), torch.empty(SHAPE)
    init.normal_(by_hand, mean=0, std=1 / math.sqrt(N_IN), generator=1)
    assert torch.equal(by_hand, init.lecun_normal_(built_in, generator=1))
    bound = math.sqrt(3 / N_IN)
    init.uniform_(by_hand, -bound, bound, generator=1)
    assert torch.equal(by_hand, init.lecun_uniform_(built_in, generator=1))


def test_he_for_a_leaky_network():
    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(784, 256)
            self.fc2 = nn.Linear(256, 10)
            self.act = nn.LeakyReLU(0.1)
            init.kaiming_normal_(
                self.fc1.weight, mode="fan_in", nonlinearity="leaky_relu", a=0.1, generator=1
            )
            init.kaiming_normal_(
                self.fc2.weight, mode="fan_in", nonlinearity="leaky_relu", a=0.1, generator=2
            )

        def forward(self, x):
            return self.fc2(self.act(self.fc1(x)))

    network = MLP()
    assert_variance(network.fc1.weight.detach().numpy(), 2 / 1.01 / 784, "normal")
    assert_variance(network.fc2.weight.detach().numpy(), 2 / 1.01 / 256, "normal")
    images = torch.from_numpy(init.normal((1000, 784), rng=3))
    output = network(images)
    assert output.shape == (1000, 10)
    output.sum().backward()
    assert network.fc1.weight.grad is not None


@pytest.mark.parametrize("slope", [0.01, 0.1])
def test_leaky_relus_gain_is_its_own(slope):
    """With the layer's slope, its weights restore the variance that the activation removes."""
    z = np.random.default_rng(0).standard_normal(1_000_000)
    kept = np.mean(np.square(np.where(z >= 0, z, slope * z)))
    assert init.calculate_gain("leaky_relu", slope) ** 2 * kept == pytest.approx(1, abs=0.01)
