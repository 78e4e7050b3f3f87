"""`calibrate`: layer-sequential unit variance."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from fastinit._dtypes import of
from fastinit.checkpoint.recipe import checked_seed
from fastinit.init import Initializer, get
from fastinit.random import PCG64, Generator

from .filling import fill
from .names import clean, named_tensors
from .probing import layout_of
from .sizes import size_of
from .undisturbed import check, run, tensors_in, undisturbed, unwrapped
from .watching import has_weight

__all__ = ["Calibration", "Scaled", "calibrate"]

_LOOKUPS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Scaled:
    """A layer whose output has unit variance.

    Attributes
    ----------
    factor : float
        What its weight was multiplied by; 1 if nothing was to be done.
    std : float
        That of its output now.
    """

    factor: float
    std: float


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` did.

    Attributes
    ----------
    layers : mapping of str to Scaled
        The layers whose output has unit variance, in the order in which they are called.
    left : mapping of str to str
        The modules with weights that stay as they were, and why.
    """

    layers: Mapping[str, Scaled]
    left: Mapping[str, str]


def calibrate(
    module: nn.Module,
    example_input: Any,
    *,
    init: str | Initializer | None = None,
    seed: int = 0,
    tol: float = 0.1,
    max_iterations: int = 10,
) -> Calibration:
    """Scale each layer's weight so that its output has variance 1: layer-sequential unit variance.

    In the order in which layers are called, each weight is divided by the standard deviation of the layer's
    output, until the variance is 1 within `tol`. The layers before it are calibrated by then. Biases and all
    else are as before.

    Parameters
    ----------
    module : torch.nn.Module
        On any device. It runs in the mode that it is in, but without its dropout modules.
    example_input : Tensor, tuple, dict or callable
        As of `probe`. The variance is over all values of the output, of all inputs.
    init : str or Initializer, optional
        What fills the weights first, by name and seed, such as the paper's ``"orthogonal"``. By default the
        present weights are scaled.
    seed : int
        That of `init`, and of what the module draws as it runs.
    tol : float
        How far from 1 the variance may be.
    max_iterations : int
        The most scalings of a layer.

    Returns
    -------
    Calibration
        The layers' factors, and what was left.

    Raises
    ------
    TypeError
        A tensor is on the meta device, lazy, or a DTensor.
    ValueError
        `tol` or `max_iterations` is not positive, or `init` cannot make a weight. Nothing has been written.
    Exception
        What the module itself raises. The layers that it had reached stay scaled.

    Warns
    -----
    UserWarning
        A layer's output has no variance, or its bias alone has more than `tol` allows. Its weight stays as it
        was.

    Notes
    -----
    A layer is a module with a parameter ``weight`` of its own of floating point, of two axes or more, that is
    not frozen: Linear, all convolutions, Bilinear, transformers' Conv1D. Embeddings, weights that are tied to
    one, parametrized modules, and those with weights of other names, such as LSTM and MultiheadAttention, are
    left. A weight that several modules share, or that is called again, is calibrated at its first call.

    The same module, input and seed give the same bits on the same machine with the same number of threads.
    Sums of matrix products are BLAS's, so factors may differ in their last digits between machines.

    References
    ----------
    Mishkin and Matas, "All you need is a good init", ICLR 2016.

    Examples
    --------
    >>> layers = [part for _ in range(50) for part in (nn.Linear(64, 64), nn.ReLU())]
    >>> model, x = nn.Sequential(*layers), torch.randn(256, 64)
    >>> found = calibrate(model, x, init="orthogonal")
    >>> len(found.layers), all(abs(each.std**2 - 1) < 0.1 for each in found.layers.values())
    (50, True)
    """
    if not (tol > 0.0 and max_iterations > 0):
        raise ValueError(f"tol and max_iterations must be positive, not {tol} and {max_iterations}")
    module = unwrapped(module)
    check(module)
    seed = checked_seed(seed)
    work = _Work(module, tol, max_iterations)
    if init is not None:
        work.fill(get(init), Generator(PCG64(seed)))
    with undisturbed(module, seed), torch.no_grad(), work:
        run(module, example_input)
    return Calibration(work.layers, work.left)


class _Work:
    """Context in which each layer is calibrated as it is called."""

    def __init__(self, module: nn.Module, tol: float, most: int) -> None:
        self.layers: dict[str, Scaled] = {}
        self.left: dict[str, str] = {}
        self._tol, self._most = tol, most
        self._modules: dict[str, nn.Module] = {}
        self._done: dict[int, str] = {}  # id of a weight -> the module that called it first
        self._handles: list[Any] = []
        tied = {id(each.weight) for each in module.modules() if isinstance(each, _LOOKUPS)}
        for path, each in module.named_modules():
            if not has_weight(each) or isinstance(each, parametrize.ParametrizationList):
                continue
            name = clean(path) or type(each).__name__
            reason = _reason(each, tied)
            if reason:
                self.left[name] = reason
            else:
                self._modules[name] = each
        self._names = {id(named.tensor): named.name for named in named_tensors(module)}

    def fill(self, initializer: Initializer, root: Generator) -> None:
        """Fill the layers' weights by an initialiser, each once."""
        plans: dict[int, tuple[torch.Tensor, Any]] = {}
        for module in self._modules.values():
            weight: torch.Tensor = module.weight
            dtype = of(str(weight.dtype).removeprefix("torch."))
            plan = initializer.plan(tuple(weight.shape), layout=layout_of(module), dtype=dtype)
            plans.setdefault(id(weight), (weight, plan))
        for key, (weight, plan) in plans.items():
            fill(weight, plan, root.fold_in(self._names[key]))

    def __enter__(self) -> None:
        for name, module in self._modules.items():
            self.left[name] = "not called"
            self._handles.append(module.register_forward_hook(self._hook(name), with_kwargs=True))

    def __exit__(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def called(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            first = self._done.setdefault(id(module.weight), name)
            if first != name:
                self.left[name] = f"its weight is that of {first}"
            elif name not in self.layers and self.left[name] == "not called":
                return self._calibrate(name, module, args, kwargs, output)
            return output

        return called

    def _calibrate(self, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """Return the output of a layer whose weight has been scaled."""
        weight: torch.Tensor = module.weight
        before, factor, made = weight.clone(), 1.0, output
        for iteration in range(self._most + 1):
            std = _std(made)
            if abs(std * std - 1.0) < self._tol:
                self.layers[name] = Scaled(factor, std)
                del self.left[name]
                return made
            if not 0.0 < std < math.inf or iteration == self._most:
                break
            weight.mul_(1.0 / std)
            factor /= std
            made = module.forward(*args, **kwargs)
        weight.copy_(before)
        self.left[name] = f"its output has std {std:.3g}" + (
            f" after {iteration} scalings" if iteration else ""
        )
        warnings.warn(f"{name} stays as it was: {self.left[name]}", stacklevel=2)
        return output


def _std(output: Any) -> float:
    made = next((each for each in tensors_in(output) if each.is_floating_point()), None)
    return math.nan if made is None else size_of(made).std


def _reason(module: nn.Module, tied: set[int]) -> str:
    """Return why a module with weights is no layer to be scaled; empty if it is one."""
    weight = module._parameters.get("weight")
    if isinstance(module, _LOOKUPS):
        return "an embedding"
    if parametrize.is_parametrized(module):
        return "parametrized"
    if weight is None or weight.dim() < 2 or not weight.is_floating_point():
        return "its weights have other names"
    if id(weight) in tied:
        return "tied to an embedding"
    return "" if weight.requires_grad else "frozen"
