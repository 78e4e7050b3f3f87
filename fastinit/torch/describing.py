"""Turns the history of a storage into an initialiser and steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fastinit import init

from .hooks import HOOKED, spec_of
from .tracker import Call, Geometry, Ref, covers, name_of
from .values import NoValue, value_of

__all__ = ["INEXACT", "Described", "Event", "Unclear", "describe", "events_of", "truncated"]


class Unclear(Exception):
    """A history that no initialiser and steps describe. Its text names the operation."""


class Event(NamedTuple):
    """What an operation does to some elements.

    Attributes
    ----------
    where : Geometry or None
        The elements; None for all.
    kind : str
        ``"="``, or the kind of a `fastinit.checkpoint.steps.Step`, or ``"erfinv"``.
    operands : tuple
        A spec for ``"="``, else numbers.
    draw : Call or None
        The call that draws, if any.
    """

    where: Geometry | None
    kind: str
    operands: tuple[Any, ...]
    draw: Call | None = None


class Described(NamedTuple):
    """The events that make a storage. The first fills all of it, unless nothing does."""

    events: list[Event]

    @property
    def draws(self) -> list[Call]:
        """The calls that draw."""
        return [event.draw for event in self.events if event.draw is not None]


_EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
_COPIES = {"clone", "_to_copy", "copy", "lift_fresh_copy", "contiguous"}
_ARITHMETIC = {"mul": "*", "div": "/", "true_divide": "/", "add": "+", "sub": "-"}
_FUNCTIONS = {"neg": "negative", "erfinv": "erfinv"} | {
    name: name for name in ("exp", "expm1", "log", "log1p", "reciprocal", "sqrt", "square")
}
#: Kinds that torch and NumPy compute with other last bits.
INEXACT = {*_FUNCTIONS.values(), "inverse_softplus"} - {"erfinv", "negative"}
_NOTHING = (("*", (1.0,)), ("/", (1.0,)), ("+", (0.0,)), ("-", (0.0,)))
_SQRT2 = math.sqrt(2.0)


def describe(history: Sequence[Call], order: Geometry | None = None) -> Described:
    """Return the events of a history, merged as far as they can be.

    Parameters
    ----------
    history : sequence of Call
    order : Geometry, optional
        All elements of the storage in the order of a tensor. The events are in this order, which all calls
        must have. By default it is that of the memory.

    Raises
    ------
    Unclear
        An operation has no event.
    """
    events = list(events_of(history))
    if order is not None and not covers(order, history[0].size):
        if any(event.where != order for event in events):
            raise Unclear("memory in another order")
        events = [event._replace(where=None) for event in events]
    described = Described(_merged(events))
    if len({*map(id, described.draws)}) < len(described.draws):
        raise Unclear("the same draw in several parts")
    return described


def events_of(history: Sequence[Call]) -> Iterator[Event]:
    """Yield the events of each call in turn."""
    for call in history:
        name = name_of(call.function)
        if call.dtype != history[0].dtype:
            raise Unclear(f"{name} of elements of another dtype")
        where = None if covers(call.target, call.size) else call.target
        for event in _written(name, call) if call.output is None else _made(name, call):
            if where is not None and event.where is not None:
                raise Unclear(f"{name} of a tensor of which parts were filled apart")
            yield event._replace(where=where or event.where)


def _made(name: str, call: Call) -> Iterator[Event]:
    """Yield the events of an operation that makes a storage."""
    values, args = call.kwargs, call.args
    if name in _EMPTY:
        return
    stem = name.removeprefix("new_").removesuffix("_like")
    if stem in ("zeros", "ones"):
        yield Event(None, "=", (stem,))
    elif stem in ("full", "scalar_tensor"):
        value = args[0] if stem == "scalar_tensor" else args[-1] if len(args) > 1 else values["fill_value"]
        yield Event(None, "=", (_constant(_number(value)),))
    elif stem == "randn":
        yield Event(None, "=", ("normal",), call)
    elif stem == "rand":
        yield Event(None, "=", ("uniform",), call)
    elif name == "normal" and not any(isinstance(each, Ref) for each in args):
        yield Event(None, "=", (_spec("normal", mean=args[0], std=args[1]),), call)
    elif name in _COPIES:
        yield from _taken(args[0], name, call)
    elif (inverse := _inverse_softplus(name, args)) is not None:
        yield from _taken(inverse, name, call)
        yield Event(None, "inverse_softplus", ())
    else:
        yield from _pointwise(name, call)


def _written(name: str, call: Call) -> Iterator[Event]:
    """Yield the events of an operation in place."""
    _, *args = call.args or (None,)
    values = call.kwargs
    if isinstance(call.function, str) and name not in HOOKED:
        raise Unclear(f"{name}, which may write unseen")
    if isinstance(call.function, str):
        draws = None if name in ("eye_", "dirac_") else call
        yield Event(None, "=", (spec_of(name, values),), draws)
    elif name == "normal_":
        mean, std = _arguments(args, values, mean=0.0, std=1.0)
        yield Event(None, "=", (_spec("normal", mean=mean, std=std),), call)
    elif name == "uniform_":
        low, high = _arguments(args, values, **{"from": 0.0, "to": 1.0})
        yield Event(None, "=", (_spec("uniform", low=low, high=high),), call)
    elif name == "bernoulli_":
        (p,) = _arguments(args, values, p=0.5)
        yield Event(None, "=", (_spec("bernoulli", p=_number(p)),), call)
    elif name == "zero_":
        yield Event(None, "=", ("zeros",))
    elif name == "fill_":
        yield Event(None, "=", (_constant(_number(args[0])),))
    elif name == "copy_":
        yield from _taken(args[0], name, call)
    elif name.endswith("_"):
        yield from _pointwise(name.removesuffix("_"), call, in_place=True)
    else:
        raise Unclear(name)


def _pointwise(name: str, call: Call, *, in_place: bool = False) -> Iterator[Event]:
    """Yield the events of an operation that treats all elements alike."""
    refs = call.args
    if name in _FUNCTIONS:
        event = Event(None, _FUNCTIONS[name], ())
    elif name in ("clamp", "clamp_min", "clamp_max"):
        names = {"clamp": ("min", "max"), "clamp_min": ("min",), "clamp_max": ("max",)}[name]
        given = dict(zip(names, refs[1:], strict=False)) | call.kwargs
        bounds = [given.get(key) for key in ("min", "max")]
        low, high = (
            default if bound is None else _number(bound)
            for bound, default in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        event = Event(None, "clamp", (low, high))
    elif name == "pow" and refs[1:] == (2,):
        event = Event(None, "square", ())
    elif name in _ARITHMETIC and set(call.kwargs) <= {"alpha"}:
        first, second = refs[:2]
        if not in_place and not _is_random(first) and name in ("mul", "add") and not call.kwargs.get("alpha"):
            first, second = second, first  # these commute
        number = _number(second) * _number(call.kwargs.get("alpha", 1))
        event, refs = Event(None, _ARITHMETIC[name], (number,)), (first,)
    else:
        raise Unclear(f"{name}_" if in_place else name)
    if not in_place:
        yield from _taken(refs[0], name, call)
    yield event


def _taken(ref: Any, name: str, call: Call) -> Iterator[Event]:
    """Yield the events of a tensor whose values are copied, one for each element."""
    if not isinstance(ref, Ref) or not _is_random(ref):
        yield Event(None, "=", (_constant(_number(ref)),))
        return
    if not ref.dense or _without_ones(ref.geometry.sizes) != _without_ones(call.target.sizes):
        raise Unclear(f"{name} of part of a tensor, or to more elements than it has")
    yield from describe(ref.history, ref.geometry).events


def _without_ones(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in sizes if size != 1)


def _is_random(value: Any) -> bool:
    return isinstance(value, Ref) and any(call.random for call in value.history)


def _arguments(args: Sequence[Any], keywords: dict[str, Any], **defaults: Any) -> list[Any]:
    given = dict(zip(defaults, args, strict=False)) | keywords
    return [given.get(key, default) for key, default in defaults.items()]


def _number(value: Any) -> float:
    """Return a number, or that of a tensor whose elements are all the same."""
    if isinstance(value, Ref):
        try:
            found = value_of(value)
        except NoValue as error:
            raise Unclear(str(error)) from None
        if not found.numel() or found.is_complex() or not bool((found == found.reshape(-1)[0]).all()):
            raise Unclear("a table of values")
        value = found.reshape(-1)[0].item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unclear(f"the value {value!r}")
    return float(value)


def _constant(value: float) -> str:
    return {0.0: "zeros", 1.0: "ones"}.get(value if math.copysign(1.0, value) > 0 else math.nan) or init.get(
        "constant", value=value
    ).spec


def _spec(name: str, **arguments: float) -> str:
    return init.get(name, **{key: float(value) for key, value in arguments.items()}).spec


def _inverse_softplus(name: str, args: Sequence[Any]) -> Ref | None:
    """Return x if an operation is ``x + log(-expm1(-x))``, as Mamba has it."""
    if name != "add" or len(args) != 2 or not all(map(_is_random, args)):
        return None
    x, y = args
    for expected in ("log", "neg", "expm1", "neg"):
        if len(y.history) != 1 or name_of(y.history[0].function) != expected:
            return None
        y = y.history[0].args[0]
    return x if isinstance(x, Ref) and y.history == x.history else None


def _merged(events: list[Event]) -> list[Event]:
    """Return fewer events that do the same."""
    merged: list[Event] = []
    for event in events:
        if event.kind == "=" and event.where is None:
            merged.clear()
        merged.append(event)
        if event.kind == "clamp" and (spec := truncated(merged)) is not None:
            merged[-5:] = [merged[-5]._replace(operands=(spec,))]
    return [event for event in merged if (event.kind, event.operands) not in _NOTHING]


def truncated(events: Sequence[Event]) -> str | None:
    """Return the spec of a truncated normal if the last five events draw one by its inverse.

    timm, among others, draws it as ``uniform_, erfinv_, mul_(std * sqrt(2)), add_(mean), clamp_``.
    """
    chain = list(events[-5:])
    if [event.kind for event in chain] not in (["=", "erfinv", "*", "+", "clamp"],):
        return None
    if len({event.where for event in chain}) > 1:
        return None
    drawn, _, scale, shift, bounds = (event.operands for event in chain)
    initializer = init.get(drawn[0])
    std, (mean,), (low, high) = _root(scale[0]), shift, bounds
    if initializer.name != "uniform" or not std > 0:
        return None
    expected = [math.erf((bound - mean) / std / _SQRT2) for bound in (low, high)]
    actual = (initializer.arguments["low"], initializer.arguments["high"])
    if not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(actual, expected, strict=True)):
        return None
    return spec_of("trunc_normal_", {"mean": mean, "std": std, "a": low, "b": high})


def _root(scale: float) -> float:
    """Return the number of the fewest digits that gives `scale` when multiplied by the root of 2."""
    near = scale / _SQRT2
    candidates = [near, math.nextafter(near, 0.0), math.nextafter(near, math.inf)]
    exact = [each for each in candidates if each * _SQRT2 == scale]
    return min(exact or [near], key=lambda each: (len(repr(each)), each))
