"""Every function of `fastinit.torch.nn.functional`, with the same of torch and of NumPy's arrays."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as T

from fastinit import nn
from fastinit.torch.nn import functional as F

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Call(NamedTuple):
    """Takes x and, if it has one, a bias."""

    name: str
    ours: Callable[..., torch.Tensor]
    theirs: Callable[..., torch.Tensor]
    numpys: Callable[..., torch.Tensor]
    bias: bool = False

    def __str__(self):
        return self.name

    def operands(self, shape, dtype=torch.float64, seed=1):
        """Normals, wide enough for both branches."""
        rng = np.random.default_rng(seed)
        shapes = [shape, shape[-1:]] if self.bias else [shape]
        return [torch.from_numpy(3 * np.asarray(rng.standard_normal(each))).to(dtype) for each in shapes]


def with_slope(slope):
    return [
        Call(
            f"leaky_relu {slope}",
            partial(F.leaky_relu, negative_slope=slope),
            partial(T.leaky_relu, negative_slope=slope),
            partial(nn.leaky_relu, negative_slope=slope),
        ),
        Call(
            f"bias_leaky_relu {slope}",
            partial(F.bias_leaky_relu, negative_slope=slope),
            lambda x, bias: T.leaky_relu(x + bias, slope),
            partial(nn.bias_leaky_relu, negative_slope=slope),
            bias=True,
        ),
    ]


CALLS = [
    *with_slope(0.3),
    *with_slope(-0.3),
    *with_slope(0.0),
    Call("selu", F.selu, T.selu, nn.selu),
    Call("bias_selu", F.bias_selu, lambda x, bias: T.selu(x + bias), nn.bias_selu, bias=True),
]
ELEMENTWISE = [call for call in CALLS if not call.bias]


def as_leaves(tensors):
    return [x.clone().requires_grad_() for x in tensors]


def error_of(function, *args):
    """Return the class and the words of the error of a call."""
    try:
        function(*args)
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("no error")
