"""Turns what is described of a tensor into a rule, and fills a tensor by one."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fastinit import init
from fastinit._arrays import memory_of, say_written
from fastinit.checkpoint import Rule, TensorSpec
from fastinit.checkpoint.matching import plan_of
from fastinit.checkpoint.steps import Part, TensorPlan
from fastinit.checkpoint.views import View

from .describing import Event, Unclear
from .tracker import Geometry

__all__ = ["fill", "plan_of_events", "rule_of", "write"]


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


def fill(target: torch.Tensor, plan: TensorPlan, rng: Any) -> None:
    """Fill a tensor, in C order of its elements, by a plan of its shape."""
    if not target.numel():
        return
    storage = plan.dtype.storage
    if target.device.type == "cpu":
        array, _ = memory_of(target, output=True, fills=True)
        if array.flags.carray:
            say_written(target)
            plan.fill(array.reshape(-1), rng)
            return
    values = np.empty(target.numel(), storage)
    plan.fill(values, rng)
    write(target, values)


def write(target: torch.Tensor, stored: np.ndarray[Any, Any]) -> None:
    """Copy stored elements into a tensor of any strides and device."""
    signed = stored.view(f"i{stored.itemsize}") if stored.dtype.kind == "u" else stored
    values = torch.from_numpy(signed).view(target.dtype).reshape(target.shape)
    with torch.no_grad():
        target.detach().copy_(values)
    say_written(target)
