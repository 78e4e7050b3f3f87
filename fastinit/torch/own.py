"""Finds and runs the code by which a module initialises itself."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from fastinit._arrays import memory_of
from fastinit.checkpoint.steps import norm

from .filling import write

__all__ = ["forget_initialized", "parametrized", "reparametrized", "run", "without_parametrizations"]

# The hooks of torch.nn.utils, and the suffix of the parameter that stands for the weight.
_ORIGINALS = {WeightNorm: "_v", SpectralNorm: "_orig"}


def run(module: nn.Module) -> None:
    """Run a module's own initialisation.

    That is ``initialize_weights()`` (transformers), else ``init_weights()``, else that of each child, and
    then the module's own ``reset_parameters()`` or ``_reset_parameters()``. So wrappers and containers are
    passed through.
    """
    seen: set[int] = set()

    def walk(each: nn.Module) -> None:
        if id(each) in seen:
            return
        seen.add(id(each))
        for name in ("initialize_weights", "init_weights"):
            method = getattr(each, name, None)
            if callable(method) and _takes_nothing(method):
                forget_initialized(each)
                with _untied(each):
                    method()
                seen.update(map(id, each.modules()))
                return
        for child in each.children():
            walk(child)
        reset = getattr(each, "reset_parameters", None) or getattr(each, "_reset_parameters", None)
        if callable(reset) and _takes_nothing(reset):
            reset()

    walk(module)


def _takes_nothing(method: Callable[..., object]) -> bool:
    try:
        inspect.signature(method).bind()
    except TypeError:
        return False
    return True


def forget_initialized(module: nn.Module) -> None:
    """Remove the marks by which transformers skips what it has initialised or loaded."""
    for each in (*module.modules(), *module.parameters(), *module.buffers()):
        each.__dict__.pop("_is_hf_initialized", None)


@contextlib.contextmanager
def _untied(module: nn.Module) -> Iterator[None]:
    """Context in which weights that transformers ties to others are apart, as when its constructors run.

    Else a head's fill would replace that of the embedding, whose padding row is zero.
    """
    tied = []
    for target, source in getattr(module, "all_tied_weights_keys", {}).items():
        prefix, _, local = target.rpartition(".")
        owner = module.get_submodule(prefix)
        parameter = owner._parameters.get(local)
        if parameter is not None and parameter is _parameter(module, source):
            tied.append((owner, local, parameter))
            owner._parameters[local] = nn.Parameter(torch.empty_like(parameter, device="meta"))
    try:
        yield
    finally:
        for owner, local, parameter in tied:
            owner._parameters[local] = parameter


def _parameter(module: nn.Module, name: str) -> torch.Tensor | None:
    prefix, _, local = name.rpartition(".")
    return module.get_submodule(prefix)._parameters.get(local)


def parametrized(module: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield each submodule with a parametrization, the tensor's local name, and the submodule's name."""
    for prefix, each in module.named_modules():
        if parametrize.is_parametrized(each):
            for local in each.parametrizations:
                yield each, local, prefix


def reparametrized(module: nn.Module) -> Iterator[tuple[nn.Module, Any, str]]:
    """Yield each submodule whose weight a hook computes, as old weight_norm does, the hook, and the name."""
    for prefix, each in module.named_modules():
        for hook in each._forward_pre_hooks.values():
            if type(hook) in _ORIGINALS:
                yield each, hook, prefix


def _original(module: nn.Module, hook: Any) -> torch.Tensor:
    original: torch.Tensor = getattr(module, hook.name + _ORIGINALS[type(hook)])
    return original


def without_parametrizations(
    module: nn.Module,
    run_code: Callable[[], object],
    name: Callable[[str, torch.Tensor], object] = lambda name, tensor: None,
) -> None:
    """Run code that sees a plain tensor for each parametrized one, then set the originals to match.

    Parameters
    ----------
    module : Module
    run_code : callable
        What to run.
    name : callable
        Called with the name and the tensor of each plain tensor. The name is that of the last original.
    """
    plain = []
    hooked = []
    for each, hook, prefix in reparametrized(module):
        original = _original(each, hook)
        tensor = torch.empty_like(original)
        name(f"{prefix}.".lstrip(".") + hook.name + _ORIGINALS[type(hook)], tensor)
        setattr(each, hook.name, tensor)
        hooked.append((each, hook, tensor))
    for each, local, prefix in parametrized(module):
        originals = each.parametrizations[local]
        last = max(name for name, _ in originals.named_parameters(recurse=False))
        like = getattr(originals, last)
        shape = like.shape if last != "original" else getattr(each, local).shape
        tensor = torch.empty(shape, dtype=like.dtype, device=like.device)
        name(f"{prefix}.".lstrip(".") + f"parametrizations.{local}.{last}", tensor)
        plain.append((each, local, tensor))
    with contextlib.ExitStack() as stack:
        for each, local, tensor in plain:
            stack.enter_context(_reads_as(each, local, tensor))
        run_code()
    for each, local, tensor in plain:
        setattr(each, local, tensor)
        originals = each.parametrizations[local]
        if type(originals[0]).__name__ == "_WeightNorm":
            _norm_again(originals.original0, originals.original1)
    for each, hook, tensor in hooked:
        original = _original(each, hook)
        original.set_(tensor)  # as parametrizations do
        if isinstance(hook, WeightNorm):
            norms = getattr(each, f"{hook.name}_g")
            axes = [axis for axis in range(original.ndim) if axis != hook.dim]
            norms.copy_(torch.linalg.vector_norm(original, 2, axes, keepdim=norms.ndim > 0))
            _norm_again(norms, original)
            tensor = hook.compute_weight(each)
        setattr(each, hook.name, tensor)


@contextlib.contextmanager
def _reads_as(module: nn.Module, local: str, tensor: torch.Tensor) -> Iterator[None]:
    """Context in which a parametrized tensor of a module reads as another tensor."""
    parametrized_class = type(module)  # made for this module and its copies
    computed = parametrized_class.__dict__[local]
    plain = property(lambda self: tensor if self is module else computed.fget(self), computed.fset)
    setattr(parametrized_class, local, plain)
    try:
        yield
    finally:
        setattr(parametrized_class, local, computed)


def _norm_again(norms: torch.Tensor, weight: torch.Tensor) -> None:
    """Let the norms of a weight-normalised tensor have the bits that a recording gives them."""
    if not weight.is_meta:
        sizes = norms.shape or (1,) * weight.ndim
        axes = tuple(axis for axis, size in enumerate(weight.shape) if sizes[axis] == 1 < size)
        stored, dtype = memory_of(weight.detach().cpu(), output=True, fills=True)
        assert dtype is not None  # check_parameters has seen it
        write(norms, norm(stored, axes, dtype).reshape(norms.shape))
