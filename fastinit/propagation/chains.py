"""The layers of a network: their shapes and how their weights are made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit import checkpoint, init
from fastinit.checkpoint import BadInput, Choice
from fastinit.init import Initializer

Array = npt.NDArray[Any]

#: The initialiser's name that stands for a model's own.
OWN = "own"

#: The name that stands for the first that `fastinit.init.recommended` has.
RECOMMENDED = "recommended"
#: Rules for any model, of which a layer's is taken.
PRESETS = ("he", "lecun", "xavier")

# Tables that are looked up, and multiply nothing.
_LOOKED_UP = re.compile(r"embed|\bwte\b|\bwpe\b|position|token_type|shared\.weight", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """A linear layer without bias.

    Attributes
    ----------
    name : str
        The name whose stream its weight takes.
    fan_in, fan_out : int
    io : bool
        Whether the weight's shape is (fan_in, fan_out), as GPT-2's are; else it is (fan_out, fan_in).
    choice : Choice, optional
        How the model makes it, which `OWN` stands for.
    """

    name: str
    fan_in: int
    fan_out: int
    io: bool = False
    choice: Choice | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The weight's shape."""
        return (self.fan_in, self.fan_out) if self.io else (self.fan_out, self.fan_in)

    def plan(self, initializer: Initializer | None) -> Any:
        """Return the plan of the weight; the model's own if `initializer` is None."""
        if initializer is None:
            assert self.choice is not None
            return self.choice
        return initializer.plan(self.shape, layout="io" if self.io else "oi", dtype=np.float32)

    def weight(self, initializer: Initializer | None, rng: Any) -> Array:
        """Return the float32 weight of shape (fan_out, fan_in), the same for each call.

        Parameters
        ----------
        initializer : Initializer, optional
            By default the model's own.
        rng : Generator
            It doesn't move: the weight is that of ``rng.fold_in(name)``.
        """
        out = np.empty(self.shape, np.float32)
        plan = self.plan(initializer)
        own = plan.generator(rng) if initializer is None else rng.fold_in(self.name)
        plan.fill(out.reshape(-1), own)
        return out.T if self.io else out


def of_widths(widths: Sequence[int]) -> list[Layer]:
    """Return a chain of layers with these widths, the input's first.

    Examples
    --------
    >>> [(each.name, each.shape) for each in of_widths([784, 256, 10])]
    [('layer 1', (256, 784)), ('layer 2', (10, 256))]
    """
    if len(widths) < 2:
        raise BadInput(f"a network needs two widths or more, its input's first, not {list(widths)}")
    for width in widths:
        if not 2 <= width <= 1 << 20:
            raise BadInput(f"a width must be between 2 and {1 << 20}, not {width}")
    pairs = itertools.pairwise(widths)
    return [Layer(f"layer {i}", fan_in, fan_out) for i, (fan_in, fan_out) in enumerate(pairs, 1)]


def of_model(model: Any) -> list[Layer]:
    """Return the longest chain of a model's matrices, in their order, whose fans match.

    Parameters
    ----------
    model : path, mapping or Recording
        A list of tensors or a recording, as `fastinit.checkpoint.plan` takes it. Matrices are two-dimensional
        floating-point tensors that an initialiser draws, without those that are looked up by a token or a
        position. The order of axes is that of the rule's layout; (fan_out, fan_in) if it has none.

    Raises
    ------
    BadInput
        The list cannot be read, or has no matrix.
    """
    recipe = checkpoint.plan(model, init="auto", dtype="F32").recipe
    ends: dict[
        int, tuple[int, Any]
    ] = {}  # width -> length of the longest chain that ends there, and its links
    for choice in recipe.choices:
        layer = _linear(choice)
        if layer is not None:
            length, links = ends.get(layer.fan_in, (0, None))
            if length + 1 > ends.get(layer.fan_out, (0, None))[0]:
                ends[layer.fan_out] = (length + 1, (layer, links))
    if not ends:
        raise BadInput("the list has no matrix that multiplies its input")
    _, links = max(ends.values(), key=lambda end: end[0])
    chain = []
    while links is not None:
        layer, links = links
        chain.append(layer)
    return chain[::-1]


def _linear(choice: Choice) -> Layer | None:
    """Return the layer of a matrix, or None for another tensor."""
    name, shape = choice.spec.name, choice.spec.shape
    if len(shape) != 2 or min(shape) < 2 or choice.spec.floating is None or _LOOKED_UP.search(name):
        return None
    if not choice.std:
        return None
    io = choice.rule.layout == "io"
    fan_in, fan_out = shape if io else shape[::-1]
    return Layer(name, fan_in, fan_out, io, choice)


def _of_preset(name: str) -> str:
    """Return the spec that a preset of rules has for a weight of two axes."""
    weight = {"layer.weight": {"dtype": "F32", "shape": [2, 2]}}
    return checkpoint.plan(weight, init=name).recipe.choices[0].rule.init


def initializer_of(spec: Any, activation: str, chain: Sequence[Layer]) -> Initializer | None:
    """Return the initialiser of a spec, or None for a model's own.

    Raises
    ------
    BadInput
        It is unknown, or cannot make a layer of the chain.
    """
    if spec == OWN:
        if chain[0].choice is None:
            raise BadInput("init 'own' is a model's: give a list of tensors or a recording, too")
        return None
    try:
        if spec == RECOMMENDED:
            made = init.recommended(activation)[0].initializer
        else:
            made = init.get(_of_preset(spec) if spec in PRESETS else spec)
        for layer in chain:
            layer.plan(made)
    except (ValueError, TypeError) as error:
        raise BadInput(f"init {spec!r}: {error}") from None
    return made
