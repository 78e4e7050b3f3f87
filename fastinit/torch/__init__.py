"""A module's own initialisation with values by name, seed and place; its recording; models without fills."""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("fastinit.torch needs torch: pip install 'fastinit[torch]'") from None

from fastinit.checkpoint import Recording

from . import init as init
from .construction import meta_parameters, skip_init
from .filling import fill_
from .initializer import initialize
from .names import manifest
from .naming import by_name
from .recorder import CannotRecord, record

__all__ = [
    "CannotRecord",
    "Recording",
    "by_name",
    "fill_",
    "init",
    "initialize",
    "manifest",
    "meta_parameters",
    "record",
    "skip_init",
]


def __dir__() -> list[str]:
    return __all__
