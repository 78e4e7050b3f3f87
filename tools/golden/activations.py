"""The activations' own rows, which no contract covers."""

import numpy as np

from fastinit import _activations, _fused_bias
from fastinit._dispatch import ACTIVATIONS

from .common import TAGS, bits, digest, numpy_dtype, seeded

WORDS, BIAS = 1, 2  # of enum fi_extra


def operand(i, shape, tag, kind):
    rng, dtype = seeded("PCG64", i), numpy_dtype(tag)
    if kind == "normals":
        return rng.normal(0, 3, shape, dtype)
    return rng.bit_generator.random_raw(shape).astype(f"u{dtype.itemsize}").view(dtype)


def operate(name, tag, kind):
    """Return the results, called by what the row in src_c/activations.def says."""
    op, count, extra, sums = ACTIVATIONS[name]
    tall = 1 if extra == BIAS else min(count, 2)
    operands = [operand(i, (130, 33) if i < tall else (33,), tag, kind) for i in range(count)]
    x, y, bias = [*operands, None, None][:3]
    if sums:
        return _fused_bias.with_bias_backward(op, x, y, bias, None, 0.3)
    if extra == BIAS:
        return [_fused_bias.with_bias(op, x, y, None, 0.3)]
    if extra == WORDS:
        return [_activations.dropout(op, x, y, None, 0.4, seeded("PCG64", 7), True)]
    return [_activations.elementwise(op, x, y, None, 0.3)]


def activations():
    for name in ACTIVATIONS:
        for tag in TAGS:
            for kind in ["normals", "bits"]:
                results = np.concatenate([each.ravel() for each in operate(name, tag, kind)])
                found = results.view(f"u{results.itemsize}").copy()
                found[np.isnan(results)] = np.iinfo(found.dtype).max
                yield {
                    "operation": name,
                    "dtype": tag,
                    "operands": kind,
                    "values": bits(found[:4]),
                    "blake2b": digest(found),
                }
