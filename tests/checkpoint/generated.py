"""A model of many dtypes, its rules, and its files as read by other packages."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from fastinit.checkpoint import Rule
from fastinit.checkpoint.pieces import PIECE

MODEL = {
    "embed.weight": {"dtype": "F32", "shape": [700, 1001]},
    "fc.weight": {"dtype": "BF16", "shape": [1000, 601]},
    "fc.bias": {"dtype": "BF16", "shape": [1000]},
    "wide.weight": {"dtype": "F64", "shape": [300, 501]},
    "half.weight": {"dtype": "F16", "shape": [3, 5, 7]},
    "turn.weight": {"dtype": "F32", "shape": [30, 20]},
    "thin.weight": {"dtype": "F32", "shape": [600, 501]},
    "norm.weight": {"dtype": "F32", "shape": [64]},
    "norm.num_batches_tracked": {"dtype": "I64", "shape": []},
    "position_ids": {"dtype": "I64", "shape": [1, 512]},
    "empty.bias": {"dtype": "F32", "shape": [0, 4]},
}
RULES = {
    "norm.num_batches_tracked": ("zeros", None),
    "position_ids": ("arange", None),
    "norm.*": ("ones", None),
    "*.bias": ("zeros", None),
    "fc.weight": ("kaiming_uniform", "oi"),
    "wide.*": ("truncated_normal(std=0.02)", None),
    "half.*": ("xavier_normal", "io"),
    "turn.*": ("orthogonal", None),
    "thin.*": ("sparse(sparsity=0.5)", None),
    "*": ("normal(std=0.02)", None),
}
OTHER = [Rule("*", "zeros")]
# One tensor is larger than a piece, and no tensor is a multiple of a piece.
assert 700 * 1001 * 4 > 2 * PIECE

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


def load(summary):
    """A checkpoint as safetensors' own package and torch see it."""
    found = {}
    for path in summary.files:
        if path.suffix == ".safetensors":
            found.update(load_file(path))
    return found


def same(a, b):
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a
    )


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())
