"""The tensors of a module by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from fastinit.checkpoint import TensorSpec
from fastinit.checkpoint.storage import dtype_name

__all__ = ["Named", "check_parameters", "clean", "manifest", "named_tensors", "spec_of"]

_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Named(NamedTuple):
    """A parameter or buffer of a module.

    Attributes
    ----------
    name : str
        The first of its names, without the parts that wrappers add.
    tensor : Tensor
    owners : list of (Module, str)
        The modules that have it, and its name in each.
    is_parameter, persistent : bool
        Whether it is a parameter, and whether a state dict has it.
    """

    name: str
    tensor: torch.Tensor
    owners: list[tuple[nn.Module, str]]
    is_parameter: bool
    persistent: bool


def clean(name: str) -> str:
    """Return a name without the parts that torch.compile, checkpointing and FSDP add.

    Examples
    --------
    >>> clean("_orig_mod.layers.0._checkpoint_wrapped_module.fc.weight")
    'layers.0.fc.weight'
    >>> clean("my_orig_mod.weight")
    'my_orig_mod.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def named_tensors(module: nn.Module) -> list[Named]:
    """Return a module's parameters and buffers, each once, in the order of its state dict."""
    found: dict[int, Named] = {}
    root = _root(module)
    for prefix, owner in module.named_modules(remove_duplicate=False):
        for local, tensor, is_parameter in _own(owner):
            name = clean(f"{prefix}.{local}" if prefix else local).removeprefix(root)
            persistent = is_parameter or local not in owner._non_persistent_buffers_set
            named = found.setdefault(id(tensor), Named(name, tensor, [], is_parameter, persistent))
            named.owners.append((owner, local))
    return list(found.values())


def _root(module: nn.Module) -> str:
    """Return what the wrappers around a whole module add to its names, once these are clean."""
    root = ""
    while True:
        wrapper = next((local for local in _WRAPPERS if local in module._modules), None)
        if isinstance(module, _PARALLEL):
            wrapper = "module"
            root += "module."
        if wrapper is None:
            return root
        module = module.get_submodule(wrapper)


def _own(module: nn.Module) -> Iterator[tuple[str, torch.Tensor, bool]]:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter, True
    for name, buffer in module._buffers.items():
        if buffer is not None:
            yield name, buffer, False


def check_parameters(tensors: list[Named]) -> None:
    """Raise TypeError if a parameter cannot be filled."""
    for name, tensor, *_ in tensors:
        if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
            raise TypeError(f"{name} is lazy: it has no shape before the module's first call")
    for name, tensor, _, is_parameter, _ in tensors:
        if is_parameter and not tensor.is_floating_point():
            raise TypeError(f"{name} has dtype {tensor.dtype}, which no initialiser fills")


def spec_of(name: str, tensor: torch.Tensor) -> TensorSpec:
    """Return the spec of a tensor. BadInput if a checkpoint has no such dtype."""
    return TensorSpec(name, dtype_name(tensor.dtype), tuple(tensor.shape))


def manifest(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Return the list of a module's tensors, as `fastinit.checkpoint.generate` takes it.

    Parameters
    ----------
    module : torch.nn.Module
        On any device, also meta.

    Returns
    -------
    dict
        ``{name: {"dtype": ..., "shape": [...]}}`` of the parameters and persistent buffers. A tensor that is
        there under several names is listed under the first.

    Examples
    --------
    >>> manifest(nn.Linear(3, 2, device="meta"))
    {'weight': {'dtype': 'F32', 'shape': [2, 3]}, 'bias': {'dtype': 'F32', 'shape': [2]}}
    """
    listed = [spec_of(each.name, each.tensor) for each in named_tensors(module) if each.persistent]
    return {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape)} for spec in listed}
