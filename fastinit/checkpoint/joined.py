"""Tensors that are made of several others, side by side along an axis, as files hold fused projections."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .steps import TensorPlan, part

__all__ = ["Joined", "joined", "names_in"]


def names_in(parts: Sequence[str]) -> list[str]:
    """Return the names in the texts of parts. ValueError if a text is none.

    Examples
    --------
    >>> names_in(["q.weight (8, 4)[:]", "k.weight (8, 4)[:2]"])
    ['q.weight', 'k.weight']
    """
    return [_split(text)[0] for text in parts]


def _split(text: str) -> tuple[str, str]:
    name, found, view = text.rpartition(" (")
    if not (name and found):
        raise ValueError(f"part {text!r} must be a name, a space, and a view that begins with a shape")
    return name, f"({view}"


def joined(
    parts: Sequence[str],
    axis: int,
    shape: tuple[int, ...],
    plan_of: Callable[[tuple[int, ...]], TensorPlan],
) -> Joined:
    """Return the plan of a tensor that is made of parts of others.

    Parameters
    ----------
    parts : sequence of str
        For each part the name of a tensor, a space, and a view of that tensor: ``"q.weight (8, 4)[:]"``.
    axis : int
        The axis along which the parts lie side by side.
    shape : tuple of int
        The shape of the tensor.
    plan_of : callable
        Returns the plan of a full tensor of which there is a part, given its shape.
    """
    if not 0 <= axis < len(shape):
        raise ValueError(f"axis {axis} is no axis of shape {shape}")
    rows = math.prod(shape[:axis])
    plans = [part(_split(text)[1], None, plan_of) for text in parts]
    if sum(math.prod(plan.shape) for plan in plans) != math.prod(shape) or any(
        math.prod(plan.shape) % max(rows, 1) for plan in plans
    ):
        raise ValueError(f"parts {'; '.join(parts)} are not the elements of shape {shape}")
    return Joined(plans, shape, rows)


class Joined:
    """The plan of a tensor that is made of several, used like an `init.Plan` but for its generators.

    Parameters
    ----------
    plans : sequence of plan
        Those of the parts.
    shape : tuple of int
        The shape of the tensor.
    rows : int
        The number of elements of all axes before the one along which the parts lie.
    """

    fans = None

    def __init__(self, plans: Sequence[TensorPlan], shape: tuple[int, ...], rows: int) -> None:
        first = plans[0]
        self.shape, self.dtype, self.distribution = shape, first.dtype, first.distribution
        # All are made by one rule, but shapes may differ, and with them moments.
        alike = all((plan.mean, plan.std) == (first.mean, first.std) for plan in plans)
        self.mean, self.std = (first.mean, first.std) if alike else (None, None)
        self.kurtosis = max(plan.kurtosis for plan in plans)
        self.addressable = all(plan.addressable for plan in plans)
        self.exact = all(plan.exact for plan in plans)
        self._plans = plans
        self._widths = [math.prod(plan.shape) // max(rows, 1) for plan in plans]

    def fill(self, out: npt.NDArray[Any], rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` in C order. `rng` has each part's generator."""
        if not out.size:
            return
        width, stop, before = sum(self._widths), start + out.size, 0
        for plan, own, length in zip(self._plans, rng, self._widths, strict=True):
            full = None
            if not plan.addressable:
                full = np.empty(math.prod(plan.shape), out.dtype)
                plan.fill(full, own)
            for row in range(start // width, -(-stop // width)):
                place = row * width + before
                low, high = max(start, place), min(stop, place + length)
                if low >= high:
                    continue
                first = row * length + low - place
                if full is None:
                    plan.fill(out[low - start : high - start], own, first)
                else:
                    out[low - start : high - start] = full[first : first + high - low]
            before += length
