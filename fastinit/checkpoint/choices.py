"""`Choice`: a tensor with its rule and plan."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy.typing as npt

from fastinit import init

from .buffers import BufferPlan
from .rules import Rule
from .spec import TensorSpec


class Choice(NamedTuple):
    """A tensor with its rule and plan.

    Attributes
    ----------
    spec : TensorSpec
        The tensor.
    match : str
        The match of the rule that won.
    rule : Rule
        That rule with all arithmetic evaluated: it makes this tensor without the rest of the model.
    plan : Plan or BufferPlan
        The plan that fills it.
    """

    spec: TensorSpec
    match: str
    rule: Rule
    plan: init.Plan | BufferPlan

    @property
    def fans(self) -> tuple[int, int] | None:
        """(fan_in, fan_out) if the plan uses them, or if the rule has a layout and the shape two axes."""
        if self.plan.fans is None and self.rule.layout is not None and len(self.spec.shape) > 1:
            return init.compute_fans(self.spec.shape, layout=self.rule.layout)
        return self.plan.fans

    @property
    def addressable(self) -> bool:
        """Whether a range of elements costs only itself, not the full tensor."""
        return self.plan.addressable

    @property
    def mean(self) -> float | None:
        """The expected mean, None if it is not known."""
        return None if self.plan.mean is None else self.plan.mean * self._kept

    @property
    def std(self) -> float | None:
        """The expected standard deviation, None if it is not known."""
        if self.plan.std is None:
            return None
        mean = self.plan.mean or 0.0
        return math.sqrt(self._kept * (self.plan.std * self.plan.std + (1 - self._kept) * mean * mean))

    @property
    def label(self) -> str:
        """The initialiser as text, with the layout and the padding row of the rule, if any."""
        extras = {k: v for k, v in self.rule.table().items() if k in ("layout", "padding_idx")}
        return " ".join([self.rule.init, *(f"{key}={value}" for key, value in extras.items())])

    @property
    def _kept(self) -> float:
        # The share of rows that are not a padding row.
        rows = 0 if self.rule.padding_idx is None else self.spec.shape[0]
        return 1 - 1 / rows if rows else 1.0

    def fill(self, out: npt.NDArray[Any], rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` of the tensor, in C order.

        Parameters
        ----------
        out : ndarray
            1-D, of the tensor's storage dtype.
        rng : Generator
            The tensor's own generator, ``root.fold_in(name)``. It doesn't move.
        start : int
            The index of the first element.
        """
        self.plan.fill(out, rng, start)
        if self.rule.padding_idx is not None:
            row = math.prod(self.spec.shape[1:])
            first = self.rule.padding_idx * row - start
            out[max(first, 0) : max(first + row, 0)] = 0
