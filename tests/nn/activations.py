"""Every operation of the C core's list: how tests call it, and the same function of torch and NumPy."""

from collections.abc import Callable
from functools import partial
from math import sqrt
from typing import NamedTuple

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

from fastinit import nn
from fastinit._dispatch import ACTIVATIONS
from fastinit.random import default_rng

DTYPES = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
EPSILON = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}

NOTHING, WORDS, BIAS = range(3)  # enum fi_extra

SLOPE = 0.3
P = 0.4
SEED = 11

SCALE = 1.0507009873554804934193349852946
ALPHA = 1.6732632423543772848170429916717


class Function(NamedTuple):
    """Takes `tall` arrays of the result's shape, then a bias if there is one, and out."""

    name: str
    kind: tuple[int, int, int, bool]  # operands, extra and sums of activations.def; whether it is a gradient
    both: Callable[..., np.ndarray | tuple[np.ndarray, np.ndarray]]  # the gradient of a bias, too
    torchs: Callable[..., torch.Tensor]

    def __str__(self):
        return self.name

    @property
    def tall(self):
        return 1 if self.kind[1] == BIAS else min(self.kind[0], 2)

    @property
    def bias(self):
        return self.kind[0] > self.tall

    @property
    def draws(self):
        return self.kind[1] == WORDS

    @property
    def sums(self):
        return self.kind[2]

    def call(self, *operands, out=None):
        result = self.both(*operands, out=out)
        return result[0] if self.sums else result

    def operands(self, rng, shape, tag):
        """Normals, wide enough for every branch."""
        return [values(rng, each, tag) for each in self.shapes(shape)]

    def shapes(self, shape):
        return [shape] * self.tall + [shape[-1:]] * self.bias

    def expected(self, *operands):
        """torch's values in float64 for these operands."""
        return self.torchs(*(torch.from_numpy(np.asarray(x, np.float64)) for x in operands)).numpy()


def values(rng, shape, tag):
    return np.asarray(3 * rng.standard_normal(shape)).astype(DTYPES[tag])


def patterns(rng, n, tag):
    """Return random bits, with NaN, infinities and subnormals among them."""
    dtype = DTYPES[tag]
    return np.frombuffer(rng.bytes(n * dtype.itemsize), dtype)


def every_half(tag):
    return np.arange(1 << 16, dtype=np.uint16).view(DTYPES[tag])


def bits(array):
    """Return the bits of each value, with the same bits for every NaN."""
    array = np.ascontiguousarray(array)
    found = array.view(f"u{array.itemsize}").copy()
    found[np.isnan(array)] = 0x7FF1
    return found


def assert_same(got, expected):
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(bits(got), bits(expected), strict=True)


def dropped(n):
    """Return which elements are dropped, by NumPy's words of the same seed."""
    words = np.random.Generator(np.random.PCG64(SEED)).integers(0, 2**32, n, dtype=np.uint32)
    return words < round(P * 2**32)


def torchs_dropout(x):
    """Compute alpha dropout as Klambauer et al. 2017, with their names."""
    alpha, q = -SCALE * ALPHA, 1 - P
    d = torch.from_numpy(~dropped(x.numel()).reshape(x.shape)).double()
    a = 1 / sqrt(q + alpha**2 * q * (1 - q))
    b = -a * (1 - q) * alpha
    return a * (x * d + alpha * (1 - d)) + b


def torchs_gradient(forward):
    """Return the gradient of a function's input, from the output's gradient and the input."""

    def backward(grad, x, *rest):
        x = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(forward(x, *rest), x, grad)
        return found

    return backward


def torchs_dropout_backward(grad):
    return torchs_gradient(torchs_dropout)(grad, torch.zeros_like(grad))


def torchs_selu_dropout_backward(grad, y):
    """Return the gradient from the output of dropout: first through dropout, then through selu."""
    a = torchs_dropout(torch.ones_like(y)) - torchs_dropout(torch.zeros_like(y))
    kept = a > 0
    inner = torch.where(kept, (y - torchs_dropout(torch.zeros_like(y))) / a, torch.zeros_like(y))
    return torch.where(kept, torchs_selu_backward(grad * a, inner), torch.zeros_like(y))


def torchs_selu_backward(grad, y):
    return torch.ops.aten.elu_backward(grad, ALPHA, SCALE, 1.0, True, y)


aten = torch.ops.aten
leaky = partial(F.leaky_relu, negative_slope=SLOPE)


def seeded(function, p):
    """Find the probability under the name that the function gives it."""
    return lambda *operands, out=None: function(*operands, rng=default_rng(SEED), out=out, **{p: P})


CALLS = {
    "relu": (nn.relu, torch.relu),
    "leaky_relu": (lambda x, out=None: nn.leaky_relu(x, SLOPE, out=out), leaky),
    "selu": (nn.selu, F.selu),
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "tanh": (nn.tanh, torch.tanh),
    "alpha_dropout": (seeded(nn.alpha_dropout, "p"), torchs_dropout),
    "selu_dropout": (seeded(nn.selu, "dropout_p"), lambda x: torchs_dropout(F.selu(x))),
    "bias_leaky_relu": (
        lambda x, b, out=None: nn.bias_leaky_relu(x, b, SLOPE, out=out),
        lambda x, b: leaky(x + b),
    ),
    "bias_selu": (nn.bias_selu, lambda x, b: F.selu(x + b)),
    "relu_backward": (nn.relu_backward, lambda g, x: aten.threshold_backward(g, x, 0)),
    "leaky_relu_backward": (
        lambda g, x, out=None: nn.leaky_relu_backward(g, x, SLOPE, out=out),
        torchs_gradient(leaky),
    ),
    "selu_backward": (nn.selu_backward, torchs_selu_backward),
    "selu_backward_x": (lambda g, x, out=None: nn.selu_backward(g, x=x, out=out), torchs_gradient(F.selu)),
    "sigmoid_backward": (nn.sigmoid_backward, aten.sigmoid_backward),
    "tanh_backward": (nn.tanh_backward, aten.tanh_backward),
    "alpha_dropout_backward": (seeded(nn.alpha_dropout_backward, "p"), torchs_dropout_backward),
    "selu_dropout_backward": (seeded(nn.selu_backward, "dropout_p"), torchs_selu_dropout_backward),
    "selu_dropout_backward_x": (
        lambda g, x, out=None: nn.selu_backward(g, x=x, dropout_p=P, rng=default_rng(SEED), out=out),
        torchs_gradient(lambda x: torchs_dropout(F.selu(x))),
    ),
    "bias_leaky_relu_backward": (
        lambda g, x, b, out=None: nn.bias_leaky_relu_backward(g, x, b, SLOPE, out=out),
        torchs_gradient(lambda x, b: leaky(x + b)),
    ),
    "bias_selu_backward": (nn.bias_selu_backward, torchs_selu_backward),
}
FUNCTIONS = [
    Function(name, (*row[1:], "_backward" in name), *CALLS[name]) for name, row in ACTIVATIONS.items()
]
BY_NAME = {function.name: function for function in FUNCTIONS}
#: One of each kind: code above the kernels handles layouts, threads and the caller's modes, equally for all.
KINDS = [*{function.kind: function for function in FUNCTIONS}.values()]
