"""
LeakyReLU, and units that die
=============================

LeakyReLU is x for x ≥ 0 and a x otherwise. A ReLU whose input is negative for every
example has the gradient 0, and never learns again; LeakyReLU keeps the slope a.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastinit
from fastinit import nn, random
from measuring import claim, exact, forward

# %%
# The formula
# -----------

x = np.array([-2.0, -1e-3, 0.0, 1e-3, 2.0])
ones = np.ones_like(x)
SLOPE = 0.1
by_cases = np.where(x >= 0, x, SLOPE * x)
exact(
    "LeakyReLU(0.1) is x or 0.1 x: largest difference",
    np.abs(nn.leaky_relu(x, SLOPE) - by_cases).max(),
    0,
)
exact(
    "LeakyReLU's slope by default is 0.01",
    -float(nn.leaky_relu(-ones[:1])[0]),
    0.01,
)
exact(
    "ReLU's gradient at negative inputs",
    nn.relu_backward(ones, nn.relu(x))[:2].max(),
    0,
)
exact(
    "LeakyReLU(0.1)'s gradient at negative inputs",
    nn.leaky_relu_backward(ones, x, SLOPE)[:2].min(),
    SLOPE,
)

# %%
# Written as max(a x, x), it is the same only for slopes up to 1: at x = -1, a slope of 2
# gives -2, the maximum is -1.

at_minus_one = np.array([-1.0])
exact("LeakyReLU(2) of -1", nn.leaky_relu(at_minus_one, 2.0)[0], -2)
exact("max(2 x, x) of -1", np.maximum(2 * at_minus_one, at_minus_one)[0], -1)

# %%
# Dead units
# ----------
# A bias that has moved far down kills ReLUs: with -4 before a standard normal, all of 64
# inputs are negative with the chance Φ(4)⁶⁴ = 0.998. LeakyReLU's gradient stays.

z = random.default_rng(1).standard_normal((20_000, 64)) - 4.0
below = 0.9999683287581669  # of a standard normal's mass is below 4
relu, leaky = (
    np.all(gradient == 0, axis=1)
    for gradient in (
        nn.relu_backward(np.ones_like(z), nn.relu(z)),
        nn.leaky_relu_backward(np.ones_like(z), z, SLOPE),
    )
)
claim("A bias of -4: dead ReLUs", relu, below**64)
exact("A bias of -4: dead LeakyReLUs", leaky.mean(), 0)

# %%
# Depth alone makes dead units, too: in a deep net all inputs become alike, and a unit is
# on for all or for none. With LeakyReLU none is dead.

settings = {"depth": 30, "width": 128, "seeds": 8, "batch": 64, "directions": 2}
report = fastinit.propagate(
    f"relu, leaky_relu, leaky_relu(negative_slope={SLOPE})",
    "kaiming_normal(nonlinearity=relu), xavier_normal",
    **settings,
)
by_pair = {(trace.activation, trace.init): trace for trace in report.traces}
leaks = [
    trace.measured["dead"][:, 1:]
    for trace in report.traces
    if trace.activation != "relu"
]
exact("Dead LeakyReLUs in nets of 30 layers", np.max(leaks), 0)

# %%
# It doesn't save a signal from vanishing: what a layer keeps follows from the weights.
# With Xavier's, a LeakyReLU net loses half of its mean square a layer like any other.

claim(
    "Xavier with LeakyReLU(0.01): the factor a layer",
    forward(by_pair["leaky_relu", "xavier_normal"]),
    (1 + 1e-4) / 2,
)

# %%
# Left: the functions. Right: dead units by layer, the mean of 8 networks; Xavier's are
# He's.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
x = np.linspace(-3, 3, 601)
for label, y in {
    "ReLU": nn.relu(x),
    "LeakyReLU(0.1)": nn.leaky_relu(x, SLOPE),
    "SELU": nn.selu(x),
}.items():
    left.plot(x, y, label=label)
left.legend()
left.grid(alpha=0.3)
for (activation, spec), trace in by_pair.items():
    label = f"{activation.partition('(')[0]}, {spec.partition('_')[0]}"
    style = "--" if spec == "xavier_normal" else "-"
    if activation != "leaky_relu":
        right.plot(trace.measured["dead"].mean(axis=0), style, label=label)
right.set(xlabel="layer", title="share of dead units")
right.legend(fontsize=8)
plt.show()
