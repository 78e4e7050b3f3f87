"""
The formulas: bounds, standard deviations, fans
===============================================

Each formula is compared with what an initialiser of ``fastinit.init`` plans to draw, to
the last digits of float64, and then with what it draws.
"""

from math import sqrt

import matplotlib.pyplot as plt
import numpy as np

from fastinit import init, random
from measuring import claim, exact

# %%
# A linear layer from 784 to 256 units
# ------------------------------------
# Its weight has the shape (256, 784), outputs first. For a uniform distribution between
# -b and b, the variance is b² / 3, which is where the 6 and the 3 under the roots come
# from.

SHAPE = (256, 784)
fan_in, fan_out = init.compute_fans(SHAPE)
exact("fan_in of a linear layer of shape (256, 784)", fan_in, 784)
exact("fan_out of a linear layer of shape (256, 784)", fan_out, 256)

bounds = {
    "xavier_uniform": sqrt(6 / (784 + 256)),
    "xavier_uniform(gain=1.5)": 1.5 * sqrt(6 / (784 + 256)),
    "kaiming_uniform": sqrt(6 / 784),
    "kaiming_uniform(a=0.1, mode=fan_out)": sqrt(2 / (1 + 0.1**2)) * sqrt(3 / 256),
    "lecun_uniform": sqrt(3 / 784),
}
stds = {
    "xavier_normal": sqrt(2 / (784 + 256)),
    "xavier_normal(gain=1.5)": 1.5 * sqrt(2 / (784 + 256)),
    "kaiming_normal": sqrt(2 / 784),
    "kaiming_normal(a=0.1, mode=fan_out)": sqrt(2 / ((1 + 0.1**2) * 256)),
    "lecun_normal": sqrt(1 / 784),
}
for spec, bound in bounds.items():
    exact(f"{spec}: the bound", init.get(spec).plan(SHAPE).parameters[1], bound)
for spec, std in stds.items():
    exact(f"{spec}: the std", init.get(spec).plan(SHAPE).std, std)

# %%
# What is drawn
# -------------
# The mean of the squares of 200 704 weights is the variance. The standard error follows
# from the squares themselves. So N(0, √(2 / (fan_in + fan_out))) has a *standard
# deviation* in its second place: read as a variance, it would be 23 times as large.

drawn = {}
for number, (spec, size) in enumerate((bounds | stds).items()):
    drawn[spec] = init.get(spec)(
        SHAPE, rng=random.default_rng(7).fold_in(f"{number}.weight")
    )
    squares = (drawn[spec].astype(np.float64) / size) ** 2
    claim(
        f"{spec}: variance over the formula's square",
        squares,
        1 / 3 if spec in bounds else 1,
    )
    assert spec in stds or np.abs(drawn[spec]).max() <= size

# %%
# Fans of other layers
# --------------------
# In a convolution each channel counts once for every element of the kernel.

CONV = (64, 32, 3, 3)
exact(
    "fan_in of a 3 x 3 convolution of 32 to 64 channels",
    init.compute_fans(CONV)[0],
    32 * 9,
)
exact(
    "fan_out of a 3 x 3 convolution of 32 to 64 channels",
    init.compute_fans(CONV)[1],
    64 * 9,
)
exact(
    "He's std of that convolution",
    init.get("kaiming_normal").plan(CONV).std,
    sqrt(2 / 288),
)

# %%
# LeCun came first: if a layer has as many inputs as outputs, Xavier's weights are
# LeCun's, value for value.

square = (256, 256)
same = init.xavier_normal(square, rng=random.default_rng(7)) == init.lecun_normal(
    square, rng=random.default_rng(7)
)
exact(
    "Xavier is LeCun's if fan_in = fan_out: share of equal weights", same.mean(), 1
)

# %%
# Histograms of the weights, and the densities of the formulas.

figure, axes = plt.subplots(
    2, 3, figsize=(9, 5), layout="constrained", sharex=True, sharey=True
)
x = np.linspace(-0.2, 0.2, 801)
for row, sizes in zip(axes, (bounds, stds), strict=True):
    plain = [spec for spec in sizes if "(" not in spec]
    for at, spec in zip(row, plain, strict=True):
        size = sizes[spec]
        at.hist(
            drawn[spec].ravel(), bins=80, range=(-0.2, 0.2), density=True, alpha=0.5
        )
        normal = np.exp(-((x / size) ** 2) / 2) / (size * sqrt(2 * np.pi))
        uniform = (np.abs(x) < size) / (2 * size)
        at.plot(x, normal if sizes is stds else uniform, linewidth=1.5)
        at.set_title(
            f"{spec}: {'std' if sizes is stds else 'bound'} {size:.4f}", fontsize=9
        )
plt.show()
