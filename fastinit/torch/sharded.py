"""Modules with DTensors: each rank fills its part of what the module's own code does to stand-ins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from fastinit._arrays import is_sharded
from fastinit.checkpoint.recipe import checked_seed

from .choosing import choices, fill_chosen
from .names import Named, check_parameters, named_tensors
from .recorder import recording_in_place
from .sharding import local
from .standins import MARK, put

__all__ = ["by_recording", "check_parts", "give_memory", "has_shards", "place"]


def has_shards(tensors: Sequence[Named]) -> bool:
    """Whether a DTensor is among the tensors."""
    return any(is_sharded(each.tensor) for each in tensors)


def check_parts(module: nn.Module, tensors: Sequence[Named]) -> None:
    """Raise TypeError if this rank's part of a DTensor cannot be filled, or FSDP2 has gathered parameters."""
    for name, child in module.named_modules():
        state = child._get_fsdp_state() if hasattr(type(child), "_get_fsdp_state") else None
        group = getattr(state, "_fsdp_param_group", None)
        if not getattr(group, "is_sharded", True):
            held = (each.name for each in tensors if each.is_parameter and each.name.startswith(name))
            raise TypeError(
                f"{next(held, name)} is gathered by FSDP2: call module.reshard() of each FSDP module first"
            )
    for each in tensors:
        if hasattr(each.tensor, MARK):
            raise TypeError(f"{each.name} is in a context of by_name already")
        try:
            local(each.tensor)
        except TypeError as error:
            raise TypeError(f"{each.name}: {error}") from None
    ties = getattr(module, "all_tied_weights_keys", {}) if has_shards(tensors) else {}  # of transformers
    parameters = dict(module.named_parameters(remove_duplicate=False)) if ties else {}
    for target, source in ties.items():
        if not {target, source} <= parameters.keys():  # a stage of a pipeline may have one of them
            continue
        pair = parameters[target], parameters[source]
        if pair[0] is not pair[1] and any(map(is_sharded, pair)):
            raise TypeError(
                f"{target} and {source} are tied, but parallelize_module has made two tensors of them: call"
                " module.tie_weights() first"
            )


@contextlib.contextmanager
def by_recording(module: nn.Module, seed: int) -> Iterator[None]:
    """Context of `by_name` for a module with DTensors."""
    seed = checked_seed(seed)
    tensors = named_tensors(module)
    check_parameters(tensors)
    with recording_in_place(module) as found:
        yield
    recording, filled = found()
    written = [each for each in tensors if each.name in filled]
    with torch.no_grad():
        fill_chosen(module, seed, choices(written, recording, None))


def give_memory(module: nn.Module, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
    """Give tensors a device and a dtype, and memory to those on the meta device. Tied tensors stay tied.

    FSDP2 keeps parameters of its own, and only `Module._apply` tells it of new ones.
    """

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        to, as_dtype = place(tensor, device, dtype)
        if tensor.is_meta and to.type != "meta":
            return torch.empty_like(tensor, device=to, dtype=as_dtype)
        return tensor.to(to, as_dtype)

    before = named_tensors(module)
    module._apply(moved)
    for each in before:
        owner, name = each.owners[0]
        put(each, getattr(owner, name))


def place(
    tensor: torch.Tensor, device: torch.device | str | None, dtype: torch.dtype | None
) -> tuple[torch.device, torch.dtype]:
    """Return the device and the dtype that a tensor gets."""
    if device is None and tensor.is_meta:
        device = tensor.device_mesh.device_type if is_sharded(tensor) else "cpu"
    to = tensor.device if device is None else torch.device(device)
    return to, dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
