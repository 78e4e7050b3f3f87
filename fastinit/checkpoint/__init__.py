"""Model checkpoints: written from a list of names, dtypes and shapes, checked and inspected.

Examples
--------
>>> from fastinit import checkpoint
>>> model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}, "fc.bias": {"dtype": "F32", "shape": [10]}}
>>> for name, array in checkpoint.tensors(model, init="he", seed=7):
...     print(name, array.shape, array.dtype)
fc.weight (10, 784) float32
fc.bias (10,) float32
"""

from .errors import BadInput
from .generate import Summary, generate, tensors
from .inspect import Statistics, inspect
from .manifest import TensorSpec
from .rules import Rule
from .verify import Difference, Verification, verify

__all__ = [
    "BadInput",
    "Difference",
    "Rule",
    "Statistics",
    "Summary",
    "TensorSpec",
    "Verification",
    "generate",
    "inspect",
    "tensors",
    "verify",
]
