"""Fast activations and their gradients, fused with a bias before or a dropout after.

Every function takes arrays of float16, bfloat16, float32 or float64, in any layout, from NumPy or any object
with the buffer protocol or DLPack (a torch tensor on the CPU, a JAX array, an ``array.array``). Half types
are computed in float32 and rounded once. `out` is such an array, may be an operand, and is returned. The bits
depend on neither the instruction set nor the number of threads.
"""

from . import backward, forward
from .backward import *  # noqa: F403
from .forward import *  # noqa: F403

__all__: list[str] = []
__all__ += backward.__all__
__all__ += forward.__all__
