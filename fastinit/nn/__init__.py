"""Activations and their gradients at the speed of memory, fused with the bias before, the dropout after them.

Every function takes arrays of float16, bfloat16, float32 or float64, in any layout, from NumPy or from any
object with the buffer protocol or DLPack (a torch tensor on the CPU, a JAX array, an ``array.array``). Half
types are computed in float32 and rounded once. `out` is such an array too. It may be an operand itself, and
it is what is returned. Results are the same bits on every instruction set and for any number of threads.
"""

from . import backward, forward
from .backward import *  # noqa: F403
from .forward import *  # noqa: F403

__all__: list[str] = []
__all__ += backward.__all__
__all__ += forward.__all__
