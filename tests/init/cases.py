"""Every initialiser, and what the tests of this folder share."""

import ml_dtypes
import numpy as np

from fastinit import init

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
# Every initialiser, with arguments if it needs them and if they change what is drawn.
SPECS = [
    "variance_scaling",
    "variance_scaling(scale=2, mode=fan_geo_avg, distribution=uniform)",
    "xavier_uniform",
    "xavier_normal(gain=0.5)",
    "kaiming_uniform(a=2.23606797749979)",
    "kaiming_normal(mode=fan_out)",
    "lecun_uniform",
    "lecun_normal",
    "uniform(low=-1, high=3)",
    "normal(mean=1, std=0.02)",
    "truncated_normal(low=1, high=inf)",
    "bernoulli(p=0.3)",
    "constant(value=0.1)",
    "zeros",
    "ones",
    "eye",
    "dirac",
    "orthogonal(gain=2)",
    "delta_orthogonal",
    "sparse(sparsity=0.3)",
]
SHAPES = {"eye": (37, 29), "sparse": (37, 29), "dirac": (20, 11, 3, 4), "delta_orthogonal": (20, 11, 3, 4)}


def shape_of(spec):
    return SHAPES.get(init.get(spec).name, (19, 7, 3, 5))


def same(one, other):
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def position(rng):
    state = rng.bit_generator.state
    return state["state"], state["has_uint32"] and state["uinteger"]


# initialisers whose elements are not one draw each


# names, specs, errors
