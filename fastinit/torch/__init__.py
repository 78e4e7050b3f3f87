"""A module's own initialisation with values by name, seed and place; its recording; models without fills."""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("fastinit.torch needs torch: pip install 'fastinit[torch]'") from None

from .names import manifest
from .naming import by_name

__all__ = ["by_name", "manifest"]
