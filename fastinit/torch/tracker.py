"""`Tracker`, a mode that sees how each tensor's values come to be, operation by operation."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_leaves, tree_map

from . import hooks

__all__ = [
    "Call",
    "Geometry",
    "Ref",
    "Tracker",
    "covers",
    "elements",
    "key_of",
    "name_of",
    "reads_shape_only",
    "written_argument",
    "written_by",
]


class Geometry(NamedTuple):
    """Where a tensor's elements lie in its storage: sizes, and strides and offset in elements."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Geometry:
        """Return that of a tensor."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())

    def in_order(self) -> Geometry:
        """Return the same elements, in the order in which they lie in memory."""
        axes = sorted(range(len(self.sizes)), key=lambda axis: -self.strides[axis])
        sizes, strides = (tuple(each[axis] for axis in axes) for each in (self.sizes, self.strides))
        return Geometry(sizes, strides, self.offset)


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
        """Whether the tensor lists all elements of the storage, in order and as they were written."""
        return self.dense and covers(self.geometry, self.history[0].size)

    @property
    def dense(self) -> bool:
        """Whether the tensor has all elements of the storage, in any order, as they were written."""
        same = all(call.dtype == self.dtype for call in self.history)
        return bool(self.history) and same and covers(self.geometry.in_order(), self.history[0].size)


class Call(NamedTuple):
    """One operation on a storage.

    Attributes
    ----------
    function : callable
        The operator of torch, or a string, the name of a function of `torch.nn.init`.
    args, kwargs
        Its arguments, with a `Ref` for each tensor.
    target : Geometry
        The elements that it writes in place, or those of the tensor that it makes.
    output : int or None
        The number of the output, if it makes the storage.
    size : int
        The number of elements of the storage.
    random : bool
        Whether it, or what it reads, draws.
    dtype : torch.dtype
        That of the elements that it writes.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Geometry
    output: int | None
    size: int
    random: bool
    dtype: torch.dtype


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


def written_argument(function: Any) -> int | str | None:
    """Return the number or the name of the argument that an operator writes to, or None."""
    return _operator(function).written


def written_by(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the argument that an operator writes to, or None."""
    written = written_argument(function)
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


#: In-place operators after which nothing of what was there is left.
OVERWRITES = {"bernoulli_", "copy_", "eye", "fill_", "normal_", "uniform_", "zero_"}
_IGNORED = {"set_", "resize_", "record_stream", "_resize_output_"}


class Tracker(hooks.HookedMode):
    """Keeps the history of each storage that an operation writes.

    Parameters
    ----------
    live : bool
        Keep only what draws, or reads what was drawn: the values themselves are there.

    Attributes
    ----------
    draws : list of Call
        The random operations, in order.
    written : set of int
        The keys of the storages that operations wrote in place.
    """

    def __init__(self, *, live: bool = False) -> None:
        super().__init__()
        self.live = live
        self.draws: list[Call] = []
        self.written: set[int] = set()
        self._named_keys: set[int] = set()
        self._storages: list[Any] = []  # a key is an address, so it must live
        self._histories: dict[int, list[Call]] = {}
        self._kept: dict[int, torch.Tensor] = {}  # a storage's key is an address, so it must live

    def name(self, name: str, tensor: torch.Tensor) -> None:
        """Say that a tensor has a name. What was written to its memory before does not count."""
        self._named_keys.add(key_of(tensor))
        self._storages.append(tensor.untyped_storage())
        self.written.discard(key_of(tensor))

    def filled(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor with a name was written, or has been given other memory."""
        return key_of(tensor) in self.written or key_of(tensor) not in self._named_keys

    def history(self, tensor: torch.Tensor) -> tuple[Call, ...]:
        """Return the calls that made a tensor's storage."""
        return tuple(self._histories.get(key_of(tensor), ()))

    def ref(self, tensor: torch.Tensor) -> Ref:
        """Return what a tensor is now."""
        history = self.history(tensor)
        kept = None if history else tensor if self.live or tensor.is_meta else _snapshot(tensor)
        return Ref(history, Geometry.of(tensor), tensor.dtype, key_of(tensor), kept)

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
        for each in target or ():  # a list, as of torch._foreach_mul_
            self.unseen(each, operator.name)
        call = self._call(function, args, kwargs)
        result = function(*args, **kwargs)
        if call.random or not self.live:
            for number, output in enumerate(tree_leaves(result)):
                if isinstance(output, torch.Tensor):
                    self._begin(output, _made(call, output, number))
        if operator.random:
            self.draws.append(self.history(tree_leaves(result)[0])[0])
        return result

    def write(
        self, function: Any, target: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Do an operation in place, or a function of `torch.nn.init` by its name, and remember it."""
        self.written.add(key_of(target))
        call = self._call(function, args, kwargs, target)
        if function in hooks.RANDOM if isinstance(function, str) else _operator(function).random:
            self.draws.append(call)
        result = self.perform(call, target, args, kwargs)
        key = key_of(target)
        history = self._histories.get(key)
        whole = name_of(function) in OVERWRITES or isinstance(function, str)
        if whole and covers(call.target, call.size):
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
        clone = torch.ops.aten.clone.default
        made = Call(clone, (ref,), {}, ref.geometry, 0, 0, False, tensor.dtype)
        self._begin(tensor, _made(made, tensor))

    def unseen(self, tensor: torch.Tensor, name: str) -> None:
        """Remember that a tensor may be written to unseen, in a way that has a name."""
        history = self._histories.get(key_of(tensor), [])
        history.append(Call(name, (), {}, Geometry.of(tensor), None, elements(tensor), True, tensor.dtype))

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
                kept = None if self.live or value.is_meta or self.history(value) else _snapshot(value)
                return Ref((), Geometry.of(value), written.dtype, key_of(value), kept)
            refs.append(self.ref(value))
            return refs[-1]

        args, kwargs = tree_map(seen, (args, kwargs))
        random = function in hooks.RANDOM if isinstance(function, str) else _operator(function).random
        if not reads_shape_only(function):
            random = random or any(call.random for ref in refs for call in ref.history)
        call = Call(function, args, kwargs, Geometry((), (), 0), None, 0, random, torch.float32)
        if written is None:
            return call
        return call._replace(target=Geometry.of(written), size=elements(written), dtype=written.dtype)


def _made(call: Call, tensor: torch.Tensor, output: int = 0) -> Call:
    """Return a call as that which makes a tensor's storage."""
    return call._replace(target=Geometry.of(tensor), output=output, size=elements(tensor), dtype=tensor.dtype)


def reads_shape_only(function: Any) -> bool:
    """Whether an operator reads shapes, dtypes and devices, no values, as ``zeros_like`` does."""
    name = name_of(function)
    return name.endswith("_like") or name.startswith("new_")


def _snapshot(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's view of a copy of its memory, which may change later."""
    flat = torch.as_strided(tensor.detach(), (elements(tensor),), (1,), 0).clone()
    return torch.as_strided(flat, *Geometry.of(tensor))


def elements(tensor: torch.Tensor) -> int:
    """Return the number of elements of a tensor's storage."""
    return int(tensor.untyped_storage().nbytes() // tensor.element_size())
