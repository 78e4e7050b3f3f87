"""
Xavier in tanh and sigmoid nets
===============================

Xavier's weights have the variance 2 / (fan_in + fan_out). Where an activation is nearly
linear, that keeps the variance of signals and gradients: tanh is so near 0, with a slope
of 1. A sigmoid's slope is at most 1/4, so that Xavier does not save a deep sigmoid net.
"""

import matplotlib.pyplot as plt

import fastinit
from measuring import backward, claim, forward, plot

# %%
# The law itself: linear nets
# ---------------------------
# Without an activation, the factor of each layer is fan_in · Var(W) forward and fan_out ·
# Var(W) backward: 1 if the fans are equal, for the uniform and the normal form alike. For
# such nets the mean of the factor is exactly the law's, whatever the width.

settings = {"depth": 20, "width": 256, "seeds": 16, "batch": 32, "directions": 2}

linear = fastinit.propagate("linear", "xavier_normal,xavier_uniform", **settings)
for trace in linear.traces:
    claim(f"{trace.init} keeps the variance of signals", forward(trace), 1)
    claim(f"{trace.init} keeps the variance of gradients", backward(trace), 1)

# %%
# From 784 to 256 units, it is a compromise: forward 784 · 2 / 1040 = 1.508, backward 256
# · 2 / 1040 = 0.492.

[trace] = fastinit.propagate(
    "linear", "xavier_normal", **{**settings, "widths": [784, 256], "seeds": 64}
).traces
claim("Xavier from 784 to 256 units: the signal", forward(trace), 784 * 2 / 1040)
claim("Xavier from 784 to 256 units: the gradient", backward(trace), 256 * 2 / 1040)

# %%
# Too small, too large
# --------------------
# Half of Xavier's standard deviation keeps 1/4 of the variance a layer, twice it makes it
# 4: after 20 layers that is 10⁻¹² and 10¹².

half, double = fastinit.propagate(
    "linear", "xavier_normal(gain=0.5),xavier_normal(gain=2)", **settings
).traces
claim("Half of Xavier's std: the signal vanishes", forward(half), 1 / 4)
claim("Half of Xavier's std: the gradient vanishes", backward(half), 1 / 4)
claim("Twice Xavier's std: the signal explodes", forward(double), 4)
claim("Twice Xavier's std: the gradient explodes", backward(double), 4)

# %%
# tanh and sigmoid
# ----------------
# tanh bends, so that its std falls slowly, about as 1 / √(2 l) after l layers. A
# sigmoid's values stay near one half, but what differs between inputs, and the gradient,
# vanish: by 0.236 a layer, close to 1/4. Theory is of infinitely wide layers here; what
# it leaves out is of the order of depth / width, 8%.

nets = fastinit.propagate(
    "tanh,sigmoid", "xavier_normal,xavier_uniform", **settings
)
for trace in nets.traces:
    end, start = trace.measured["std"][:, -1], trace.measured["gradient"][:, 0]
    if trace.activation == "tanh":
        claim(
            f"{trace.init}: std of tanh nets after 20 layers",
            end,
            trace.predicted["std"][-1],
            wide=20 / 256,
        )
        claim(
            f"{trace.init}: std of the gradient of tanh nets after 20 layers",
            start,
            trace.predicted["gradient"][0],
            wide=20 / 256,
        )
        assert trace.forward.word == trace.backward.word == "stable"
    else:
        factor = trace.predicted["gradient"][0] ** (1 / 20)
        claim(
            f"{trace.init}: the gradient's factor a layer in sigmoid nets",
            start ** (1 / 20),
            factor,
            wide=1 / 256,
        )
        assert trace.forward.word == trace.backward.word == "vanishes"

# %%
# Lines are medians of 16 networks, bands go from the 10th to the 90th percentile, and
# dashes are theory.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for trace in [*linear.traces[:1], half, double, *nets.traces[::2]]:
    for at, quantity in zip(axes, ("std", "gradient"), strict=True):
        plot(at, trace, quantity, label=f"{trace.activation}, {trace.init}")
axes[0].legend(fontsize=8)
plt.show()
