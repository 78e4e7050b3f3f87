# Submodules are imported on first use. A module's __getattr__ would hide that a name is misspelt.
from typing import Any, Literal, overload

from . import checkpoint as checkpoint
from . import cli as cli
from . import dask as dask
from . import init as init
from . import jax as jax
from . import keras as keras
from . import nn as nn
from . import propagation as propagation
from . import random as random
from . import torch as torch
from ._threads import get_num_threads as get_num_threads
from ._threads import set_num_threads as set_num_threads
from .propagation import propagate as propagate

__all__ = ["CONTRACT", "__version__", "get_num_threads", "set_num_threads", "show_config"]

__version__: str
CONTRACT: int

@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
