"""`Choice`: a tensor with its rule and plan."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, NamedTuple

import numpy.typing as npt

from fastinit import init

from . import buffers
from .joined import names_in
from .rules import Rule
from .spec import TensorSpec
from .steps import TensorPlan


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
    own : Rule
        The same with what the groups of the match stand for.
    plan : TensorPlan
        The plan that fills it.
    """

    spec: TensorSpec
    match: str
    rule: Rule
    own: Rule
    plan: TensorPlan

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
        return self.plan.mean

    @property
    def std(self) -> float | None:
        """The expected standard deviation, None if it is not known."""
        return self.plan.std

    @property
    def stream(self) -> str:
        """The name whose stream the tensor takes: its own, or that of the tensor that it equals."""
        return self.own.same_as or self.spec.name

    @property
    def label(self) -> str:
        """The initialiser as text, with what else the rule says."""
        return described(self.own)

    def generator(self, root: Any) -> Any:
        """Return the generator that `fill` takes: ``root.fold_in(stream)``, or a tuple, one for each part."""
        if self.own.parts:
            return tuple(map(root.fold_in, names_in(self.own.parts)))
        return root.fold_in(self.stream)

    def fill(self, out: npt.NDArray[Any], rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` of the tensor, in C order.

        Parameters
        ----------
        out : ndarray
            1-D, of the tensor's storage dtype.
        rng : Generator or tuple of Generator
            The tensor's own, as `generator` returns it. It doesn't move.
        start : int
            The index of the first element.
        """
        self.plan.fill(out, rng, start)


@functools.lru_cache(256)  # tensors that differ only in their names share a rule
def described(rule: Rule) -> str:
    """Return a rule's initialiser as text, with what else the rule says."""
    skipped = ("match", "init", "min_ndim", "max_ndim")
    extras = {key: value for key, value in rule.table().items() if key not in skipped}
    if "data" in extras:
        extras["data"] = hashlib.blake2b(
            buffers.unpacked(extras["data"]).tobytes(), digest_size=8
        ).hexdigest()
    for key in {"then", "parts"} & extras.keys():
        extras[key] = "; ".join(extras[key])
    return " ".join([rule.init, *(f"{key}={value}" for key, value in extras.items())])
