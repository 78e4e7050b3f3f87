"""Random Dask arrays with NumPy's values: ``from fastinit.dask import random``."""

try:
    import dask.array as _array  # noqa: F401
except ImportError:
    raise ImportError("fastinit.dask needs dask: pip install 'fastinit-engine[dask]'") from None

from . import random

__all__ = ["random"]


def __dir__() -> list[str]:
    return __all__
