"""
One layer, forward and backward
===============================

Where all else comes from: a layer multiplies the mean square of its inputs by fan_in ·
Var(W), and the variance of the gradient by fan_out · Var(W). Each is measured for a
linear layer and for a convolution, in NumPy alone.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastinit import init, random
from measuring import claim

# %%
# A linear layer
# --------------
# y = W x, and backward dL/dx = Wᵀ dL/dy. Here is a new weight for each of 400
# measurements, from 100 to 300 units, and Var(W) = 0.01.

rng = random.default_rng(7)
normal = init.get("normal(std=0.1)")


def linear(number):
    """Return by how much one layer multiplies the mean square forward, and the gradient's backward."""
    stream = rng.fold_in(f"{number}.weight")
    w = normal((300, 100), rng=stream)
    x, grad = (
        stream.fold_in("x").standard_normal(100),
        stream.fold_in("grad").standard_normal(300),
    )
    return np.mean((w @ x) ** 2) / np.mean(x**2), np.mean(
        (w.T @ grad) ** 2
    ) / np.mean(grad**2)


ahead, back = np.array([linear(number) for number in range(400)]).T
claim(
    "A linear layer multiplies the mean square by fan_in Var(W)", ahead, 100 * 0.01
)
claim(
    "A linear layer multiplies the gradient's by fan_out Var(W)", back, 300 * 0.01
)

# %%
# Inputs need no mean of 0: weights with mean 0 pass on the mean square, not the variance.
# What ReLU gives has a mean of 0.4, which counts.

ones = [
    np.mean((normal((300, 100), rng=rng.fold_in(f"ones {i}")) @ np.ones(100)) ** 2)
    for i in range(400)
]
claim(
    "Inputs that are all 1, of variance 0, count by their mean square",
    ones,
    100 * 0.01,
)

# %%
# A convolution
# -------------
# Each output is a sum over in_channels · 3 · 3 inputs: that is its fan_in. In its middle,
# each input reaches out_channels · 3 · 3 outputs: fan_out. The gradient by the input is
# the convolution of the gradient, with a margin of two zeros, with the kernel turned
# round.


def convolve(x, w):
    """Return the convolution of (channels, rows, columns) with (out, channels, 3, 3), without margins."""
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.einsum("crskl,ockl->ors", patches, w, optimize=True)


def convolution(number):
    """Return the same two factors, of 4 to 12 channels of 16 x 16."""
    stream = rng.fold_in(f"{number}.conv.weight")
    w = normal((12, 4, 3, 3), rng=stream)
    x, grad = (
        stream.fold_in("x").standard_normal((4, 16, 16)),
        stream.fold_in("grad").standard_normal((12, 16, 16)),
    )
    turned = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    return np.mean(convolve(x, w) ** 2), np.mean(convolve(grad, turned) ** 2)


ahead, back = np.array([convolution(number) for number in range(400)]).T
claim(
    "A convolution multiplies the mean square by in · 3 · 3 · Var(W)",
    ahead,
    4 * 9 * 0.01,
)
claim(
    "A convolution multiplies the gradient's by out · 3 · 3 · Var(W)",
    back,
    12 * 9 * 0.01,
)

# %%
# Over widths: points are means of 20 layers from so many units to 256, lines are the law.

widths = np.array([16, 32, 64, 128, 256, 512, 1024])
figure, at = plt.subplots(figsize=(6, 4), layout="constrained")
for spec in ("xavier_normal", "kaiming_normal", "lecun_normal"):
    factors = []
    for width in widths:
        weights = (
            init.get(spec)((256, width), rng=rng.fold_in(f"{spec} {width} {i}"))
            for i in range(20)
        )
        factors.append(
            np.mean(
                [np.mean((w @ rng.standard_normal(width)) ** 2) for w in weights]
            )
        )
    [points] = at.plot(widths, factors, "o", label=spec)
    law = [width * init.get(spec).plan((256, width)).std ** 2 for width in widths]
    at.plot(widths, law, color=points.get_color())
at.set(
    xscale="log",
    yscale="log",
    xlabel="fan_in",
    title="Var(y) / E[x²], fan_out = 256",
)
at.legend()
plt.show()
