"""JAX's initialisers with values by key and place: NumPy's, also under jit and on any number of devices."""

try:
    import jax as _jax  # noqa: F401
except ImportError:
    raise ImportError("fastinit.jax needs jax: pip install 'fastinit-engine[jax]'") from None

from . import initializers
from .initializers import *  # noqa: F403
from .trees import initialize

__all__ = ["initialize"]
__all__ += initializers.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
