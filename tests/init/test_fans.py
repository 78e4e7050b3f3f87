"""Fans and gains against torch, JAX's definition, and quadrature."""

import math
import re
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from layers import TORCH, WRITTEN, counted
from torch.nn.init import _calculate_fan_in_and_fan_out

from fastinit.init.fans import LAYOUTS, calculate_gain, compute_fans

ROOT = Path(__file__).parents[2]


def shapes(seed, count=50):
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(1, 9, rng.integers(2, 6)).tolist()) for _ in range(count)]


@pytest.mark.parametrize("shape", [*shapes(0), (0, 5), (5, 0), (3, 4, 0)])
def test_oi_is_torchs(shape):
    assert compute_fans(shape) == _calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("shape", shapes(1))
def test_io_is_jaxs(shape):
    # jax.nn.initializers: in_axis=-2, out_axis=-1, everything else the receptive field
    receptive = math.prod(shape) // shape[-2] // shape[-1]
    assert compute_fans(shape, layout="io") == (shape[-2] * receptive, shape[-1] * receptive)


@pytest.mark.parametrize("shape", shapes(2))
def test_explicit_axes_are_the_layouts(shape):
    assert compute_fans(shape, in_axis=1, out_axis=0) == compute_fans(shape)
    assert compute_fans(shape, in_axis=-2, out_axis=(-1,)) == compute_fans(shape, layout="io")


def test_several_axes_and_batch():
    # attention's projection (heads, size, model) and eight experts (8, out, in)
    assert compute_fans((12, 64, 768), in_axis=(0, 1), out_axis=2) == (768, 768)
    assert compute_fans((8, 64, 128), batch_axis=0) == (128, 64)
    assert compute_fans((8, 128, 64), batch_axis=0, layout="io") == (128, 64)
    assert compute_fans((3, 128, 8, 64), in_axis=1, out_axis=3, batch_axis=(-2,)) == (384, 192)


@pytest.mark.parametrize(("kind", "layer", "arguments"), WRITTEN, ids=[kind for kind, _, _ in WRITTEN])
def test_fans_are_the_connections_of_a_layer(kind, layer, arguments):
    shape, connections = layer
    assert compute_fans(shape, **arguments) == counted(connections, shape)


@pytest.mark.parametrize(("kind", "make", "arguments"), TORCH, ids=[kind for kind, _, _ in TORCH])
def test_fans_are_those_of_a_layer_of_torch(kind, make, arguments):
    weight, fans = make()
    assert compute_fans(weight.shape, **arguments) == fans


def test_every_layout_has_a_layer():
    assert {arguments.get("layout", "oi") for _, _, arguments in WRITTEN + TORCH} == LAYOUTS.keys()


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((), {}, "two axes or more.*shape \\(\\) has 0"),
        ((5,), {}, "shape \\(5,\\) has 1"),
        (5, {}, "shape \\(5,\\) has 1"),
        ((5, 3), {"batch_axis": 0}, "has 1 besides batch_axis"),
        ((5, 3), {"layout": "hwio"}, "unknown layout 'hwio'; known are oi, io, torch_transposed, "),
        ((5, 3), {"layout": None}, "unknown layout None"),
        ((5, 3), {"in_axis": 0}, "go together"),
        ((5, 3), {"in_axis": 0, "out_axis": 2}, "out_axis 2 is out of range for shape \\(5, 3\\)"),
        ((5, 3), {"in_axis": 0, "out_axis": -2}, "twice"),
        ((5, 3, 4), {"batch_axis": (0, -3)}, "twice"),
        ((5, 3), {"groups": 2}, "groups=2 does not divide the 5 outputs"),
        ((5, 3), {"groups": 0}, "groups must be 1 or more"),
        ((5, 3), {"groups": 3, "layout": "torch_transposed"}, "groups=3 does not divide the 5 inputs"),
        ((3, 4, 2), {"groups": 2, "layout": "keras_depthwise"}, "depthwise weight is a group already"),
        ((5, -3), {}, "negative size"),
        ((2**40, 2**40), {}, "larger than memory"),
    ],
)
def test_what_has_no_fans_says_why(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        compute_fans(shape, **arguments)


NAMES = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
NAMES += [f"conv{transpose}{rank}d" for transpose in ("", "_transpose") for rank in (1, 2, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_gain_is_torchs(name):
    assert calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize("slope", [0, 0.0, 0.01, 0.2, 1, -3.5, math.sqrt(5)])
def test_leaky_gain_is_torchs_to_rounding(slope):
    assert calculate_gain("leaky_relu", slope) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", slope), rel=3e-16, abs=0
    )


ACTIVATIONS = {
    "relu": lambda z: max(z, 0),
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "gelu": lambda z: z * mpmath.ncdf(z),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
}


@pytest.mark.parametrize(("name", "activation"), ACTIVATIONS.items())
def test_gain_restores_the_mean_square(name, activation):
    with mpmath.workdps(30):
        pieces = [-mpmath.inf, -8, -4, -2, -1, 0, 1, 2, 4, 8, mpmath.inf]
        square = mpmath.quad(lambda z: activation(z) ** 2 * mpmath.npdf(z), pieces)
        expected = float(1 / mpmath.sqrt(square))
    assert calculate_gain(name) == pytest.approx(expected, rel=2.3e-16, abs=0)


def test_gelus_gain_has_a_closed_form():
    with mpmath.workdps(30):
        square = mpmath.mpf(1) / 3 + 1 / (2 * mpmath.sqrt(3) * mpmath.pi)
        assert calculate_gain("gelu") == float(1 / mpmath.sqrt(square))


def test_an_unknown_gain_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown nonlinearity 'mish'; known are linear, .*silu"):
        calculate_gain("mish")


@pytest.mark.parametrize("unknown", [["relu"], None, 3])
def test_a_gain_that_is_no_name_lists_the_known(unknown):
    with pytest.raises(ValueError, match=r"unknown nonlinearity .*; known are linear, .*silu"):
        calculate_gain(unknown)


@pytest.mark.parametrize("slope", [np.float32(0.2), np.float64(0.2), np.int64(2), Fraction(1, 5)])
def test_a_slope_is_any_real_number(slope):
    assert calculate_gain("leaky_relu", slope) == calculate_gain("leaky_relu", float(slope))


@pytest.mark.parametrize("text", [calculate_gain.__doc__, (ROOT / "docs" / "initialisers.md").read_text()])
def test_the_tables_have_the_gains_that_are_returned(text):
    for name in ("gelu", "silu"):
        [written] = re.findall(rf"^[ |]*{name} [ |]*([\d.]+)", text, re.MULTILINE)
        assert float(written) == calculate_gain(name)
        assert written == repr(calculate_gain(name))


@pytest.mark.parametrize("slope", [math.nan, True, "steep", [0.1], math.inf, -math.inf, 1e200, 10**400])
def test_a_slope_is_a_number(slope):
    with pytest.raises(ValueError, match="negative slope"):
        calculate_gain("leaky_relu", slope)
