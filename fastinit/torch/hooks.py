"""Calls of the functions of `torch.nn.init`, seen by this thread's trackers.

Libraries keep references to these functions, so a replaced attribute would be missed. While a tracker is at
work, each function's code hands the call to it; other threads run the code as it was.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from types import CodeType, FunctionType
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastinit import init

__all__ = [
    "HOOKED",
    "RANDOM",
    "HookedMode",
    "active",
    "arguments_of",
    "install",
    "original",
    "own_arguments",
    "remove",
    "seen_by",
    "spec_of",
]

#: The functions that draw.
RANDOM = ("trunc_normal_", "orthogonal_", "sparse_")

#: Those that a mode cannot see: they are more than one operation, or none on the meta device.
HOOKED = (*RANDOM, "eye_", "dirac_")
_lock = threading.Lock()
_active: list[Any] = []
_of_thread = threading.local()


def _copied(function: FunctionType) -> FunctionType:
    name, defaults, closure = function.__name__, function.__defaults__, function.__closure__
    return FunctionType(function.__code__, function.__globals__, name, defaults, closure)


_functions: dict[str, FunctionType] = {
    name: getattr(torch.nn.init, name) for name in torch.nn.init.__all__ if name.endswith("_")
}
_originals = {name: _copied(function) for name, function in _functions.items()}


def _parameters_of(function: FunctionType) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the names of a function's parameters, and the defaults of those that have one."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    return names, dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))


_parameters = {name: _parameters_of(function) for name, function in _originals.items()}


class HookedMode(TorchDispatchMode):
    """A mode that also sees the calls of some functions in its thread, by a method `law`."""

    laws: ClassVar[Set[str]] = frozenset(HOOKED)

    def __enter__(self) -> Any:
        install(self)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        remove(self)


def install(tracker: Any) -> None:
    """Let a tracker see this thread's calls of the functions in its `laws`, until `remove`."""
    trackers: list[Any] = _of_thread.__dict__.setdefault("trackers", [])
    trackers.append(tracker)
    with _lock:
        _active.append(tracker)
        if len(_active) == 1:
            # The code takes any arguments, so the defaults stay unread, and each thread sees one code or the
            # other.
            for name, function in _functions.items():
                function.__code__ = _code(name)


def remove(tracker: Any) -> None:
    """End what `install` began."""
    _of_thread.trackers.remove(tracker)
    with _lock:
        _active.remove(tracker)
        if not _active:
            for name, function in _functions.items():
                function.__code__ = _originals[name].__code__


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
    """Do what a function of `torch.nn.init` does, in the way of this thread's trackers."""
    return seen_by(active(), name)(*args, **kwargs)


def active() -> Sequence[Any]:
    """Return this thread's trackers, the innermost last."""
    return tuple(getattr(_of_thread, "trackers", ())) if _active else ()


def seen_by(trackers: Sequence[Any], name: str) -> Callable[..., Any]:
    """Return a function of `torch.nn.init` as trackers do it, the innermost last.

    A tracker's `law` takes it as those outside do it, for tensors that don't concern the tracker. A tracker
    without a law for it sees its operations.
    """
    function: Callable[..., Any] = _originals[name]
    for tracker in trackers:
        function = (
            functools.partial(tracker.law, name, function) if name in tracker.laws else _originals[name]
        )
    return function


def arguments_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call of a function of `torch.nn.init` by name, defaults included."""
    names, defaults = _parameters[name]
    given = dict(zip(names, args, strict=False)) | kwargs
    arguments = defaults | given
    if len(given) < len(args) + len(kwargs) or arguments.keys() != {*names}:
        inspect.signature(_originals[name]).bind(*args, **kwargs)  # 10 us; says what doesn't fit
    return arguments


def spec_of(name: str, arguments: dict[str, Any]) -> str:
    """Return the spec of the initialiser that does what a function of `torch.nn.init` does."""
    spec: str = getattr(init, name).initializer(**arguments).spec
    return spec


def own_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a function's arguments without its tensor and torch's generator."""
    return {key: value for key, value in arguments.items() if key not in ("tensor", "generator")}
