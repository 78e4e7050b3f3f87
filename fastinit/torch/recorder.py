"""`record`: what a module's own code does to each tensor, without running it on real weights."""

from __future__ import annotations

import contextlib
import copy
import functools
import glob
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fastinit._arrays import is_sharded
from fastinit.checkpoint import Recording, Rule, TensorSpec
from fastinit.checkpoint.buffers import packed
from fastinit.checkpoint.views import View

from . import own
from .describing import Unclear, describe
from .files import Files, leaves
from .hooks import own_arguments
from .joining import pieces_of
from .models import Model, Saved, quiet, saved_by
from .names import Named, check_parameters, named_tensors, spec_of
from .rules import numbers_of, rule_of, short_spec, view_of
from .standins import stand_in, stand_ins
from .tracker import Call, Geometry, Ref, Tracker, covers, name_of
from .values import NoValue, Readable, value_of

__all__ = ["CannotRecord", "record", "record_in_place", "record_model", "recording_in_place"]

#: The most bytes of a table that a recording stores.
MAX_TABLE = 64 << 20

_SMALL = 1 << 16


class CannotRecord(ValueError):
    """What a model's own code does to a tensor cannot be said in rules."""


def record(source: nn.Module | Callable[[], nn.Module], *, device: str = "meta") -> Recording:
    """Record how a module's own code initialises each tensor.

    Parameters
    ----------
    source : Module or callable
        A module: its own initialisation is recorded, as `initialize` runs it, on a copy without memory. A
        callable that returns a module: its construction is recorded, and ``initialize_weights()``, if the
        module has that (transformers skips it on the meta device).
    device : {"meta", "cpu"}
        "meta" builds the model without memory. "cpu" really builds it, which takes its memory and time;
        tensors that no rules describe are then stored as they are.

    Returns
    -------
    Recording

    Raises
    ------
    CannotRecord
        No rules describe what the code does to a tensor, or a table is above 64 MB.

    Notes
    -----
    A random fill becomes a rule with the distribution and parameters that the code asks for; scales, shifts,
    bounds, and fills of parts become steps. A table, such as of positions, is computed once and stored.

    Examples
    --------
    >>> print(record(lambda: nn.Embedding(10, 4, padding_idx=0)))
    match   tensors  init
    weight  1        normal then=[0] = zeros
    """
    if isinstance(source, nn.Module):
        if any(is_sharded(each.tensor) for each in named_tensors(source)):  # FSDP2 lets no one copy
            return _consistent(functools.partial(_recorded_in_place, source, own.run, None), device)
        return _consistent(functools.partial(_recorded_module, source), device)
    return record_model(Model(source, _nothing), device=device)


def record_model(model: Model, *, device: str = "meta") -> Recording:
    """Return the recording of a model as its library saves it: names on disk, and the files beside them.

    `model.save` may save nothing. The names are then those of the module.
    """
    return _consistent(functools.partial(_recorded, model), device)


def record_in_place(module: nn.Module, code: Callable[[nn.Module], object]) -> tuple[Recording, set[str]]:
    """Return what code does to a module that has stand-ins, and the names of the tensors that it fills."""
    filled: set[str] = set()
    return _consistent(functools.partial(_recorded_in_place, module, code, filled), "meta"), filled


@contextlib.contextmanager
def recording_in_place(module: nn.Module) -> Iterator[Callable[[], tuple[Recording, set[str]]]]:
    """Context in which a module has stand-ins. Afterwards the function returns as `record_in_place`."""
    recorder = _Recorder("meta")
    filled: set[str] = set()
    with recorder.in_place(module, filled):
        yield lambda: (recorder.found, filled)


def _consistent(recorded: Callable[[str, int], tuple[Recording, set[str]]], device: str) -> Recording:
    """Record, and once more if the values may not come from torch. CannotRecord if they differ."""
    first, outside = recorded(device, 0)
    if not outside and device == "meta":
        return first
    # What does not come from torch, and numbers that code has read, show when all is drawn otherwise.
    again, _ = recorded(device, 1)
    rules = {rule.match: rule for rule in again.rules}
    for rule in first.rules:
        name = rule.match
        if rules.get(name) != rule and not any(note.startswith(f"{name}: stored") for note in first.notes):
            raise CannotRecord(f"{name}: differs from one construction to the next (numpy.random?)")
    return first


def _recorded(model: Model, device: str, seed: int) -> tuple[Recording, set[str]]:
    recorder = _Recorder(device, seed)
    with recorder.recording(), quiet():
        module = model.build()
        if not isinstance(module, nn.Module):
            raise TypeError(f"the callable returned no torch.nn.Module, but {type(module).__name__}")
        if callable(getattr(module, "initialize_weights", None)):
            own.run(module)
        saved = saved_by(model, module)
    return recorder.result(named_tensors(module), saved), recorder.outside


def _recorded_module(source: nn.Module, device: str, seed: int) -> tuple[Recording, set[str]]:
    recorder = _Recorder(device, seed)
    module = recorder.twin(source)
    check_parameters(named_tensors(module))
    with recorder.recording():
        own.without_parametrizations(module, lambda: own.run(module), recorder.tracker)
    return recorder.result(named_tensors(module)), recorder.outside


def _recorded_in_place(
    module: nn.Module, code: Callable[[nn.Module], object], filled: set[str] | None, device: str, seed: int
) -> tuple[Recording, set[str]]:
    recorder = _Recorder(device, seed)
    with recorder.in_place(module, filled):
        own.without_parametrizations(module, lambda: code(module), recorder.tracker)
    return recorder.found, recorder.outside


def _nothing(module: nn.Module, folder: str) -> None:
    """Save nothing."""


class _Tracker(Tracker):
    """A tracker that lets the hooked functions of `torch.nn.init` draw nothing."""

    def write(
        self, function: Any, target: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if is_sharded(target):
            raise TypeError("a DTensor is written that is none of the module's: take it from the module here")
        return super().write(function, target, args, kwargs)

    def law(self, name: str, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        values = inspect.signature(original).bind(*args, **kwargs)
        values.apply_defaults()
        tensor = values.arguments["tensor"]
        if not tensor.is_meta:  # real values, for code that reads them
            with torch.utils._python_dispatch._disable_current_modes():
                original(*args, **kwargs)
        return self.write(name, tensor, (tensor,), own_arguments(values.arguments))


class _Recorder:
    def __init__(self, device: str, seed: int = 0) -> None:
        if device not in ("meta", "cpu"):
            raise ValueError(f'device must be "meta" or "cpu", not {device!r}')
        self._device = device
        self._seed = seed
        self.tracker = _Tracker()
        self._files = Files()
        self._names: dict[int, tuple[str, tuple[int, ...]]] = {}
        self._owners: dict[int, str] = {}  # the id of a draw -> the first tensor that it is in
        self.outside: set[str] = set()
        self._notes: list[str] = []

    def twin(self, module: nn.Module) -> nn.Module:
        """Return a copy of a module on the meta device, which remembers the values of its buffers."""
        memo: dict[int, Any] = {
            id(each.tensor): stand_in(each.tensor, self.tracker) for each in named_tensors(module)
        }
        for each, hook, _ in own.reparametrized(module):
            weight = getattr(each, hook.name)  # no leaf, which deepcopy refuses
            memo[id(weight)] = torch.empty_like(weight, device="meta")
        for each in module.modules():
            for weight in getattr(each, "_flat_weights", ()):  # of torch's recurrent modules
                if weight is not None and not weight.is_leaf:
                    memo[id(weight)] = torch.empty_like(weight, device="meta")
        return copy.deepcopy(module, memo)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Context in which operations are recorded."""
        try:
            with (
                torch.random.fork_rng(devices=[]),
                torch.no_grad(),
                self.tracker,
                self._files,
                contextlib.ExitStack() as stack,
            ):
                torch.default_generator.manual_seed(self._seed)
                if self._device == "meta":
                    stack.enter_context(torch.device("meta"))
                stack.enter_context(Readable(self.tracker))
                yield
        except (NoValue, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "meta" not in str(error).lower():
                raise
            raise CannotRecord(f'{error}; device="cpu" records while the model is really built') from None

    @contextlib.contextmanager
    def in_place(self, module: nn.Module, filled: set[str] | None) -> Iterator[None]:
        """Context in which a module has stand-ins. What happens to them is `found` afterwards.

        If there is a set `filled`, only what is filled is recorded, and its names go there.
        """
        with stand_ins(module, self.tracker):
            own.forget_initialized(module)
            with self.recording():
                yield
            tensors = named_tensors(module)
            if filled is not None:
                written = (each for each in tensors if each.tensor.numel())
                tensors = [each for each in written if self.tracker.filled(each.tensor)]
                filled.update(each.name for each in tensors)
            self.found = self.result(tensors)

    def result(self, tensors: list[Named], saved: Saved | None = None) -> Recording:
        """Return the recording of tensors of a module that was built or initialised, and perhaps saved."""
        check_parameters(tensors)
        for each in tensors:
            self._names[_key(each.tensor)] = (each.name, tuple(each.tensor.shape))
        # A draw belongs to the tensor in whose own memory it was made.
        for own_only in (True, False):
            for each in tensors:
                self._claim(each, own_only=own_only)
        if saved is None:
            rules = [self._rule(each.name, each.tensor) for each in tensors]
            specs = [spec_of(each.name, each.tensor) for each in tensors if each.persistent]
            return Recording.of(specs, rules, self._notes)
        rules = [self._rule(name, tensor) for name, tensor in saved.tensors.items()]
        specs = [spec_of(name, tensor) for name, tensor in saved.tensors.items()]
        return Recording.of(specs, rules, self._notes, stem=saved.stem, files=saved.files)

    def _claim(self, named: Named, *, own_only: bool) -> None:
        history = self.tracker.history(named.tensor)
        with contextlib.suppress(Unclear):
            for draw in describe(history).draws if history else []:
                if not own_only or any(draw is call for call in history):
                    self._owners.setdefault(id(draw), named.name)

    def _rule(self, name: str, tensor: torch.Tensor) -> Rule:
        ref = self.tracker.ref(tensor)
        spec = spec_of(name, tensor)
        try:
            if (reader := self._files.reader_of(ref)) is not None:
                raise Unclear(f"{reader}, which reads a file")
            if not any(call.random for call in ref.history):
                return self._fixed(spec, ref)
            if (rule := self._of_another(spec, ref)) is not None:
                return rule
            if spec.floating is None:
                raise Unclear(f"a draw into {spec.dtype}")
            if not ref.dense:
                raise Unclear("memory that is shared, or in another dtype")
            found = describe(ref.history, ref.geometry)
            own_name, _ = self._names.get(ref.key, (name, ()))
            same_as = self._same_as(own_name, found.draws) or own_name
            return rule_of(name, found.events, spec.shape, same_as=None if same_as == name else same_as)
        except (Unclear, NoValue) as error:
            if self._device == "cpu":
                self._notes.append(f"{name}: stored as torch made it ({error})")
                return self._table(spec, tensor.detach())
            raise CannotRecord(
                f'{name}: cannot be recorded: {error}; device="cpu" records while the model is really built'
            ) from None

    def _same_as(self, name: str, draws: list[Call]) -> str | None:
        owners = {self._owners.get(id(draw), name) for draw in draws}
        if len(owners) > 1:
            raise Unclear("draws of several tensors")
        return next((owner for owner in owners if owner != name), None)

    def _of_another(self, spec: TensorSpec, ref: Ref) -> Rule | None:
        """Return the rule of a tensor that is a part of a named one, or a norm of it."""
        source, norm = _origin(ref)
        if norm is None and (pieces := pieces_of(source)) is not None:
            return self._of_several(spec, *pieces)
        known = self._names.get(source.key)
        if known is None or known[0] == spec.name or (norm is None and source.full):
            return None
        name, shape = known
        events = describe(source.history).events
        if norm is None:
            view = view_of(source.geometry, shape).text(())
        else:
            view = f"{source.geometry.sizes}.norm({', '.join(map(str, norm))})"
            self._notes.append(f"{spec.name}: a norm of {name}, in NumPy's arithmetic")
        return rule_of(spec.name, events, shape, same_as=name, view=view)

    def _of_several(self, spec: TensorSpec, pieces: list[Ref], axis: int) -> Rule:
        """Return the rule of a tensor that is made of named ones, or parts of them, along an axis."""
        parts, rules = [], []
        for number, piece in enumerate(pieces):
            source, norm = _origin(piece)
            name, shape = self._names.get(source.key, ("", ()))
            if norm is not None or not name:
                raise Unclear(f"piece {number} of a cat, which is no part of a tensor with a name")
            found = describe(source.history)
            stream = self._same_as(name, found.draws) or name
            view = view_of(source.geometry, shape)
            parts.append(f"{stream} {view.text(())}")
            rules.append(rule_of(spec.name, found.events, shape))
        if len(set(rules)) > 1:
            raise Unclear("a cat of tensors that begin in different ways")
        return replace(rules[0], parts=tuple(parts), axis=axis)

    def _fixed(self, spec: TensorSpec, ref: Ref) -> Rule:
        """Return the rule of a tensor that draws nothing."""
        if not spec.size:
            return Rule(glob.escape(spec.name), "zeros")
        if spec.nbytes <= _SMALL and (short := short_spec(value_of(ref))) is not None:
            return Rule(glob.escape(spec.name), short)
        if ref.history and (spec.floating is not None or spec.nbytes > MAX_TABLE):
            with contextlib.suppress(Unclear):
                events = describe(ref.history).events
                if ref.full and all(event.kind == "=" for event in events) and len(events) < 64:
                    return rule_of(spec.name, events, spec.shape)
        if spec.nbytes > MAX_TABLE:
            raise Unclear(f"a table of {spec.nbytes} bytes, above {MAX_TABLE}")
        if not all(leaf.history or leaf.tensor is None for leaf in (ref, *leaves(ref.history))):
            self.outside.add(spec.name)
        return self._table(spec, value_of(ref))

    def _table(self, spec: TensorSpec, value: torch.Tensor) -> Rule:
        """Return the rule of a tensor with known values."""
        if (short := short_spec(value)) is not None:
            return Rule(glob.escape(spec.name), short)
        return Rule(glob.escape(spec.name), "data", data=packed(numbers_of(value).reshape(-1)))


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _origin(ref: Ref) -> tuple[Ref, list[int] | None]:
    """Return the tensor of which another is a copy, or a norm along axes, with these axes."""
    while len(ref.history) == 1:
        (call,) = ref.history
        name = name_of(call.function)
        if name in ("clone", "_to_copy", "_unsafe_view", "copy_"):
            source = call.args[1 if name == "copy_" else 0]
            if not isinstance(source, Ref) or source.dtype != ref.dtype:
                break
            geometry = source.geometry if ref.full else _composed(ref.geometry, source.geometry)
            if geometry is None:
                break
            ref = source._replace(geometry=geometry)
        elif name in ("norm", "linalg_vector_norm") and call.args[1:2] in ((), (2,)) and call.args[0].full:
            source, deeper = _origin(call.args[0])
            if deeper is not None or not source.full:
                break
            of = call.args[0].geometry
            return source._replace(geometry=of), list(call.args[2] if call.args[2:] else range(len(of.sizes)))
        else:
            break
    return ref, None


def _composed(outer: Geometry, inner: Geometry) -> Geometry | None:
    """Return the geometry of a view of a contiguous copy in the memory of which `inner` was copied."""
    view = View.of_strides(inner.sizes, *outer)
    if view is None:
        return None
    if view.shape != inner.sizes:
        if not covers(inner._replace(offset=0), math.prod(inner.sizes)):
            return None
        return outer._replace(offset=outer.offset + inner.offset)
    kept = [axis for axis in view.order if len(view.axes[axis]) > 1]
    return Geometry(
        tuple(len(view.axes[axis]) for axis in kept),
        tuple(view.axes[axis].step * inner.strides[axis] for axis in kept),
        inner.offset + sum(axis.start * n for axis, n in zip(view.axes, inner.strides, strict=True)),
    )
