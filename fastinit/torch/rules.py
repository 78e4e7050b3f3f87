"""Turns what is described of a tensor into a rule, and fills a tensor by one."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fastinit import init
from fastinit.checkpoint import Rule, TensorSpec
from fastinit.checkpoint.matching import plan_of
from fastinit.checkpoint.steps import Part, TensorPlan
from fastinit.checkpoint.views import View

from .describing import Event, Unclear
from .tracker import Geometry

__all__ = ["numbers_of", "plan_of_events", "rule_of", "short_spec", "view_of"]


def rule_of(name: str, events: Sequence[Event], shape: tuple[int, ...], **more: Any) -> Rule:
    """Return the rule of a tensor that events make. Unclear if they leave elements as they were."""
    base, rest = "zeros", list(events)
    if rest and rest[0].where is None:
        base = str(rest.pop(0).operands[0])
    else:
        _check_filled(shape, rest)
    then = [_text(event, shape) for event in rest]
    return Rule(glob.escape(name), base, then=tuple(then), **more)


def _text(event: Event, shape: tuple[int, ...]) -> str:
    """Return an event as the text of a step."""
    if event.kind == "erfinv":
        raise Unclear("erfinv_")
    view = "" if event.where is None else f"{view_of(event.where, shape).text(shape)} "
    if event.kind == "clamp":
        return f"{view}clamp({event.operands[0]!r}, {event.operands[1]!r})"
    operand = event.operands[0] if event.operands else ""
    return f"{view}{event.kind} {operand}".rstrip()


def view_of(where: Geometry, shape: tuple[int, ...]) -> View:
    """Return the view of some elements of a contiguous tensor. Unclear if no slices give it."""
    view = View.of_strides(shape, *where)
    if view is None:
        raise Unclear(f"a view of shape {where.sizes} with strides {where.strides}")
    return view


def _check_filled(shape: tuple[int, ...], events: Sequence[Event]) -> None:
    views = [view_of(event.where, shape) for event in events if event.kind == "=" and event.where is not None]
    left = np.ones(int(np.prod(shape, dtype=np.int64)), bool) if views else np.ones(1, bool)
    for view in views:
        left[view.inside(0, left.size)] = False
    if left.any():
        raise Unclear("nothing that fills it" if not views else "nothing that fills all of it")


def plan_of_events(spec: TensorSpec, events: Sequence[Event], where: Geometry | None = None) -> TensorPlan:
    """Return the plan of a tensor that events make, or of the part `where` that they make."""
    if where is None:
        return plan_of(rule_of(spec.name, events, spec.shape), spec)
    view = view_of(where, spec.shape)
    first, *_ = events
    if not init.get(first.operands[0]).plan(where.sizes).by_place:
        zeros = Event(None, "=", ("zeros",))
        events = [zeros, *(event._replace(where=where) for event in events)]
    return Part(plan_of(rule_of(spec.name, events, spec.shape), spec), view, where.sizes)


def numbers_of(value: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return the values of a tensor in a dtype that NumPy has."""
    # NumPy has no dtype for torch's narrow floats.
    narrow = value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64)
    numbers: np.ndarray[Any, Any] = (value.float() if narrow else value).cpu().numpy()
    return np.ascontiguousarray(numbers)


def short_spec(value: torch.Tensor) -> str | None:
    """Return the short init that makes these values, or None."""
    values = numbers_of(value)
    if not values.size:
        return "zeros"
    first = values.reshape(-1)[0]
    if values.dtype.kind == "c" or (values.dtype.kind in "iu" and float(int(first)) != int(first)):
        return None
    if (values == first).all() and not (values.dtype.kind == "f" and np.signbit(values).any() and first == 0):
        # The shortest decimal of the dtype rounds to the same value.
        number = float(str(first)) if values.dtype.kind == "f" else float(int(first))
        return {0.0: "zeros", 1.0: "ones"}.get(number, f"constant(value={number!r})")
    if values.dtype.kind in "iu" and values.ndim and (values == np.arange(values.shape[-1])).all():
        return "arange"
    if values.ndim > 1 and (values == np.tri(*values.shape[-2:])).all():
        return "tril"
    return None
