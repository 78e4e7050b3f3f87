"""The values of tensors on the meta device, if they don't depend on draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from . import hooks
from .tracker import Call, Ref, Tracker, elements, name_of, reads_shape_only, written_argument

__all__ = ["NoValue", "Readable", "refs_in", "value_of"]


class Readable(TorchFunctionMode):
    """Makes numbers of tensors on the meta device readable, if they don't depend on draws.

    NumPy may write to a tensor's memory unseen, so an array of a tensor on the meta device is read-only, and
    one of a real tensor becomes part of its history.
    """

    _MAKERS = frozenset({torch.tensor, torch.as_tensor, torch.asarray})
    _READERS = frozenset(
        {
            torch.Tensor.item,
            torch.Tensor.tolist,
            torch.Tensor.numpy,
            torch.Tensor.cpu,
            torch.Tensor.__bool__,
            torch.Tensor.__float__,
            torch.Tensor.__int__,
            torch.Tensor.__index__,
        }
    )

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in self._READERS and args[0].is_meta:
            value = value_of(self._tracker.ref(args[0]), name_of_reader(function))
            result = function(value, *args[1:], **kwargs)
            if isinstance(result, np.ndarray):
                result.flags.writeable = False
            return result
        result = function(*args, **kwargs)
        if function is torch.Tensor.numpy:
            self._tracker.unseen(args[0], "numpy")
        if function in self._MAKERS and result.is_meta and not (args and isinstance(args[0], torch.Tensor)):
            self._tracker.constant(result, function(*args, **{**kwargs, "device": "cpu"}))
        return result


def name_of_reader(function: Callable[..., Any]) -> str:
    """Return the name of a method as users write it."""
    return f"Tensor.{getattr(function, '__name__', function)}()"


class NoValue(Exception):
    """A tensor's value depends on draws, or on what was not seen."""


def value_of(ref: Ref, reader: str = "") -> torch.Tensor:
    """Return the value of a tensor, computed on the CPU. NoValue if it depends on draws."""
    if not ref.history:
        if ref.tensor is None or ref.tensor.is_meta:
            raise NoValue(f"{reader or 'a tensor'} needs a value on the meta device that no operation made")
        return ref.tensor.detach()
    # Memory that nothing wrote shows in its value: it is filled with one pattern, then with another.
    values = [
        torch.as_strided(_replayed(ref.history, reader, {}, pattern).view(ref.dtype), *ref.geometry)
        for pattern in (0x55, 0xAA)
    ]
    one, other = (each.contiguous().view(-1).view(torch.uint8) for each in values)
    if not torch.equal(one, other):
        raise NoValue(f"{reader or 'a value'} depends on memory that no operation wrote")
    return values[0]


def _replayed(
    history: tuple[Call, ...], reader: str, made: dict[tuple[int, ...], torch.Tensor], pattern: int
) -> torch.Tensor:
    """Return the elements of a storage after some calls. New memory has a byte pattern."""

    def real(value: Any) -> Any:
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if not isinstance(value, Ref):
            return value
        if reads_shape_only(call.function):
            sizes, strides, *_ = value.geometry
            return torch.empty_strided(sizes, strides, dtype=value.dtype, device="cpu")
        if not value.history:
            return value_of(value, reader)
        flat = _replayed(value.history, reader, made, pattern)
        return torch.as_strided(flat.view(value.dtype), *value.geometry)

    key = tuple(map(id, history))
    if key in made:
        return made[key]
    flat: torch.Tensor | None = None
    for call in history:
        if call.random:
            raise NoValue(f"{reader or 'a value'} depends on {_draw_in(history)}, which draws")
        if call.output is not None:
            args, kwargs = tree_map(real, (call.args, call.kwargs), is_leaf=_is_ref)
            flat = _flat(tree_leaves(call.function(*args, **kwargs))[call.output]).clone()
            if name_of(call.function).removeprefix("new_").startswith("empty"):
                flat.view(torch.uint8).fill_(pattern)
            continue
        written = 0 if isinstance(call.function, str) else written_argument(call.function) or 0
        given = dict(enumerate(call.args)) | call.kwargs
        flat = _before(call, given[written], pattern) if flat is None else flat
        given = {key: tree_map(real, each, is_leaf=_is_ref) for key, each in given.items() if key != written}
        given[written] = torch.as_strided(flat.view(call.dtype), *call.target)
        function = hooks.original(call.function) if isinstance(call.function, str) else call.function
        function(
            *(given[number] for number in range(len(call.args))), **{key: given[key] for key in call.kwargs}
        )
    assert flat is not None
    made[key] = flat
    return flat


def _draw_in(history: tuple[Call, ...]) -> str:
    """Return the name of the first operation that draws."""
    call = next(call for call in history if call.random)
    deeper = [ref.history for ref in refs_in(call) if any(each.random for each in ref.history)]
    return _draw_in(deeper[0]) if deeper else name_of(call.function)


def _is_ref(value: Any) -> bool:
    return isinstance(value, Ref)


def _before(call: Call, ref: Ref, pattern: int) -> torch.Tensor:
    """Return the elements of a storage before its first call."""
    if ref.tensor is not None:
        return _flat(ref.tensor).clone()
    flat = torch.empty(call.size, dtype=call.dtype, device="cpu")
    flat.view(torch.uint8).fill_(pattern)
    return flat


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's storage as one axis."""
    return torch.as_strided(tensor, (elements(tensor),), (1,), 0)


def refs_in(call: Call) -> Iterator[Ref]:
    """Yield the tensors that a call reads or writes."""
    yield from (leaf for leaf in tree_leaves((call.args, call.kwargs), is_leaf=_is_ref) if _is_ref(leaf))
