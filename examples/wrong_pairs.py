"""
The wrong pairs beside the right ones
=====================================

Every activation with every initialiser. Xavier with ReLU halves the variance in each
layer, He with tanh saturates, He with SELU drifts; LeCun and Xavier have the same
variance here, as all layers are square.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

import fastinit
from fastinit import init, nn, random
from measuring import backward, claim, exact, forward, plot

# %%
# Thirty layers of 128 units, twelve networks of each pair.

ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sigmoid", "selu"]
INITS = ["xavier_normal", "kaiming_normal", "lecun_normal"]
report = fastinit.propagate(
    ACTIVATIONS, INITS, depth=30, width=128, seeds=12, batch=32, directions=2
)
pairs = {(trace.activation, trace.init): trace for trace in report.traces}
print(report)

# %%
# Each verdict is what theory says: which pairs keep signals and gradients, which do not.

for trace in report.traces:
    for verdict in trace.verdicts:
        assert verdict.word == verdict.expected, (
            trace.activation,
            trace.init,
            verdict,
        )

# %%
# Xavier with ReLU
# ----------------

relu = pairs["relu", "xavier_normal"]
claim(
    "Xavier with ReLU: the factor of the mean square a layer", forward(relu), 1 / 2
)
claim(
    "Xavier with ReLU: the factor of the gradient's variance a layer",
    backward(relu),
    1 / 2,
)

# %%
# He with tanh
# ------------
# Beyond ±2.18, tanh's slope is below 5%: it is saturated. In the first layer, He's values
# before tanh have the variance 2, and 12% are out there; Xavier's have 1, and 2.9%. Later
# layers get smaller inputs: He's variance comes to a fixed point, q = 2 E[tanh(√q z)²] =
# 0.62, with 0.6% saturated. But the slopes are too steep for twice the variance, and the
# gradient grows.

z = random.default_rng(1).standard_normal(1_000_000)
edge = np.arctanh(np.sqrt(1 - 0.05))
for spec, variance in (("xavier_normal", 1), ("kaiming_normal", 2)):
    first = pairs["tanh", spec].measured["saturated"][:, 1]
    share = math.erfc(edge / math.sqrt(2 * variance))
    claim(f"{spec} with tanh: saturated share of layer 1", first, share)
q = 1.0
for _ in range(100):
    q = 2 * np.mean(np.tanh(np.sqrt(q) * z) ** 2)
print(f"fixed point of He with tanh: q = {q:.3f}")
last = pairs["tanh", "kaiming_normal"].measured["saturated"][:, -1]
share = math.erfc(edge / math.sqrt(2 * q))
claim(
    "kaiming_normal with tanh: saturated share of layer 30",
    last,
    share,
    wide=30 / 128,
)
claim(
    "He with tanh: std of the gradient after 30 layers",
    pairs["tanh", "kaiming_normal"].measured["gradient"][:, 0],
    pairs["tanh", "kaiming_normal"].predicted["gradient"][0],
    wide=30 / 128,
)

# %%
# He with SELU
# ------------

for spec in ("lecun_normal", "kaiming_normal"):
    trace = pairs["selu", spec]
    claim(
        f"{spec} with SELU: std after 30 layers",
        trace.measured["std"][:, -1],
        trace.predicted["std"][-1],
        wide=30 / 128,
    )

# %%
# Xavier's dead units
# -------------------
# It is often said that Xavier kills units of a ReLU net, and that He does not. At the
# start neither is so: Xavier's weights are He's times √½, ReLU of c x is c relu(x), and
# so each unit is on or off for the same inputs in both. What Xavier loses is the size of
# the signal.

rng = random.default_rng(7)
x = {spec: rng.fold_in("input").standard_normal((64, 128)) for spec in INITS[:2]}
same, dead = [], []
for number in range(30):
    for spec in x:
        stream = rng.fold_in(f"{number}.weight")
        w = init.get(spec)((128, 128), rng=stream, dtype="float64")
        x[spec] = nn.relu(x[spec] @ w.T)
    on, other = (values > 0 for values in x.values())
    same.append(np.mean(on == other))
    dead.append(np.mean(~on.any(axis=0)))
exact("Xavier and He have the same units of ReLU on: share", np.mean(same), 1)
print(f"dead for all 64 inputs at layer 30, with either: {dead[-1]:.0%}")

# %%
# A row for each activation: the signal and the gradient through the layers.

figure, axes = plt.subplots(
    5, 2, figsize=(9, 13), layout="constrained", sharex=True
)
for row, activation in zip(axes, ACTIVATIONS, strict=True):
    for spec in INITS:
        for at, quantity in zip(row, ("std", "gradient"), strict=True):
            style = ":" if spec == "lecun_normal" else "-"  # it lies on Xavier's
            plot(at, pairs[activation, spec], quantity, linestyle=style)
    row[0].set_ylabel(activation)
    if activation == "selu":
        row[0].legend()
plt.show()
