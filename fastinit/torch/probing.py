"""`probe`: how signals and gradients pass through a module as it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.autograd.graph import GradientEdge

from fastinit import init, random
from fastinit.checkpoint.recipe import checked_seed
from fastinit.propagation import Report, Trace
from fastinit.propagation.running import SIGMOID
from fastinit.propagation.verdicts import judged

from .names import clean
from .placing import BAD, Place, Runs, end_of, follow, places_of
from .sizes import root_mean_square
from .undisturbed import check, run, tensors_in, undisturbed, unwrapped
from .watching import Layer, Watch, has_weight

__all__ = ["Fault", "Probe", "layout_of", "probe"]

#: The share of dead units, or of values with a flat slope, from which a layer is at fault. A deep ReLU
#: network that is well initialised comes near 1/2 in both.
SHARE = 0.75

# Faults that a text shows one by one.
_FEW = 8

# Weights whose std is within this share of the recommended one are as recommended.
_ALIKE = 0.1


@dataclass(frozen=True)
class Fault:
    """A layer at fault.

    Attributes
    ----------
    name : str
        The module's.
    why : str
        What is wrong.
    forward, backward : float
        What it multiplies the signal and the gradient by: the root mean square of its output over that of its
        input, and the length of its input's gradient over that of its output's. The output is behind the
        norm and the activation that take nothing else. NaN is unknown.
    dead, saturated : float
        The share of units that are flat for every input, and that of flat values, of its activation.
    activation : str
        What its output flows into first; "linear" if there is none before the next layer.
    mend : str
        The recommended initialiser; empty if there is none for the activation.
    advice : str
        A sentence on that.
    """

    name: str
    why: str
    forward: float
    backward: float
    dead: float
    saturated: float
    activation: str
    mend: str
    advice: str


@dataclass(frozen=True)
class Probe(Report):
    """What `probe` found.

    Attributes
    ----------
    traces : tuple of Trace
        One. Its places are the values that all paths from the input to the output pass.
    settings : dict
    faults : tuple of Fault
        The layers at fault, in the order in which they are called.
    uncalled : tuple of str
        The modules with weights that the input did not reach.
    """

    faults: tuple[Fault, ...] = ()
    uncalled: tuple[str, ...] = ()

    @property
    def tables(self) -> Sequence[tuple[str, Sequence[Sequence[str]]]]:
        """The layers at fault, those that were not called, and the names of the places."""
        faults = [(each.name, each.why, each.advice) for each in self.faults]
        places = [(str(i), name) for i, name in enumerate(self.traces[0].places)]
        found: list[tuple[str, Sequence[Sequence[str]]]] = [
            ("Layers at fault", [("layer", "what it does", "what would mend it"), *faults]),
            ("Not called", [("layer",), *((name,) for name in self.uncalled)]),
            ("Layers by number", [("number", "layer"), *places]),
        ]
        return [(heading, rows) for heading, rows in found if len(rows) > 1]

    def __str__(self) -> str:
        lines = [super().__str__()]
        lines += [f"  {each.name}: {each.why}; {each.advice}" for each in self.faults[:_FEW]]
        if len(self.faults) > _FEW:
            lines.append(f"  and {len(self.faults) - _FEW} more; in all: {self.traces[0].advice}")
        return "\n".join([*lines, *(f"  {name}: not called" for name in self.uncalled)])

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        faults = [
            {key: None if value != value else value for key, value in asdict(each).items()}
            for each in self.faults
        ]
        return super().as_dict() | {"faults": faults, "uncalled": list(self.uncalled)}


def probe(module: nn.Module, example_input: Any, *, seed: int = 0) -> Probe:
    """Run a module forward and backward as it is, and say whether signals and gradients survive.

    The module is as before afterwards: parameters, their ``.grad``, buffers, modes, hooks, and the states of
    the generators of torch, NumPy and Python.

    Parameters
    ----------
    module : torch.nn.Module
        On any device, in any dtype of floating point. It runs in the mode that it is in, but without its
        dropout modules. What torch.compile has compiled runs uncompiled.
    example_input : Tensor, tuple, dict or callable
        The input, of several examples along the first axis; positional or named inputs; or a function that
        is called with the module and returns its output.
    seed : int
        The seed of the gradient at the output, and of what else the module draws.

    Returns
    -------
    Probe
        A `fastinit.propagation.Report` with the layers at fault.

    Raises
    ------
    TypeError
        A tensor is on the meta device, lazy, or a DTensor.
    ValueError
        The module called no layer, or its output is no tensor of floating point.

    Notes
    -----
    A layer is a call of a module that has a parameter of two axes or more of its own, and whose input is of
    floating point. What is looked up by integers, such as embeddings of tokens, is the network's input.

    A place of the trace is a value that all paths from the input to the output pass, behind one layer or
    more. It is the activation's output, if there is one. So of a residual network, places are the sums behind
    each block. If there is none, places are the layers' own outputs.

    The gradient at the output is standard normal: element i of output number n takes place i of the stream
    ``default_rng(seed).fold_in(f"output {n}")``. That of an output without axes, such as a loss, is 1.

    A step of the trace goes wrong if its factor, to the power of the number of steps, has the word of a bad
    verdict, or if its factor alone is beyond tenfold. A layer on it is at fault if its own factor has the
    same word. It is at fault, too, if at least 3/4 of its units are dead, or of its values flat. A norm that
    all paths pass sets the scale anew: each verdict is that of the worst run between such norms.

    Examples
    --------
    >>> import fastinit.torch
    >>> layers = [part for _ in range(12) for part in (nn.Linear(64, 64), nn.ReLU())]
    >>> model = fastinit.torch.initialize(nn.Sequential(*layers), 7)
    >>> found = probe(model, torch.randn(32, 64, generator=torch.Generator().manual_seed(7)))
    >>> found.traces[0].forward.word, found.faults[0].name, found.faults[0].mend
    ('vanishes', '0', 'kaiming_normal(nonlinearity=relu)')
    """
    module = unwrapped(module)
    check(module)
    seed = checked_seed(seed)
    with undisturbed(module, seed), torch.enable_grad():
        for each in module.parameters():
            if each.is_floating_point():
                each.requires_grad_()
        watch = Watch(module)
        with watch:
            output = run(module, example_input)
        outputs = [each for each in tensors_in(output) if each.is_floating_point()]
        if not watch.layers or not outputs:
            missing = "called no module with a weight" if outputs else "returned no tensor of floating point"
            raise ValueError(f"the module {missing}")
        return _report(module, watch, outputs, seed)


def _report(module: nn.Module, watch: Watch, outputs: Sequence[torch.Tensor], seed: int) -> Probe:
    follow(watch)
    places = places_of(watch, outputs)
    edges = [each.edge for each in (*places, *map(end_of, watch.layers))]
    gradients = _gradients(outputs, [*edges, *(each.source for each in watch.layers)], seed)
    measured = {
        "mean": [each.size.mean for each in places],
        "std": [each.size.std for each in places],
        "spread": [each.size.spread for each in places],
        "gradient": [_known(gradients, each.edge) for each in places],
        "dead": [_worst(map(_dead, each.layers)) for each in places],
        "saturated": [_worst(map(_saturated, each.layers)) for each in places],
    }
    widths = tuple(each.size.units for each in places)
    trace = Runs(
        type(module).__name__,
        "as it is",
        tuple(each.name for each in places),
        {name: np.array([values]) for name, values in measured.items()},
        widths=widths,
        starts=tuple(i for i, each in enumerate(places) if each.is_norm),
    )
    steps = {
        id(layer): (_factors(last, place, gradients, trace), len(places) - 1)
        for last, place in itertools.pairwise(places)
        for layer in place.layers
    }
    faults = []
    for layer in watch.layers:
        own = _factors(Place("", layer.source, layer.input), end_of(layer), gradients, trace)
        why = _reasons(own, *steps.get(id(layer), (own, 1)), trace)
        why += _shares(layer)
        if why and layer.input.rms != 0.0:
            faults.append(_fault(layer, ", ".join(why), own))
    inside = {id(part) for layer in watch.layers for part in layer.module.modules()}
    names = [
        clean(name) for name, each in module.named_modules() if has_weight(each) and id(each) not in inside
    ]
    return Probe(
        (replace(trace, advice=_summary(faults)),),
        {"widths": list(widths), "seed": seed},
        tuple(faults),
        tuple(name for name in names if name not in watch.called),
    )


def _gradients(
    outputs: Sequence[torch.Tensor], edges: Iterable[GradientEdge | None], seed: int
) -> dict[Any, float]:
    """Return the root mean square of the gradient at each edge that the outputs depend on."""
    known = {(edge.node, edge.output_nr): edge for edge in edges if edge is not None}
    root, ends, given = random.default_rng(seed), [], []
    for i, each in enumerate(outputs):
        if each.requires_grad:
            normals = root.fold_in(f"output {i}").standard_normal(tuple(each.shape), dtype="float32")
            ends.append(each)
            given.append(torch.from_numpy(normals).to(each) if each.dim() else torch.ones_like(each))
    if not (ends and known):
        return {}
    found = torch.autograd.grad(ends, list(known.values()), given, allow_unused=True)
    return {key: root_mean_square(each) for key, each in zip(known, found, strict=True) if each is not None}


def _known(gradients: Mapping[Any, float], edge: GradientEdge | None) -> float:
    return math.nan if edge is None else gradients.get((edge.node, edge.output_nr), math.nan)


def _dead(layer: Layer) -> float:
    """Return the share of dead units. A convolution's are its channels."""
    if layer.activation is None:
        return math.nan
    weight = getattr(layer.module, "weight", None)
    return layer.activation.dead[1 if weight is None or weight.dim() == 2 else 0]


def _saturated(layer: Layer) -> float:
    return math.nan if layer.activation is None else layer.activation.saturated


def _worst(shares: Iterable[float]) -> float:
    return max((each for each in shares if not math.isnan(each)), default=math.nan)


class _Factors(NamedTuple):
    """What the signal and the gradient are multiplied by on a way."""

    forward: float
    backward: float


def _factors(start: Place, end: Place, gradients: Mapping[Any, float], trace: Trace) -> _Factors:
    of_spread = trace.forward.of == "spread"
    sizes = [each.size.spread if of_spread else each.size.rms for each in (start, end)]
    if end.size.std == math.inf:
        sizes[1] = math.inf
    lengths = [_known(gradients, each.edge) * math.sqrt(each.size.units) for each in (start, end)]
    return _Factors(_ratio(sizes[1], sizes[0]), _ratio(lengths[0], lengths[1]))


def _ratio(after: float, before: float) -> float:
    """Return a factor. What comes from nothing is nobody's fault."""
    return after / before if 0.0 < before < math.inf else math.nan


def _reasons(own: _Factors, step: _Factors, count: int, trace: Trace) -> list[str]:
    """Return what is wrong with a layer's factors, on a step of the trace that goes wrong in the same way."""
    found = []
    for verdict, mine, whole in zip(trace.verdicts, own, step, strict=True):
        alone = judged(mine, 1)
        deep = judged(mine, count)
        if (alone == judged(whole, 1) and alone in BAD) or (
            deep == judged(whole, count) == verdict.word and deep in BAD
        ):
            found.append(f"x{mine:.3g} {verdict.direction}")
    return found


def _shares(layer: Layer) -> list[str]:
    """Return what is wrong with a layer's activation."""
    shares = ((_dead(layer), "units dead"), (_saturated(layer), "values flat"))
    return [f"{share:.0%} of its {what}" for share, what in shares if share >= SHARE]


_NORMED = "a norm follows, which sets its scale: look at the norm's weight, not at the layer's"


def _fault(layer: Layer, why: str, own: _Factors) -> Fault:
    activation = "linear" if layer.activation is None else layer.activation.name
    mend, advice = ("", _NORMED) if layer.normed else _advice(layer.module, activation)
    return Fault(layer.name, why, *own, _dead(layer), _saturated(layer), activation, mend, advice)


def _advice(module: nn.Module, activation: str) -> tuple[str, str]:
    """Return the initialiser that mends a layer, if there is one, and a sentence on it."""
    if activation == "sigmoid":
        return "", f"sigmoid follows: {SIGMOID}"
    follows = "no activation follows" if activation == "linear" else f"{activation} follows"
    try:
        better = init.recommended(activation)[0]
    except ValueError:
        return "", f"{follows}, for which no initialiser is known: fastinit.torch.calibrate sets its std"
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() < 2:
        return better.spec, f"{better.spec} is for it ({follows})"
    wanted: Any = better.initializer.plan(tuple(weight.shape), layout=layout_of(module)).std
    has = root_mean_square(weight)
    if abs(has - wanted) <= _ALIKE * wanted:
        return "", f"its std is that of {better.spec} ({follows}): a norm, a residual or fewer layers"
    if has == 0.0:
        return better.spec, f"it is all zeros, which may be on purpose; {better.spec} is for it ({follows})"
    return better.spec, f"{better.spec} has std {wanted:.3g}, it has {has:.3g} ({follows})"


def layout_of(module: nn.Module) -> str:
    """Return the order of the axes of a module's weight, as `fastinit.init` names it."""
    if getattr(module, "transposed", False):
        return "torch_transposed"
    return "io" if type(module).__name__ == "Conv1D" else "oi"  # transformers', of GPT-2


def _summary(faults: Sequence[Fault]) -> str:
    """Return which initialisers mend which layers."""
    by_mend: dict[str, list[str]] = {}
    for each in faults:
        by_mend.setdefault(each.mend or each.advice, []).append(each.name)
    return "; ".join(f"{mend} for {_few(names)}" for mend, names in by_mend.items())


def _few(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) < 5 else [*names[:3], f"and {len(names) - 3} others"])
