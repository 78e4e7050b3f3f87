"""
What torch does, and what is said of it
=======================================

Some things that are often said of torch and of these initialisers are not so. Here they
are measured, with torch itself.
"""

import math

import matplotlib.pyplot as plt
import torch

import fastinit
from fastinit import init, random
from measuring import claim, exact, forward

torch.manual_seed(7)

# %%
# Linear's default is not Xavier's
# --------------------------------
# It is ``kaiming_uniform_(a=√5)``, which is uniform in ±1/√fan_in, with the variance 1 /
# (3 fan_in). The bias is uniform in the same bounds. Xavier's variance would be 2 /
# (fan_in + fan_out), for this layer 4.5 times as large.

layer = torch.nn.Linear(784, 256)
weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
claim("torch.nn.Linear: variance over 1 / (3 fan_in)", weight.square() * 3 * 784, 1)
claim(
    "torch.nn.Linear: variance over Xavier's",
    weight.square() * (784 + 256) / 2,
    1040 / (6 * 784),
)
claim(
    "torch.nn.Linear: its bias's variance over 1 / (3 fan_in)",
    bias.square() * 3 * 784,
    1,
)
assert float(weight.abs().max()) <= 1 / math.sqrt(784)
exact(
    "kaiming_uniform(a=√5): the bound of 784 inputs",
    init.get("kaiming_uniform", a=math.sqrt(5)).plan((256, 784)).parameters[1],
    1 / math.sqrt(784),
)

# %%
# A deep net with these weights loses two thirds of its mean square in each layer, before
# any activation.

settings = {"depth": 20, "width": 256, "seeds": 16, "batch": 32, "directions": 2}
spec = f"kaiming_uniform(a={math.sqrt(5)})"
linear, relu = fastinit.propagate("linear, relu", spec, **settings).traces
claim(
    "torch.nn.Linear's weights: the factor a layer in linear nets",
    forward(linear),
    1 / 3,
)
claim(
    "torch.nn.Linear's weights: the factor a layer in ReLU nets",
    forward(relu),
    1 / 6,
)

# %%
# A Linear's weight is (outputs, inputs)
# --------------------------------------
# ``n_in, n_out = layer.weight.shape`` has them exchanged. Xavier's bound is the same, as
# only the sum is in it. LeCun's and He's are not: LeCun's by the exchanged fan_in makes
# the mean square 784 / 256 = 3.06 times as large, instead of keeping it.

n_in, n_out = layer.weight.shape
exact(
    "n_in of `n_in, n_out = layer.weight.shape` of 784 inputs",
    n_in,
    layer.out_features,
)
exact(
    "Xavier's bound by exchanged fans",
    math.sqrt(6 / (n_in + n_out)),
    math.sqrt(6 / (784 + 256)),
)
factors = {"right": [], "exchanged": []}
with torch.no_grad():
    for _ in range(200):
        x = torch.randn(784)
        for order, fan_in in (("right", 784), ("exchanged", n_in)):
            torch.nn.init.normal_(layer.weight, std=1 / math.sqrt(fan_in))
            factors[order].append(
                float((layer.weight @ x).square().mean() / x.square().mean())
            )
claim("LeCun by the true fan_in: the factor", factors["right"], 1)
claim("LeCun by exchanged fans: the factor", factors["exchanged"], 784 / 256)

# %%
# Xavier with ReLU's gain is not He
# ---------------------------------
# With ``gain=calculate_gain("relu")``, Xavier's variance is 4 / (fan_in + fan_out). That
# is He's if the fans are equal. From 784 to 256 it is 1.508 times He's.

ratio = init.get("xavier_normal", gain=init.calculate_gain("relu"))
ratio = (
    ratio.plan((256, 784)).std ** 2
    / init.get("kaiming_normal").plan((256, 784)).std ** 2
)
exact(
    "Xavier with gain √2 over He, 784 to 256: the variance",
    ratio,
    2 * 784 / (784 + 256),
)

# %%
# Each layer counts
# -----------------
# If only every second layer of a linear net has Xavier's weights and the others torch's
# default, two layers keep 1/3.

rng = random.default_rng(7)
pairs = []
for number in range(100):
    x = rng.fold_in(f"{number}.input").standard_normal((32, 256), dtype="float32")
    y = x
    for place, name in enumerate(("xavier_normal", spec)):
        y = (
            y
            @ init.get(name)(
                (256, 256), rng=rng.fold_in(f"{number}.{place}.weight")
            ).T
        )
    pairs.append((y**2).mean() / (x**2).mean())
claim(
    "Xavier in every second layer, torch's default between: the factor of two layers",
    pairs,
    1 / 3,
)

# %%
# The weights of a torch.nn.Linear(784, 256), and the densities that it has and is said to
# have.

figure, at = plt.subplots(figsize=(6, 3.6), layout="constrained")
at.hist(
    weight.flatten().numpy(),
    bins=80,
    range=(-0.1, 0.1),
    density=True,
    alpha=0.5,
    label="torch.nn.Linear",
)
for label, bound in {"±1/√fan_in": 1 / 28, "Xavier's": math.sqrt(6 / 1040)}.items():
    at.plot(
        [-0.1, -bound, -bound, bound, bound, 0.1],
        [0, 0, *[1 / (2 * bound)] * 2, 0, 0],
        label=label,
    )
at.legend()
plt.show()
