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

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .generation import Summary, generate, tensors
from .manifest import TensorSpec

if TYPE_CHECKING:
    from .inspection import Statistics, inspect
    from .rules import Rule
    from .verification import Difference, Verification, verify

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

# What needs NumPy comes when it is asked for: `generate` has a disk make room while NumPy is loaded.
_LATER = {
    "Difference": "verification",
    "Rule": "rules",
    "Statistics": "inspection",
    "Verification": "verification",
    "inspect": "inspection",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value
