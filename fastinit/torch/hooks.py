"""Functions of `torch.nn.init` whose law is more than one operation.

`trunc_normal_`, `orthogonal_` and `sparse_` do nothing on the meta device, so no mode can see them. Libraries
keep references to them, so a replaced attribute would be missed. While a tracker is at work, each function's
code hands the call to it; other threads run the code as it was.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastinit import init
from fastinit.init.schemes import standard_bounds

__all__ = ["HOOKED", "RANDOM", "HookedMode", "original", "own_arguments", "spec_of"]

#: The functions that draw.
RANDOM = ("trunc_normal_", "orthogonal_", "sparse_")

#: The functions that a tracker sees.
HOOKED = (*RANDOM, "eye_", "dirac_")
_lock = threading.Lock()
_hooked: list[FunctionType] = []
_originals: dict[str, FunctionType] = {}
_active: list[Any] = []
_of_thread = threading.local()


class HookedMode(TorchDispatchMode):
    """A mode that also sees the calls of hooked functions in its thread, by a method `law`."""

    def __enter__(self) -> Any:
        install(self)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        remove(self)


def install(tracker: Any) -> None:
    """Let a tracker see this thread's calls until `remove`."""
    trackers: list[Any] = _of_thread.__dict__.setdefault("trackers", [])
    trackers.append(tracker)
    with _lock:
        _active.append(tracker)
        if len(_active) == 1:
            for name in HOOKED:
                _hook(name, getattr(torch.nn.init, name))


def remove(tracker: Any) -> None:
    """End what `install` began."""
    _of_thread.trackers.remove(tracker)
    with _lock:
        _active.remove(tracker)
        while _hooked and not _active:
            function = _hooked.pop()
            function.__code__ = _originals[function.__name__].__code__


def _hook(name: str, function: FunctionType) -> None:
    _originals[name] = FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
    )
    # The code takes any arguments, so the defaults stay unread, and each thread sees one code or the other.
    function.__code__ = _code(name)
    _hooked.append(function)


def _code(name: str) -> CodeType:
    """Return the code of a function that calls `called` with a name and its own arguments."""

    def hooked(*args: Any, **kwargs: Any) -> Any:
        from fastinit.torch.hooks import called

        return called("NAME", args, kwargs)

    code = hooked.__code__
    constants = tuple(name if constant == "NAME" else constant for constant in code.co_consts)
    return code.replace(co_consts=constants, co_name=name)


def original(name: str) -> FunctionType:
    """Return a function of `torch.nn.init` as it is without a tracker."""
    return _originals[name]


def called(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do what a function of `torch.nn.init` does, in the way of this thread's tracker."""
    function: Any = _originals[name]
    for tracker in active():
        function = _seen_by(tracker, name, function)
    return function(*args, **kwargs)


def active() -> Sequence[Any]:
    """Return this thread's trackers, the innermost last."""
    return tuple(getattr(_of_thread, "trackers", ()))


def _seen_by(tracker: Any, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as a tracker does it; `function` is for tensors that don't concern the tracker."""

    @functools.wraps(function)
    def seen(*args: Any, **kwargs: Any) -> Any:
        return tracker.law(name, function, args, kwargs)

    return seen


def spec_of(name: str, arguments: dict[str, Any]) -> str:
    """Return the spec of the initialiser that does what a function of `torch.nn.init` does."""
    if name == "trunc_normal_":
        return init.get("truncated_normal", **standard_bounds(**arguments)).spec
    return init.get(name.removesuffix("_"), **arguments).spec


def own_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a function's arguments without its tensor and torch's generator."""
    return {key: value for key, value in arguments.items() if key not in ("tensor", "generator")}
