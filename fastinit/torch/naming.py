"""`by_name`: a module's own initialisation code, with values that depend on seed, name and place alone."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fastinit.checkpoint import TensorSpec
from fastinit.checkpoint.recipe import checked_seed
from fastinit.random import PCG64, Generator

from .describing import INEXACT, Event, Unclear, describe, events_of, truncated
from .filling import fill
from .hooks import active, own_arguments
from .names import check_parameters, named_tensors, spec_of
from .own import forget_initialized
from .rules import plan_of_events
from .sharded import by_recording, check_parts, has_shards
from .tracker import Call, Geometry, Tracker, covers, key_of, name_of

__all__ = ["Live", "by_name"]

_LAWS = {"bernoulli_", "normal_", "uniform_"}


def by_name(module: nn.Module, seed: int) -> contextlib.AbstractContextManager[object]:
    """Context in which each random value of a module's tensors follows from seed, name and place.

    The module's own code runs unchanged: element i of a parameter or buffer gets element i of the stream
    ``fold_in(name)``, each time that it is drawn. So neither the order nor the number of draws matters. A
    view gets the values of its place. What else the code does (scales, padding rows, tables) simply happens.
    On entry, transformers' marks of what it has initialised are removed, as its code skips these.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters and buffers have the names. They may be on any device.
    seed : int
        0 or more.

    Warns
    -----
    UserWarning
        On exit, if the code drew into a tensor that has no name: its values are torch's own.

    Raises
    ------
    TypeError
        A parameter is lazy, complex or an integer, or gathered by FSDP2, or a DTensor that is a partial sum.
    CannotRecord
        What the code does to a DTensor cannot be said in rules. Nothing has been written.

    Notes
    -----
    A module with DTensors, such as FSDP2's, shows its tensors whole inside the context: on the meta device,
    without values. At its end each rank fills its own parts of what the code has filled, without
    communication.

    Examples
    --------
    >>> linear = nn.Linear(3, 2)
    >>> with by_name(linear, 7):
    ...     linear.reset_parameters()
    >>> again = nn.Linear(3, 2)
    >>> with by_name(again, 7):
    ...     again.reset_parameters()
    ...     again.reset_parameters()
    >>> bool((linear.weight == again.weight).all())
    True
    """
    tensors = named_tensors(module)
    check_parts(module, tensors)
    return by_recording(module, seed) if has_shards(tensors) else Live(module, seed)


class Live(Tracker):
    """The context of `by_name`."""

    def __init__(self, module: nn.Module, seed: int) -> None:
        super().__init__(live=True)
        self.module = module
        self._root = Generator(PCG64(checked_seed(seed)))
        tensors = named_tensors(module)
        check_parameters(tensors)
        self._names: dict[int, tuple[str, torch.Tensor]] = {}
        for each in tensors:
            self.name(each.name, each.tensor)
        self._used: set[int] = set()  # ids of the draws that went into a named tensor
        self._outer: list[Live] = []  # this thread's other contexts

    def name(self, name: str, tensor: torch.Tensor) -> None:
        """Give a tensor's memory a name, unless it has one."""
        self._names.setdefault(key_of(tensor), (name, tensor))
        super().name(name, tensor)

    def __enter__(self) -> Live:
        forget_initialized(self.module)
        self._outer = [tracker for tracker in active() if isinstance(tracker, Live)]
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        if exception[0] is None:
            self._fill_replaced()
            self._warn()

    def law(self, name: str, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a function of `torch.nn.init` does."""
        values = inspect.signature(original).bind(*args, **kwargs)
        values.apply_defaults()
        tensor = values.arguments["tensor"]
        if self._named(tensor) is None or name in ("eye_", "dirac_"):
            return original(*args, **kwargs)
        return self.write(name, tensor, (tensor,), own_arguments(values.arguments))

    def perform(self, call: Call, target: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        named = self._named(target)
        if named is None or not target.is_floating_point():
            if target.is_meta or any(outer._named(target) for outer in self._outer):
                self._used.update(map(id, (call, *_draws_in(call))))
            return call.function(*args, **kwargs)
        if (found := self._inexact(call, target, named[1])) is not None:
            self._fill(*named, None, named[1], found)
            return target
        events = self._events(call, target)
        if events is None:
            return super().perform(call, target, args, kwargs)
        self._fill(*named, call.target, target, events)
        return target

    def _inexact(self, call: Call, target: torch.Tensor, owner: torch.Tensor) -> list[Event] | None:
        """Return the events of all of a named tensor, if an operation such as log makes random values.

        torch's log differs from the recording's in the last bits, so all is filled as the recording does.
        """
        if not (call.random or self.history(target)) or not self._names_inexact(call):
            return None
        overwrites = name_of(call.function) == "copy_" and covers(call.target, call.size)
        before = () if overwrites else self.history(target)
        try:
            events = describe((*before, call), Geometry.of(owner)).events
        except Unclear:
            return None
        return events if events and (events[0].kind, events[0].where) == ("=", None) else None

    def _names_inexact(self, call: Call) -> bool:
        """Whether an operation in place computes or copies what torch computes with other last bits."""
        try:
            return any(event.kind in INEXACT for event in events_of([call]))
        except Unclear:
            return False

    def _events(self, call: Call, target: torch.Tensor) -> list[Event] | None:
        """Return the events by which to fill a named tensor, or None if torch does the operation."""
        name = name_of(call.function)
        if name in _LAWS or isinstance(call.function, str):
            return [event._replace(where=None) for event in events_of([call])]
        try:
            if name == "copy_" and call.random:
                events = list(events_of([call]))
                # What a named tensor has drawn is copied as it is.
                if any(id(each.draw) in self._used for each in events if each.draw is not None):
                    return None
                here = (None, call.target)
                return [each._replace(where=None) if each.where in here else each for each in events]
            if name in ("clamp_", "clamp"):
                events = list(events_of([*self.history(target)[-4:], call]))
                if (spec := truncated(events)) is not None:
                    return [Event(None, "=", (spec,))]
        except Unclear:
            pass
        return None

    def _named(self, tensor: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        return self._names.get(key_of(tensor))

    def _fill(
        self,
        name: str,
        owner: torch.Tensor,
        where: Geometry | None,
        target: torch.Tensor,
        events: Sequence[Event],
    ) -> None:
        self._used.update(id(event.draw) for event in events)
        if target.is_meta:
            return
        spec = spec_of(name, owner)
        size = owner.untyped_storage().nbytes() // owner.element_size()
        if where is None or covers(where, size) or where == Geometry.of(owner):
            where = None
        rng = self._root.fold_in(name)
        spec = spec if where is None else _flat(spec, size)
        try:
            fill(target, plan_of_events(spec, events, where), rng)
        except Unclear:  # such as a diagonal: no slices
            if where is None:
                return
            full = torch.empty(size, dtype=owner.dtype)
            fill(full, plan_of_events(replace(spec, shape=(size,)), events), rng)
            target.copy_(torch.as_strided(full, *where))

    def _fill_replaced(self) -> None:
        """Fill what code has put in the place of a parameter, such as ``weight.data = torch.randn(...)``."""
        for name, tensor, *_ in named_tensors(self.module):
            history = self.history(tensor)
            if self._named(tensor) is not None or not history:
                continue
            try:
                events = describe(history).events
            except Unclear:
                continue
            self._fill(name, tensor, None, tensor.detach(), events)
            self.written.add(key_of(tensor))

    def _warn(self) -> None:
        left = [call for call in self.draws if id(call) not in self._used]
        if left:
            names = ", ".join(sorted({name_of(call.function) for call in left}))
            warnings.warn(
                f"{len(left)} draws into tensors without a name ({names}) are torch's own", stacklevel=3
            )


def _draws_in(call: Call) -> list[Call]:
    """Return the draws that an operation copies, if that is all it does with them."""
    try:
        return [event.draw for event in events_of([call]) if event.draw is not None]
    except Unclear:
        return []


def _flat(spec: TensorSpec, size: int) -> TensorSpec:
    return TensorSpec(spec.name, spec.dtype, spec.shape if spec.size == size else (size,))
