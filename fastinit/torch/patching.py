"""What fastinit does in the place of a function of `torch.nn.init`, and `patch`, which has those do it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.nn.init import calculate_gain

from fastinit import init
from fastinit._arrays import is_sharded
from fastinit._tables import kept
from fastinit.init.seeds import generator_of

from . import hooks
from .filling import fill_
from .sharding import local

__all__ = ["filled", "patch"]


@contextmanager
def patch(generator: Any = None) -> Iterator[None]:
    """Context in which the functions of `torch.nn.init` are fastinit's, for unchanged code.

    All calls in this thread, also by references that libraries have taken before, draw from one generator, in
    their order. A call that gives its own generator draws from that. Of contexts within each other, the
    innermost acts, `by_name` and `record` included. Other threads and the methods of tensors, such as
    ``tensor.normal_()``, stay torch's.

    Parameters
    ----------
    generator : torch.Generator, fastinit.random.Generator, numpy.random.Generator or int, optional
        Torch's gives one seed, on entry, and None takes it from torch's default generator.

    Examples
    --------
    >>> with patch(7):
    ...     linear = torch.nn.Linear(3, 2, bias=False)
    >>> same = init.kaiming_uniform_(torch.empty(2, 3), a=5**0.5, generator=7)
    >>> bool((linear.weight == same).all())
    True
    """
    tracker = Patch(generator_of(torch.default_generator if generator is None else generator))
    hooks.install(tracker)
    try:
        yield
    finally:
        hooks.remove(tracker)


#: Those that take no generator.
_CONSTANT = ("constant_", "eye_", "dirac_")

#: Those whose errors do not depend on the number of elements, and are the same without any.
_SHAPELESS = ("uniform_", "normal_", "trunc_normal_", "constant_", "sparse_")

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Patch:
    """A tracker whose law is fastinit's fill."""

    laws = frozenset(init.__all__) - {"ones_", "zeros_"}  # torch's write the same bits

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def law(self, name: str, original: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = hooks.arguments_of(name, args, kwargs)
        tensor, generator = arguments.pop("tensor"), arguments.pop("generator", None)
        if not _is_memory(tensor):
            return _left(name, original, tensor, generator, arguments)
        return _written(name, tensor, self._generator if generator is None else generator, arguments)


def filled(name: str, tensor: Any, generator: Any = None, **arguments: Any) -> Any:
    """Do what a function of `fastinit.torch.init` does, or what the innermost context makes of torch's."""
    contexts = hooks.active()
    decided = contexts and (_is_torchs(generator) or not isinstance(contexts[-1], Patch))
    if decided or not _is_memory(tensor):
        return _left(name, hooks.seen_by(contexts, name), tensor, generator, arguments)
    return _written(name, tensor, generator, arguments)


def _left(name: str, theirs: Any, tensor: Any, generator: Any, arguments: dict[str, Any]) -> Any:
    """Leave a tensor to torch's function, or to a context."""
    if not _is_torchs(generator):
        if getattr(tensor, "is_complex", bool)():
            raise TypeError(f"{name} of a {tensor.dtype} tensor draws from a generator of torch alone")
        generator = None
    try:
        return theirs(tensor, **arguments, **_drawing(name, generator))
    except DataDependentOutputException:  # a FakeTensor has no values outside the bounds to draw again
        return tensor


def _is_torchs(generator: Any) -> bool:
    return generator is None or isinstance(generator, torch.Generator)


def _written(name: str, tensor: Tensor, generator: Any, arguments: dict[str, Any]) -> Tensor:
    """Fill a tensor that has memory. An error is torch's, if that has one for these arguments."""
    try:
        initializer = _initializer(name, **arguments)
        if tensor.is_cpu or is_sharded(tensor):
            initializer.fill_(tensor, generator)
        else:
            fill_(tensor, initializer, generator)
    except (OverflowError, TypeError, ValueError) as error:
        raise _refusal(name, tensor, arguments) or error from None
    return tensor


@kept
def _initializer(name: str, **arguments: Any) -> init.Initializer:
    """Return the initialiser that does what a function of `torch.nn.init` does."""
    if "nonlinearity" in arguments:  # fastinit has gains that torch lacks
        calculate_gain(arguments["nonlinearity"], arguments["a"])
    initializer: init.Initializer = getattr(init, name).initializer(**arguments)
    return initializer


def _drawing(name: str, generator: Any) -> dict[str, Any]:
    return {} if name in _CONSTANT else {"generator": generator}


def _is_memory(tensor: Any) -> bool:
    """Whether an object is a tensor with elements in memory, of a dtype that fastinit fills."""
    if not isinstance(tensor, Tensor) or tensor.dtype not in _DTYPES:
        return False
    if (part := local(tensor)) is None:
        part = tensor
    kind: Any = type(part)
    return _is_plain(kind) and part.layout is torch.strided and not part.is_meta and tensor.numel() > 0


@functools.cache
def _is_plain(kind: Any) -> bool:
    """Whether a class of tensors overrides neither functions nor operators, as FakeTensor does."""
    functions = getattr(kind.__torch_function__, "__func__", kind.__torch_function__)
    plain = (torch._C._disabled_torch_function_impl, Tensor.__torch_function__.__func__)
    return functions in plain and kind.__torch_dispatch__ is Tensor.__torch_dispatch__


def _refusal(name: str, tensor: Tensor, arguments: dict[str, Any]) -> Exception | None:
    """Return the error of torch's function for arguments that fastinit refuses, or None if it has none.

    It gets a tensor without elements or memory, or one whose elements share memory, which it does not write.
    """
    spread = any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    if spread and name not in _CONSTANT:
        probe, arguments = tensor, arguments | {"generator": torch.Generator(tensor.device)}
    elif name in _SHAPELESS:
        probe = torch.empty((0,) * max(tensor.dim(), 1), dtype=tensor.dtype, device="cpu")
    else:
        probe = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    try:
        hooks.original(name)(probe, **arguments)
    except Exception as error:
        return error
    return None
