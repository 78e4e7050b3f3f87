"""Small tensors, and what rules make of them."""

import numpy as np

from fastinit.checkpoint import TensorSpec
from fastinit.checkpoint.recipe import resolve
from fastinit.random import PCG64, Generator


def f32(name, *shape):
    return TensorSpec(name, "F32", shape)


def choose(specs, init):
    """What makes each tensor."""
    return resolve(specs, init).choices


def made(choice, start=0, stop=None):
    """Elements of a choice's tensor, as `generate` makes them."""
    out = np.empty((choice.spec.size if stop is None else stop) - start, choice.spec.storage)
    choice.fill(out, Generator(PCG64(3)).fold_in(choice.spec.name), start)
    return out
