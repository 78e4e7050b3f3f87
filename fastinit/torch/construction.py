"""Contexts for the construction of models whose values come later."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from . import hooks
from .memory import with_large_pages
from .tracker import key_of, written_by

__all__ = ["meta_parameters", "skip_init"]


@contextlib.contextmanager
def meta_parameters() -> Iterator[None]:
    """Context in which modules are built with parameters on the meta device, and real buffers.

    So buffers that only the constructor fills, such as masks and tables of positions, are there when
    `initialize` fills the parameters. Parameters take no memory and no time.

    Examples
    --------
    >>> with meta_parameters():
    ...     norm = nn.BatchNorm1d(3)
    >>> norm.weight.device.type, norm.running_var
    ('meta', tensor([1., 1., 1.]))
    """

    def on_meta(parameter: nn.Parameter) -> nn.Parameter:
        if parameter.is_meta:
            return parameter
        meta = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        meta.__dict__.update(parameter.__dict__)
        return meta

    with _registering(on_meta):
        yield


@contextlib.contextmanager
def skip_init() -> Iterator[None]:
    """Context in which modules are built without filling their parameters, which takes most of the time.

    Parameters have memory with anything in it, and buffers are as always.

    Examples
    --------
    >>> with skip_init():
    ...     linear = nn.Linear(1000, 1000)
    """
    skip = _Skip()
    with _registering(skip.register), skip:
        yield


@contextlib.contextmanager
def _registering(seen: Callable[[nn.Parameter], nn.Parameter]) -> Iterator[None]:
    """Context in which this thread's new parameters pass through a function as modules register them."""
    register = nn.Module.register_parameter
    thread = threading.get_ident()

    def registered(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        lazy = isinstance(parameter, nn.UninitializedParameter)  # has no memory before the first call
        if parameter is not None and not lazy and threading.get_ident() == thread:
            parameter = seen(parameter)
        register(module, name, parameter)

    nn.Module.register_parameter = registered
    try:
        yield
    finally:
        nn.Module.register_parameter = register


class _Skip(hooks.HookedMode):
    """Leaves out every operation that writes to a registered parameter."""

    def __init__(self) -> None:
        super().__init__()
        self._parameters: dict[int, nn.Parameter] = {}

    def register(self, parameter: nn.Parameter) -> nn.Parameter:
        self._parameters[key_of(parameter)] = with_large_pages(parameter)
        return parameter

    def law(self, name: str, original: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what a function of `torch.nn.init` does, unless to a parameter."""
        tensor = args[0] if args else kwargs["tensor"]
        return tensor if key_of(tensor) in self._parameters else original(*args, **kwargs)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        target = written_by(function, args, kwargs or {})
        if isinstance(target, torch.Tensor) and key_of(target) in self._parameters:
            return target
        return function(*args, **(kwargs or {}))
