"""The values of a module that all paths from its input to its output pass."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import GradientEdge

from fastinit.propagation import Trace, verdicts
from fastinit.propagation.verdicts import EXPLODES, VANISHES, Verdict

from .graphs import before, cuts
from .sizes import NOTHING, Size
from .watching import Follower, Layer, Watch

__all__ = ["BAD", "Place", "Runs", "end_of", "follow", "places_of"]

#: The words of verdicts that are bad.
BAD = (VANISHES, EXPLODES)


class Place(NamedTuple):
    """A value of a module.

    Attributes
    ----------
    name : str
    edge : GradientEdge or None
        Its place in autograd's graph.
    size : Size
    layers : sequence of Layer
        The layers between the place before and this.
    is_norm : bool
        Whether it is the output of a norm that no activation follows.
    """

    name: str
    edge: GradientEdge | None
    size: Size
    layers: Sequence[Layer] = ()
    is_norm: bool = False


@dataclass(frozen=True)
class Runs(Trace):
    """A trace of runs between norms, as a norm sets the scale anew.

    A verdict is that of the worst run, or of the longest if none is bad.

    Attributes
    ----------
    starts : tuple of int
        The places that are norms' outputs, at which runs begin.
    """

    starts: tuple[int, ...] = ()

    @cached_property
    def forward(self) -> Verdict:
        return self._worst(lambda run: verdicts.forward(run.measured, {}))

    @cached_property
    def backward(self) -> Verdict:
        return self._worst(lambda run: verdicts.backward(run.measured, {}, run.widths))

    def _worst(self, judge: Callable[[Trace], Verdict]) -> Verdict:
        found = []
        for start, end in itertools.pairwise((0, *self.starts, len(self.places))):
            if end - start > 1 + (start == 0 and len(self.places) > 2):  # else it is from the input alone
                part = {name: values[:, start:end] for name, values in self.measured.items()}
                run = Trace("", "", self.places[start:end], part, widths=self.widths[start:end])
                verdict = judge(run)
                steps = end - start - 1
                far = abs(math.log(verdict.factor)) if 0.0 < verdict.factor < math.inf else math.inf
                bad = verdict.word in BAD
                found.append(((bad, steps * far if bad else steps), verdict))
        return max(found, key=lambda each: each[0])[1]


def follow(watch: Watch) -> None:
    """Find what each layer's output flows into."""
    layers = {each.edge.node: each for each in watch.layers if each.edge is not None}
    starts = {*layers, *(edge.node for edge, _ in watch.inputs if edge is not None)}
    for follower in watch.followers:
        if follower.source is None:
            continue
        found = before(follower.source.node, starts)
        for layer in (layers[node] for node in found if node in layers):
            if layer.activation is None:
                if len(found) == 1:
                    layer.end = follower
                    # With running statistics, batch norm multiplies by what they say.
                    sets_scale = "batch" not in follower.name or layer.module.training
                    layer.normed |= follower.is_norm and sets_scale
                if not follower.is_norm:
                    layer.activation = follower


def places_of(watch: Watch, outputs: Sequence[torch.Tensor]) -> list[Place]:
    """Return the input, and what all paths to the outputs pass behind layers."""
    sinks = [each.grad_fn for each in outputs if each.grad_fn is not None]
    begins = [*watch.inputs, *((each.edge, NOTHING) for each in watch.layers)]
    for i, (edge, size) in enumerate(begins):
        nodes, passed = cuts(edge.node, sinks) if edge is not None else ([], set())
        if nodes:
            is_input = i < len(watch.inputs)
            places = [Place("input", edge if is_input else None, size)]
            break
    else:
        nodes, passed, places = [], set(), [Place("input", None, NOTHING)]
    places += _passed(watch, nodes, passed)
    if len(places) == 1:
        places += map(end_of, watch.layers)
    return places


def _passed(watch: Watch, nodes: Sequence[Any], passed: Container[Any]) -> Iterator[Place]:
    """Yield what every path passes behind layers: the first value, or the next activation's; then a norm."""
    layers: dict[Any, list[Layer]] = {}
    for each in watch.layers:
        if each.edge is not None:
            layers.setdefault(each.edge.node, []).append(each)
    followers = {each.edge.node: each for each in watch.followers if each.edge is not None}
    behind: list[Layer] = []
    best = norm = None
    for node in (*nodes, None):
        if best is not None and (node is None or node in layers):
            yield Place(behind[-1].name, GradientEdge(best, 0), watch.sizes[best, 0], behind)
            if norm is not None and node is not None:
                yield Place(
                    f"{behind[-1].name}, norm", GradientEdge(norm, 0), watch.sizes[norm, 0], is_norm=True
                )
            behind, best, norm = [], None, None
        behind = behind + layers.get(node, [])
        if not (behind and node in passed and (node, 0) in watch.sizes):
            continue
        follower, last = followers.get(node), followers.get(best)
        if best is None or (follower is not None and _belongs(follower, last, behind)):
            best, norm = node, None
        elif follower is not None and follower.is_norm:
            norm = node


def _belongs(follower: Follower, last: Follower | None, layers: Sequence[Layer]) -> bool:
    """Whether a follower is a part of the layers, behind a value of theirs: their activation or own norm."""
    if follower.is_norm:
        return any(each.end is follower for each in layers)
    return last is None or last.is_norm


def end_of(layer: Layer) -> Place:
    """Return a layer's output, behind the norm and the activation that take nothing else."""
    end = layer if layer.end is None else layer.end
    return Place(layer.name, end.edge, end.size, (layer,))
