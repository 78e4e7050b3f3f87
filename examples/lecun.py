"""
LeCun in SELU nets
==================

SELU is λ x for x > 0 and λ α (eˣ - 1) otherwise. Its two constants are chosen so that,
with weights of variance 1 / fan_in, mean 0 and variance 1 are a fixed point, to which
other values return: the network normalises itself.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastinit
from fastinit import init, nn, random
from measuring import claim, exact, plot

# %%
# The formula
# -----------

LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
exact("SELU of 2 is λ 2", float(nn.selu(np.array(2.0))), LAMBDA * 2)
exact(
    "SELU of -2 is λ α (e⁻² - 1)",
    float(nn.selu(np.array(-2.0))),
    LAMBDA * ALPHA * np.expm1(-2.0),
)

z = random.default_rng(1).standard_normal(1_000_000)
claim("SELU of a standard normal has mean 0", nn.selu(z), 0)
claim("SELU of a standard normal has variance 1", nn.selu(z) ** 2, 1)

# %%
# Twenty layers
# -------------
# Each of 16 networks has weights of its own. What theory of infinitely wide layers leaves
# out is of the order of depth / width, 8%, at most.

settings = {"depth": 20, "width": 256, "seeds": 16, "batch": 32, "directions": 2}
specs = ["lecun_normal", "lecun_uniform", "kaiming_normal", "normal(std=0.03125)"]
report = fastinit.propagate("selu", specs, **settings)
normal, uniform, he, small = report.traces

for trace in (normal, uniform):
    claim(
        f"{trace.init}: std of SELU nets after 20 layers",
        trace.measured["std"][:, -1],
        1,
        wide=20 / 256,
    )
    claim(
        f"{trace.init}: mean of SELU nets after 20 layers",
        trace.measured["mean"][:, -1],
        0,
    )

# %%
# The wrong weights beside it: He's, with twice the variance, drift to another std. With
# half of LeCun's std, values shrink; SELU alone doesn't normalise.

claim(
    "He: std of SELU nets after 20 layers",
    he.measured["std"][:, -1],
    he.predicted["std"][-1],
    wide=20 / 256,
)
claim(
    "Half of LeCun's std: std of SELU nets after 20 layers",
    small.measured["std"][:, -1],
    small.predicted["std"][-1],
    wide=20 / 256,
)

# %%
# An attractor
# ------------
# Inputs of another size return. They are scaled here by 2 and by 1/2, with a mean of 1/2.

rng = random.default_rng(7)
courses = {}
for scale, mean in ((2.0, 0.5), (0.5, 0.5), (1.0, 0.0)):
    course = np.empty((16, 21))  # the std at the input and behind each layer
    for seed in range(16):
        stream = rng.fold_in(f"net {seed}")
        x = mean + scale * stream.fold_in("input").standard_normal(
            (32, 256), dtype="float32"
        )
        course[seed, 0] = x.std()
        for number in range(20):
            w = init.lecun_normal(
                (256, 256), rng=stream.fold_in(f"{number}.weight")
            )
            x = nn.selu(x @ w.T)
            course[seed, number + 1] = x.std()
    claim(
        f"SELU nets bring std {scale:g} and mean {mean:g} back to std 1",
        course[:, -1],
        1,
        wide=20 / 256,
    )
    courses[f"input: mean {mean:g}, std {scale:g}"] = np.median(course, axis=0)

# %%
# Lines are medians of 16 networks, bands go from the 10th to the 90th percentile, and
# dashes are theory.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for trace in report.traces:
    plot(axes[0], trace)
for label, course in courses.items():
    axes[1].plot(course, label=label)
axes[1].set(xlabel="layer", title="LeCun: other inputs return")
for at in axes:
    at.legend(fontsize=8)
plt.show()
