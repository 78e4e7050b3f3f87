"""`torch.nn` with LeakyReLU and SELU by the kernels of `fastinit.nn`, and `init` with fastinit's values.

`functional` also has functions with a fused bias. Every other name is torch's own, so that
``import fastinit.torch.nn as nn`` takes the place of ``import torch.nn as nn``.
"""

from typing import TYPE_CHECKING, Any

import torch

from .. import init as init
from . import functional as functional
from .layers import SELU, LeakyReLU

__all__ = ["SELU", "LeakyReLU", "functional", "init"]

if not TYPE_CHECKING:  # it would hide that a name is misspelt

    def __getattr__(name: str) -> Any:
        return getattr(torch.nn, name)
