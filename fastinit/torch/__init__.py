"""A module's own initialisation with values by name, seed and place; its recording; models without fills.

`fastinit.torch.nn`, the activations, is imported on first use.
"""

from typing import TYPE_CHECKING, Any

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("fastinit.torch needs torch: pip install 'fastinit-engine[torch]'") from None

from fastinit.checkpoint import Recording

from . import init as init
from .calibrating import Calibration, Scaled, calibrate
from .construction import meta_parameters, skip_init
from .filling import fill_
from .initializer import initialize
from .names import manifest
from .naming import by_name
from .probing import Fault, Probe, probe
from .recorder import CannotRecord, record

if TYPE_CHECKING:
    from . import nn as nn

__all__ = [
    "Calibration",
    "CannotRecord",
    "Fault",
    "Probe",
    "Recording",
    "Scaled",
    "by_name",
    "calibrate",
    "fill_",
    "init",
    "initialize",
    "manifest",
    "meta_parameters",
    "probe",
    "record",
    "skip_init",
]


_SUBMODULES = ("nn",)

if not TYPE_CHECKING:  # it would hide that a name is misspelt

    def __getattr__(name: str) -> Any:
        if name in _SUBMODULES:
            from importlib import import_module

            return import_module(f"fastinit.torch.{name}")
        raise AttributeError(f"module 'fastinit.torch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_SUBMODULES]
