"""LeakyReLU and SELU for `torch.nn`'s, and functions with a fused bias, by the kernels of `fastinit.nn`."""

from . import functional as functional
from .modules import SELU, LeakyReLU

__all__ = ["SELU", "LeakyReLU", "functional"]
