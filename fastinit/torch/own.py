"""Finds and runs the code by which a module initialises itself."""

from __future__ import annotations

import contextlib
import inspect
import warnings
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
from .tracker import Tracker

__all__ = ["forget_initialized", "parametrized", "reparametrized", "run", "without_parametrizations"]

# The hooks of torch.nn.utils, and the suffix of the parameter that stands for the weight.
_ORIGINALS = {WeightNorm: "_v", SpectralNorm: "_orig"}


def run(module: nn.Module) -> None:
    """Run a module's own initialisation.

    That is ``initialize_weights()`` (transformers), else ``init_weights()``, else that of each child, and
    then the module's own ``reset_parameters()`` or ``_reset_parameters()``. So wrappers and containers are
    passed through. A method that needs arguments is not called, and a warning names it.
    """
    seen: set[int] = set()

    def walk(each: nn.Module) -> None:
        if id(each) in seen:
            return
        seen.add(id(each))
        for name in ("initialize_weights", "init_weights"):
            if (method := _method(each, name)) is not None:
                forget_initialized(each)
                with _untied(each):
                    method()
                seen.update(map(id, each.modules()))
                return
        for child in each.children():
            walk(child)
        reset = _method(each, "reset_parameters") or _method(each, "_reset_parameters")
        if reset is not None:
            reset()

    walk(module)


def _method(module: nn.Module, name: str) -> Callable[[], object] | None:
    """Return a method that can be called without arguments, or None. A warning names one that cannot."""
    method: Callable[[], object] | None = getattr(module, name, None)
    if not callable(method):
        return None
    try:
        inspect.signature(method).bind()
    except TypeError as error:
        warnings.warn(
            f"{type(module).__name__}.{name} is not called ({error}): "
            f"give init=lambda module: module.{name}(...)",
            stacklevel=2,
        )
        return None
    return method


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


def without_parametrizations(module: nn.Module, run_code: Callable[[], object], tracker: Tracker) -> None:
    """Run code that sees a plain tensor for each parametrized one, then set the originals of those it wrote.

    Parameters
    ----------
    module : Module
    run_code : callable
        What to run.
    tracker : Tracker
        The mode under which the code runs. Each plain tensor gets the name of the last original.

    Raises
    ------
    RuntimeError
        A parametrization has no inverse. The code has not run.
    """
    _check_inverses(module)
    hooked = []
    for each, hook, prefix in reparametrized(module):
        original, old = _original(each, hook), getattr(each, hook.name)
        tensor = torch.empty_like(original) if old.is_meta else old.detach().to(original, copy=True)
        tracker.name(f"{prefix}.".lstrip(".") + hook.name + _ORIGINALS[type(hook)], tensor)
        setattr(each, hook.name, tensor)
        hooked.append((each, hook, tensor, old))
    with contextlib.ExitStack() as stack:
        plain = []
        for each, local, prefix in parametrized(module):
            last, original = _last_original(each.parametrizations[local])
            tensor = _computed(each, local, original)
            tracker.name(f"{prefix}.".lstrip(".") + f"parametrizations.{local}.{last}", tensor)
            plain.append((each, local, tensor))
        for each, local, tensor in plain:
            stack.enter_context(_reads_as(each, local, tensor))
        run_code()
    for each, local, tensor in plain:
        if not tracker.filled(tensor):
            continue
        setattr(each, local, tensor)
        originals = each.parametrizations[local]
        if type(originals[0]).__name__ == "_WeightNorm":
            _norm_again(originals.original0, originals.original1)
    for each, hook, tensor, old in hooked:
        _set_hooked(each, hook, tensor if tracker.filled(tensor) else None, old)


def _check_inverses(module: nn.Module) -> None:
    for each, local, prefix in parametrized(module):
        for parametrization in each.parametrizations[local]:
            if not hasattr(parametrization, "right_inverse"):
                name, kind = f"{prefix}.".lstrip(".") + local, type(parametrization).__name__
                raise RuntimeError(f"{name}: parametrization {kind} does not implement right_inverse")


def _last_original(originals: nn.Module) -> tuple[str, torch.Tensor]:
    """Return the last tensor of which a parametrization makes another, with its local name."""
    return max({**originals._parameters, **originals._buffers}.items())


def _computed(module: nn.Module, local: str, original: torch.Tensor) -> torch.Tensor:
    """Return a copy of what a parametrization makes, or memory like the original if it cannot make it yet."""
    parametrizations = module.parametrizations[local]
    modes = [(each, each.training) for each in parametrizations.modules()]
    parametrizations.eval()  # else spectral_norm changes its vectors
    try:
        computed: torch.Tensor = parametrizations()
        return computed.detach().clone()
    except (RuntimeError, TypeError):  # from the meta device, orthogonal has no base
        return torch.empty_like(original)
    finally:
        for each, training in modes:
            each.training = training


def _set_hooked(module: nn.Module, hook: Any, weight: torch.Tensor | None, old: torch.Tensor) -> None:
    """Set the originals of a weight that a hook computes, if it was written, and the weight itself."""
    original = _original(module, hook)
    if weight is not None:
        original.set_(weight)  # as parametrizations do
    if isinstance(hook, WeightNorm):
        if weight is not None:
            norms = getattr(module, f"{hook.name}_g")
            axes = [axis for axis in range(original.ndim) if axis != hook.dim]
            norms.copy_(torch.linalg.vector_norm(original, 2, axes, keepdim=norms.ndim > 0))
            _norm_again(norms, original)
        weight = hook.compute_weight(module)
    elif weight is None:
        weight = original.detach() if old.is_meta else old
    setattr(module, hook.name, weight)


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
