"""
torch's code, with another import
=================================

These are the usual lines for Xavier's, He's and LeCun's weights in torch, as they stand
in tutorials. Only one line differs: ``import torch.nn as nn`` has become ``import
fastinit.torch.nn as nn``. Each block's weights are compared with the law; with torch's
own import, all the same holds.
"""

import math

import matplotlib.pyplot as plt
import torch

import fastinit.torch.nn as nn
from measuring import claim, exact

torch.manual_seed(7)


def variance(text, weight, expected):
    """Compare a weight's variance with a formula: the mean of its squares over the formula's value is 1."""
    claim(text, weight.detach().double().square() / expected, 1)


# %%
# Xavier by hand
# --------------


def xavier_init(layer):
    if isinstance(layer, nn.Linear):
        n_in, n_out = layer.weight.shape
        bound = math.sqrt(6.0 / (n_in + n_out))
        nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.zeros_(layer.bias)


model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
model.apply(xavier_init)  # Xavier's weights for all Linear layers

# %%
# The names of ``n_in`` and ``n_out`` are exchanged: a Linear's weight is (outputs,
# inputs). That is harmless here, since Xavier's bound has only their sum; see the page on
# what torch does.

variance("xavier_init: variance of 784-256", model[0].weight, 2 / (784 + 256))
variance("xavier_init: variance of 256-10", model[2].weight, 2 / (256 + 10))
exact("xavier_init: largest bias", float(model[0].bias.detach().abs().max()), 0)
assert float(model[0].weight.detach().abs().max()) <= math.sqrt(6 / (784 + 256))

# %%
# Xavier by name
# --------------

# Xavier, uniform
nn.init.xavier_uniform_(model[0].weight, gain=nn.init.calculate_gain("relu"))

# Xavier, normal
nn.init.xavier_normal_(model[2].weight)

# %%

variance(
    "xavier_uniform_ with ReLU's gain: variance",
    model[0].weight,
    2 * 2 / (784 + 256),
)
variance("xavier_normal_: variance", model[2].weight, 2 / (256 + 10))

# %%
# He -- The tensor is a weight of 256 outputs and 784 inputs.

tensor = torch.empty(256, 784)

# He, normal (the default mode)
nn.init.kaiming_normal_(tensor, mode="fan_in", nonlinearity="relu")

# %%

variance("kaiming_normal_ by fan_in: variance", tensor, 2 / 784)

torch.manual_seed(8)
plain = nn.init.kaiming_normal_(torch.empty(256, 784))
torch.manual_seed(8)
named = nn.init.kaiming_normal_(
    torch.empty(256, 784), mode="fan_in", nonlinearity="relu"
)
exact(
    "kaiming_normal_'s defaults are fan_in and a = 0: share of equal weights",
    float((plain == named).double().mean()),
    1,
)

# %%

# He, uniform
nn.init.kaiming_uniform_(tensor, mode="fan_out", nonlinearity="leaky_relu", a=0.1)

# %%

variance("kaiming_uniform_ by fan_out, a = 0.1: variance", tensor, 2 / (1.01 * 256))

# %%
# LeCun
# -----

n_in = 784

# LeCun, normal
nn.init.normal_(tensor, mean=0, std=1 / math.sqrt(n_in))

# %%

variance("LeCun's normal: variance", tensor, 1 / 784)

# %%

# LeCun, uniform
bound = math.sqrt(3 / n_in)
nn.init.uniform_(tensor, -bound, bound)

# %%

variance("LeCun's uniform: variance", tensor, 1 / 784)

# %%
# LeakyReLU
# ---------

# alpha is 0.01 by default
activation = nn.LeakyReLU(negative_slope=0.01)
exact(
    "nn.LeakyReLU(0.01) of -1",
    float(activation(torch.tensor(-1.0, dtype=torch.float64))),
    -0.01,
)

# an alpha of one's own
activation = nn.LeakyReLU(negative_slope=0.1)
exact(
    "nn.LeakyReLU(0.1) of -1",
    float(activation(torch.tensor(-1.0, dtype=torch.float64))),
    -0.1,
)
exact("nn.LeakyReLU's slope by default", nn.LeakyReLU().negative_slope, 0.01)

# %%
# The MLP 784-256-10
# ------------------


# An MLP with LeakyReLU and He's weights
class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 10)
        self.act = nn.LeakyReLU(0.1)

        # He's weights
        nn.init.kaiming_normal_(
            self.fc1.weight, mode="fan_in", nonlinearity="leaky_relu", a=0.1
        )
        nn.init.kaiming_normal_(
            self.fc2.weight, mode="fan_in", nonlinearity="leaky_relu", a=0.1
        )

    def forward(self, x):
        x = self.act(self.fc1(x))
        x = self.fc2(x)
        return x


# %%
# Of 200 such networks, each with its own input of mean 0 and variance 1. Torch's biases,
# which the code leaves as they are, are uniform in ±1/√fan_in, and add 1 / (3 fan_in).
# The hidden layer keeps the mean square of the input. The last layer has no activation
# that its gain could make up for, so that its outputs have twice the variance.

hidden, logits = [], []
with torch.no_grad():
    for _ in range(200):
        net, x = MLP(), torch.randn(784)
        hidden.append(float(net.act(net.fc1(x)).square().mean()))
        logits.append(float(net(x).square().mean()))

keeps = 1.01 / 2  # of the mean square, by LeakyReLU(0.1)
first = keeps * (2 / 1.01 + 1 / (3 * 784))
claim("The MLP's hidden layer keeps the mean square", hidden, first)
claim(
    "The MLP's outputs have twice the variance",
    logits,
    first * 2 / 1.01 + 1 / (3 * 256),
)

figure, at = plt.subplots(figsize=(6, 3.6), layout="constrained")
with torch.no_grad():
    net, x = MLP(), torch.randn(2000, 784)
    values = {
        "input": x[:, :256],
        "fc1": net.fc1(x),
        "LeakyReLU": net.act(net.fc1(x)),
        "fc2": net(x),
    }
for name, each in values.items():
    label = f"{name}: mean square {each.square().mean():.2f}"
    at.hist(
        each.flatten().numpy(),
        bins=150,
        range=(-5, 5),
        density=True,
        histtype="step",
        label=label,
    )
at.set(yscale="log", title="784-256-10: the values of 2000 inputs")
at.legend()
plt.show()
