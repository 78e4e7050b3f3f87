"""
He in ReLU and LeakyReLU nets
=============================

ReLU sets half of what it gets to 0, and so keeps half of its mean square. He's weights
have twice the variance, 2 / fan_in, to make up for it. LeakyReLU with slope a keeps (1 +
a²) / 2, and needs 2 / ((1 + a²) fan_in).
"""

import matplotlib.pyplot as plt
import numpy as np

import fastinit
from fastinit import init, nn, random
from measuring import backward, claim, exact, forward, plot

# %%
# What ReLU keeps
# ---------------
# Of a million standard normals, ReLU keeps half of the mean square, and LeakyReLU (1 +
# a²) / 2. The *variance* of ReLU's output is less than half, since its mean is not 0: 1/2
# - 1/(2π) = 0.341. It is the mean square that the next layer passes on, as its weights
# have mean 0.

SLOPE = 0.1
z = random.default_rng(1).standard_normal(1_000_000)

claim("ReLU sets half of its inputs to 0", nn.relu(z) == 0, 1 / 2)
claim("ReLU keeps half of the mean square", nn.relu(z) ** 2, 1 / 2)
y = nn.relu(z)
claim(
    "ReLU keeps 1/2 - 1/(2π) of the variance",
    (y - y.mean()) ** 2,
    1 / 2 - 1 / (2 * np.pi),
)
claim(
    "LeakyReLU(a) keeps (1 + a²) / 2 of the mean square",
    nn.leaky_relu(z, SLOPE) ** 2,
    (1 + SLOPE**2) / 2,
)

# %%
# Twenty layers
# -------------
# Each network has weights of its own; its inputs are standard normal. The mean square of
# each layer's output is divided by that of its input. For such nets, the mean of this
# factor is exactly the law's, whatever the width: 20 layers of 16 networks give 320
# factors, whose mean is the law's within 5 standard errors.

LEAKY = f"leaky_relu(negative_slope={SLOPE})"
HE, LEAKY_HE = "kaiming_normal(nonlinearity=relu)", f"kaiming_normal(a={SLOPE})"
settings = {"depth": 20, "width": 256, "seeds": 16, "batch": 32, "directions": 2}

report = fastinit.propagate(
    ["relu", LEAKY], [HE, LEAKY_HE, "xavier_normal"], **settings
)
by_pair = {
    (trace.activation.partition("(")[0], trace.init): trace
    for trace in report.traces
}

claim("He keeps the mean square of ReLU nets", forward(by_pair["relu", HE]), 1)
claim("He keeps the gradient of ReLU nets", backward(by_pair["relu", HE]), 1)
claim(
    "He keeps the mean square of LeakyReLU nets",
    forward(by_pair["leaky_relu", LEAKY_HE]),
    1,
)
claim(
    "He keeps the gradient of LeakyReLU nets",
    backward(by_pair["leaky_relu", LEAKY_HE]),
    1,
)
claim(
    "ReLU's He makes LeakyReLU(a) nets grow by 1 + a²",
    forward(by_pair["leaky_relu", HE]),
    1 + SLOPE**2,
)
claim(
    "Xavier keeps (1 + a²) / 2 of LeakyReLU nets",
    forward(by_pair["leaky_relu", "xavier_normal"]),
    (1 + SLOPE**2) / 2,
)

# %%
# One variance for each direction
# -------------------------------
# If a layer has more outputs than inputs, Var(W) = 2 / fan_in keeps the signal, and 2 /
# fan_out the gradient. No one variance keeps both: with ``fan_in``, a layer from 128 to
# 512 units multiplies the variance of the gradient by fan_out / fan_in = 4; with
# ``fan_out``, the mean square of the signal by 1/4.

wide = {**settings, "widths": [128, 512], "seeds": 64}
for mode, ahead, back in (("fan_in", 1, 4), ("fan_out", 1 / 4, 1)):
    [trace] = fastinit.propagate(
        "relu", f"kaiming_normal(nonlinearity=relu, mode={mode})", **wide
    ).traces
    claim(f"He by {mode}: the signal from 128 to 512 units", forward(trace), ahead)
    claim(
        f"He by {mode}: the gradient from 512 to 128 units", backward(trace), back
    )

exact("He's gain for ReLU is √2", init.calculate_gain("relu"), 2**0.5)
exact(
    "He's gain for LeakyReLU(0.1) is √(2 / 1.01)",
    init.calculate_gain("leaky_relu", 0.1),
    (2 / 1.01) ** 0.5,
)

# %%
# Lines are medians of 16 networks, bands go from the 10th to the 90th percentile, and
# dashes are theory.

figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True)
for row, activation in zip(axes, ("relu", "leaky_relu"), strict=True):
    for spec in (HE, LEAKY_HE, "xavier_normal"):
        for at, quantity in zip(row, ("std", "gradient"), strict=True):
            plot(at, by_pair[activation, spec], quantity)
    row[0].set_ylabel(activation)
axes[0][0].legend()
plt.show()
