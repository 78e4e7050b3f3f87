"""Small tensors, and the choices that rules make for them."""

import numpy as np

from fastinit.checkpoint import TensorSpec
from fastinit.checkpoint.recipe import resolve
from fastinit.random import PCG64, Generator


def f32(name, *shape):
    return TensorSpec(name, "F32", shape)


def choose(specs, init):
    """Return each tensor's choice."""
    return resolve(specs, init).choices


def made(choice, start=0, stop=None):
    """Return elements of a choice's tensor, made as by `generate`."""
    out = np.empty((choice.spec.size if stop is None else stop) - start, choice.spec.storage)
    choice.fill(out, Generator(PCG64(3)).fold_in(choice.spec.name), start)
    return out
