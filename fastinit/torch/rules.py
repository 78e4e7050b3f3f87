"""Turns what is described of a tensor into a rule, and fills a tensor by one."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastinit import init
from fastinit.checkpoint import Rule, TensorSpec
from fastinit.checkpoint.matching import plan_of
from fastinit.checkpoint.steps import Part, TensorPlan
from fastinit.checkpoint.views import View

from .describing import Event, Unclear
from .tracker import Geometry

__all__ = ["plan_of_events", "rule_of", "view_of"]


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
