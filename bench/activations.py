"""Activations of fastinit and of its peers, as calls on the same operands."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from fastinit import _dtypes, nn

from . import peers
from .peers import SEED, tensor, torch

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772
SLOPE = 0.01
COLUMNS = 1024  # of functions with a bias
CHECKED = 1 << 14
TOLERANCE = {"f16": 2e-3, "bf16": 1.6e-2, "f32": 2e-6, "f64": 1e-14}

aten = torch.ops.aten if torch else None


class Activation(NamedTuple):
    """A function of `tall` arrays of the result's shape and, if its name begins with bias, of a bias.

    `torch` and `torch_out` are torch's functions, without and with an array for the result (the last
    argument).
    """

    ours: Callable[..., object]
    torch: Callable[..., object]
    torch_out: Callable[..., object]
    tall: int = 1
    bias: bool = False

    @property
    def passes(self) -> int:
        """The number of arrays of the result's size that are read or written."""
        return self.tall + 1


def operands_of(name: str, size: int, tag: str) -> list[np.ndarray]:
    """Return normals, in rows if the function has a bias."""
    each, rng, dtype = ACTIVATIONS[name], np.random.default_rng(SEED), _dtypes.DTYPES[tag].numpy
    shape = (size,)
    if name.startswith("bias"):
        columns = min(size, COLUMNS)
        shape = (size // columns, columns)
    shapes = [shape] * each.tall + [shape[1:]] * each.bias
    return [rng.standard_normal(shape, np.float32).astype(dtype) for shape in shapes]


def check(name: str, tag: str, operands: list[np.ndarray], found: object) -> None:
    """Raise an AssertionError if the first values found aren't torch's in float64."""
    if torch is None:
        return
    each, first = ACTIVATIONS[name], max(1, CHECKED * len(operands[0]) // operands[0].size)
    parts = [x[:first] if i < each.tall else x for i, x in enumerate(operands)]
    wanted = _values(each.torch(*(torch.from_numpy(x.astype(np.float64)) for x in parts)), first)
    np.testing.assert_allclose(_values(found, first), wanted, rtol=4 * TOLERANCE[tag], atol=TOLERANCE[tag])


def _values(found, first):
    """The first rows in float64; of several gradients, those of x."""
    found = (found[0] if isinstance(found, tuple) else found)[:first]
    return found.double().numpy() if torch and isinstance(found, torch.Tensor) else np.asarray(found, "f8")


def _elu_out(x, out):
    return torch._C._nn.elu(x, ALPHA, SCALE, 1.0, out=out)


def _column_sums(grad):
    return grad, grad.sum(0)


def _bias_selu_backward(g, y, *out):
    return _column_sums(_selu_backward(g, y, *out))


def _selu_backward(g, y, *out):
    if out:
        return aten.elu_backward.grad_input(g, ALPHA, SCALE, 1.0, True, y, grad_input=out[0])
    return aten.elu_backward(g, ALPHA, SCALE, 1.0, True, y)


def _leaky_relu_backward(g, x, *out):
    if out:
        return aten.leaky_relu_backward.grad_input(g, x, SLOPE, False, grad_input=out[0])
    return aten.leaky_relu_backward(g, x, SLOPE, False)


def _leaky_relu(x):
    return torch.nn.functional.leaky_relu(x, SLOPE)


def _leaky_relu_out(x, out):
    return torch._C._nn.leaky_relu(x, SLOPE, out=out)


ACTIVATIONS = {
    "relu": Activation(nn.relu, lambda x: torch.relu(x), lambda x, out: torch.clamp_min(x, 0, out=out)),
    "leaky_relu": Activation(nn.leaky_relu, _leaky_relu, _leaky_relu_out),
    "selu": Activation(nn.selu, lambda x: torch.selu(x), _elu_out),
    "sigmoid": Activation(nn.sigmoid, lambda x: torch.sigmoid(x), lambda x, out: torch.sigmoid(x, out=out)),
    "tanh": Activation(nn.tanh, lambda x: torch.tanh(x), lambda x, out: torch.tanh(x, out=out)),
    "relu_backward": Activation(
        nn.relu_backward,
        lambda g, x: aten.threshold_backward(g, x, 0),
        lambda g, x, out: aten.threshold_backward.grad_input(g, x, 0, grad_input=out),
        tall=2,
    ),
    "leaky_relu_backward": Activation(
        nn.leaky_relu_backward, _leaky_relu_backward, _leaky_relu_backward, tall=2
    ),
    "selu_backward": Activation(nn.selu_backward, _selu_backward, _selu_backward, tall=2),
    "sigmoid_backward": Activation(
        nn.sigmoid_backward,
        lambda g, y: aten.sigmoid_backward(g, y),
        lambda g, y, out: aten.sigmoid_backward.grad_input(g, y, grad_input=out),
        tall=2,
    ),
    "tanh_backward": Activation(
        nn.tanh_backward,
        lambda g, y: aten.tanh_backward(g, y),
        lambda g, y, out: aten.tanh_backward.grad_input(g, y, grad_input=out),
        tall=2,
    ),
    "bias_leaky_relu": Activation(
        nn.bias_leaky_relu,
        lambda x, b: _leaky_relu(x + b),
        lambda x, b, out: _leaky_relu_out(torch.add(x, b, out=out), out),
        bias=True,
    ),
    "bias_selu": Activation(
        nn.bias_selu,
        lambda x, b: torch.selu(x + b),
        lambda x, b, out: _elu_out(torch.add(x, b, out=out), out),
        bias=True,
    ),
    "bias_leaky_relu_backward": Activation(
        nn.bias_leaky_relu_backward,
        lambda g, x, b: _column_sums(_leaky_relu_backward(g, x + b)),
        lambda g, x, b, out: _column_sums(_leaky_relu_backward(g, x + b, out)),
        tall=2,
        bias=True,
    ),
    "bias_selu_backward": Activation(nn.bias_selu_backward, _bias_selu_backward, _bias_selu_backward, tall=2),
}


def by_torch(name: str, operands: list[np.ndarray], out: np.ndarray) -> dict[str, Callable | None]:
    """Return torch's calls, into `out` and into a new array."""
    if torch is None:
        return {"torch": None}
    tensors, into, each = [tensor(x) for x in operands], tensor(out), ACTIVATIONS[name]
    return {
        "torch": lambda: each.torch_out(*tensors, into),
        "torch, fresh array": lambda: each.torch(*tensors),
    }


def by_compiled_torch(operands: list[np.ndarray], out: np.ndarray) -> dict[str, Callable]:
    """``selu(x + b)`` as torch compiles it; None if it has no compiler."""
    if torch is None:
        return {"torch.compile": None}
    x, b, into = [tensor(each) for each in (*operands, out)]
    try:
        with warnings.catch_warnings(action="ignore"):  # inductor's own
            compiled, compiled_out = _compiled()
            compiled(x, b)
            compiled_out(x, b, into)
    except Exception as error:  # any of its layers may find no compiler
        print(f"torch.compile: {type(error).__name__}: {error}")
        return {"torch.compile": None}
    return {
        "torch.compile": lambda: compiled_out(x, b, into),
        "torch.compile, fresh array": lambda: compiled(x, b),
    }


@cache
def _compiled():
    def bias_selu(x, b):
        return torch.nn.functional.selu(x + b)

    def bias_selu_out(x, b, out):
        return out.copy_(torch.nn.functional.selu(x + b))

    return torch.compile(bias_selu), torch.compile(bias_selu_out)


def by_others(name: str, operands: list[np.ndarray], out: np.ndarray) -> dict[str, Callable | None]:
    """Return NumPy's expression, JAX's compiled function and numba's compiled loop, if they exist."""
    calls = {}
    if name in _EXPRESSIONS:
        calls["NumPy"] = lambda: _EXPRESSIONS[name](*operands)
        calls["JAX, fresh array"] = _by_jax(name, operands)
        calls["numba"] = _by_numba(name, operands, out)
    return calls


_EXPRESSIONS = {
    "leaky_relu": lambda x: np.where(x > 0, x, x.dtype.type(SLOPE) * x),
    "selu": lambda x: x.dtype.type(SCALE) * np.where(x > 0, x, x.dtype.type(ALPHA) * (np.exp(x) - 1)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def _by_jax(name, operands):
    jax = peers.jax()
    if jax is None:
        return None
    function = jax.jit(getattr(jax.nn, name))
    given = [jax.numpy.asarray(x) for x in operands]
    return lambda: function(*given).block_until_ready()


def _by_numba(name, operands, out):
    if peers.module("numba") is None:
        return None
    loop = _numba_loop(name)
    return lambda: loop(*operands, out)


@cache
def _numba_loop(name):
    import math

    numba = peers.module("numba")
    scale, alpha, slope = np.float32(SCALE), np.float32(ALPHA), np.float32(SLOPE)
    scalar = {
        "leaky_relu": lambda x: x if x > 0 else slope * x,
        "selu": lambda x: scale * (x if x > 0 else alpha * np.expm1(x)),
        "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
        "tanh": lambda x: math.tanh(x),
    }
    one = numba.njit(scalar[name])

    @numba.njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = one(x[i])

    return loop
