"""`Tracker`, a mode that sees how each tensor's values come to be, operation by operation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from . import hooks

__all__ = ["Call", "Geometry", "Ref", "Tracker", "key_of", "name_of", "value_of", "written_by"]


class Geometry(NamedTuple):
    """Where a tensor's elements lie in its storage: sizes, and strides and offset in elements."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Geometry:
        """Return that of a tensor."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())


class Ref(NamedTuple):
    """A tensor as an operation saw it.

    Attributes
    ----------
    history : tuple of Call
        The calls that made its storage until then; empty if no tracked call did.
    geometry : Geometry
    dtype : torch.dtype
    key : int
        The key of its storage.
    tensor : Tensor or None
        The tensor itself, if it has no history.
    """

    history: tuple[Call, ...]
    geometry: Geometry
    dtype: torch.dtype
    key: int
    tensor: torch.Tensor | None

    @property
    def full(self) -> bool:
        """Whether the tensor lists all elements of the storage, in order."""
        return bool(self.history) and covers(self.geometry, self.history[0].size)


class Call(NamedTuple):
    """One operation on a storage.

    Attributes
    ----------
    function : callable
        The operator of torch, or a string, the name of a function of `torch.nn.init`.
    args, kwargs
        Its arguments, with a `Ref` for each tensor.
    target : Geometry or None
        The elements that it writes in place; None if it makes the storage.
    output : int
        The number of the output, if it makes the storage.
    size : int
        The number of elements of the storage.
    random : bool
        Whether it, or what it reads, draws.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Geometry | None
    output: int
    size: int
    random: bool


class _Operator(NamedTuple):
    name: str
    random: bool
    written: int | str | None  # the argument that it writes
    views: bool  # whether it returns views of its arguments


@functools.cache
def _operator(function: Any) -> _Operator:
    schema = function._schema
    written: int | str | None = None
    for number, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written = argument.name if argument.kwarg_only else number
            break
    views = any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns)
    name = schema.name.partition("::")[2]
    return _Operator(name, torch.Tag.nondeterministic_seeded in function.tags, written, views)


def written_by(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the argument that an operator writes to, or None."""
    written = _operator(function).written
    return None if written is None else kwargs.get(written) if isinstance(written, str) else args[written]


def name_of(function: Any) -> str:
    """Return an operator's name, such as ``normal_``."""
    return function if isinstance(function, str) else _operator(function).name


def key_of(tensor: torch.Tensor) -> int:
    """Return a number that tensors share if they share memory."""
    return int(tensor.untyped_storage()._cdata)


def covers(geometry: Geometry, size: int) -> bool:
    """Whether a geometry lists all of a storage's elements in order."""
    expected = 1
    for length, stride in zip(reversed(geometry.sizes), reversed(geometry.strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return geometry.offset == 0 and expected == size


# In-place operators after which nothing of what was there is left.
_OVERWRITES = {"bernoulli_", "copy_", "eye", "fill_", "normal_", "uniform_", "zero_"}
_IGNORED = {"set_", "resize_", "record_stream", "_resize_output_"}


class Tracker(TorchDispatchMode):
    """Keeps the history of each storage that an operation writes.

    Parameters
    ----------
    live : bool
        Keep only what draws, or reads what was drawn: the values themselves are there.

    Attributes
    ----------
    draws : list of Call
        The random operations, in order.
    """

    def __init__(self, *, live: bool = False) -> None:
        super().__init__()
        self.live = live
        self.draws: list[Call] = []
        self._histories: dict[int, list[Call]] = {}
        self._kept: dict[int, torch.Tensor] = {}  # a storage's key is an address, so it must live

    def __enter__(self) -> Tracker:
        hooks.install(self)
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        hooks.remove(self)

    def history(self, tensor: torch.Tensor) -> tuple[Call, ...]:
        """Return the calls that made a tensor's storage."""
        return tuple(self._histories.get(key_of(tensor), ()))

    def ref(self, tensor: torch.Tensor) -> Ref:
        """Return what a tensor is now."""
        history = self.history(tensor)
        return Ref(history, Geometry.of(tensor), tensor.dtype, key_of(tensor), None if history else tensor)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operator = _operator(function)
        if operator.views or operator.name in _IGNORED:
            return function(*args, **kwargs)
        target = written_by(function, args, kwargs)
        if isinstance(target, torch.Tensor):
            return self.write(function, target, args, kwargs)
        call = self._call(function, args, kwargs)
        result = function(*args, **kwargs)
        if call.random or not self.live:
            for number, output in enumerate(tree_leaves(result)):
                if isinstance(output, torch.Tensor):
                    self._begin(output, call._replace(output=number, size=_elements(output)))
        if operator.random:
            self.draws.append(self.history(tree_leaves(result)[0])[0])
        return result

    def write(
        self, function: Any, target: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Do an operation in place, or a function of `torch.nn.init` by its name, and remember it."""
        call = self._call(function, args, kwargs, target)
        if function in hooks.RANDOM if isinstance(function, str) else _operator(function).random:
            self.draws.append(call)
        result = self.perform(call, target, args, kwargs)
        key = key_of(target)
        history = self._histories.get(key)
        whole = name_of(function) in _OVERWRITES or isinstance(function, str)
        if whole and call.target is not None and covers(call.target, call.size):
            if call.random or not self.live:
                self._begin(target, call)
            else:
                self._histories.pop(key, None)
        elif history is not None:
            history.append(call)
        elif call.random or not self.live:
            self._begin(target, call)
        return result

    def perform(self, call: Call, target: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do an operation that writes to `target`."""
        return target if isinstance(call.function, str) else call.function(*args, **kwargs)

    def constant(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """Remember the value of a tensor on the meta device that is made from Python's numbers."""
        ref = Ref((), Geometry.of(value), value.dtype, 0, value)
        self._begin(tensor, Call(torch.ops.aten.clone.default, (ref,), {}, None, 0, _elements(tensor), False))

    def _begin(self, tensor: torch.Tensor, call: Call) -> None:
        key = key_of(tensor)
        self._histories[key] = [call]
        self._kept[key] = tensor

    def _call(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: torch.Tensor | None = None,
    ) -> Call:
        refs: list[Ref] = []

        def seen(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            if written is not None and value is written:  # what was there matters only if the history has it
                return Ref((), Geometry.of(value), written.dtype, key_of(value), None)
            refs.append(self.ref(value))
            return refs[-1]

        args, kwargs = tree_map(seen, (args, kwargs))
        random = function in hooks.RANDOM if isinstance(function, str) else _operator(function).random
        random = random or any(call.random for ref in refs for call in ref.history)
        if written is None:
            return Call(function, args, kwargs, None, 0, 0, random)
        return Call(function, args, kwargs, Geometry.of(written), 0, _elements(written), random)


def _elements(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().nbytes() // tensor.element_size())


class Readable(TorchFunctionMode):
    """Makes numbers of tensors on the meta device readable, if they don't depend on draws."""

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
            return function(
                value_of(self._tracker.ref(args[0]), name_of_reader(function)), *args[1:], **kwargs
            )
        result = function(*args, **kwargs)
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
    flat = _replayed(ref.history, reader, {})
    return torch.as_strided(flat, *ref.geometry)


def _replayed(
    history: tuple[Call, ...], reader: str, made: dict[tuple[int, ...], torch.Tensor]
) -> torch.Tensor:
    """Return the elements of a storage after some calls."""
    key = tuple(map(id, history))
    if key in made:
        return made[key]

    def real(value: Any) -> Any:
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if not isinstance(value, Ref):
            return value
        if not value.history:
            return value_of(value, reader)
        return torch.as_strided(_replayed(value.history, reader, made), *value.geometry)

    *before, call = history
    if call.random:
        raise NoValue(f"{reader or 'a value'} depends on {_draw_in(history)}, which draws")
    if call.target is None:
        args, kwargs = tree_map(real, (call.args, call.kwargs), is_leaf=_is_ref)
        flat = _flat(tree_leaves(call.function(*args, **kwargs))[call.output])
    else:
        written = 0 if isinstance(call.function, str) else _operator(call.function).written or 0
        given = dict(enumerate(call.args)) | call.kwargs
        flat = _replayed(tuple(before), reader, made).clone() if before else _empty(call, given[written])
        given = {key: tree_map(real, each, is_leaf=_is_ref) for key, each in given.items() if key != written}
        given[written] = torch.as_strided(flat, *call.target)
        function = hooks.original(call.function) if isinstance(call.function, str) else call.function
        function(
            *(given[number] for number in range(len(call.args))), **{key: given[key] for key in call.kwargs}
        )
    made[key] = flat
    return flat


def _draw_in(history: tuple[Call, ...]) -> str:
    """Return the name of the first operation that draws."""
    call = next(call for call in history if call.random)
    deeper = [ref.history for ref in refs_in(call) if any(each.random for each in ref.history)]
    return _draw_in(deeper[0]) if deeper else name_of(call.function)


def _is_ref(value: Any) -> bool:
    return isinstance(value, Ref)


def _empty(call: Call, ref: Ref) -> torch.Tensor:
    if call.target is None or not covers(call.target, call.size):
        raise NoValue("a value depends on memory that no operation wrote")
    return torch.empty(call.size, dtype=ref.dtype)


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's storage as one axis."""
    return torch.as_strided(tensor, (_elements(tensor),), (1,), 0)


def refs_in(call: Call) -> Iterator[Ref]:
    """Yield the tensors that a call reads or writes."""
    yield from (leaf for leaf in tree_leaves((call.args, call.kwargs), is_leaf=_is_ref) if _is_ref(leaf))
