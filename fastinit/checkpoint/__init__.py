"""Model checkpoints: plan, write, verify and inspect them from a list of names, dtypes and shapes.

Examples
--------
>>> from fastinit import checkpoint
>>> model = {"fc.weight": {"dtype": "F32", "shape": [10, 784]}, "fc.bias": {"dtype": "F32", "shape": [10]}}
>>> for name, array in checkpoint.tensors(model, init="he", seed=7):
...     print(name, array.shape, array.dtype)
fc.weight (10, 784) float32
fc.bias (10,) float32
"""

from .choices import Choice
from .comparison import Comparison, compare
from .errors import BadInput
from .fitting import Law
from .generation import Summary, generate, tensors
from .inspection import Statistics, inspect
from .planning import CheckpointPlan, plan
from .recipe import Recipe
from .recording import Recording
from .rules import Rule
from .sketches import Histogram
from .spec import TensorSpec
from .verification import Difference, Verification, verify

__all__ = [
    "BadInput",
    "CheckpointPlan",
    "Choice",
    "Comparison",
    "Difference",
    "Histogram",
    "Law",
    "Recipe",
    "Recording",
    "Rule",
    "Statistics",
    "Summary",
    "TensorSpec",
    "Verification",
    "compare",
    "generate",
    "inspect",
    "plan",
    "tensors",
    "verify",
]
