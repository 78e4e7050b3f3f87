"""Stand-ins for a module's tensors: of their whole shapes, on the meta device, without memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from fastinit._arrays import is_sharded

from .names import Named, named_tensors
from .tracker import Tracker

__all__ = ["MARK", "put", "stand_in", "stand_ins"]

#: An attribute of stand-ins.
MARK = "_fastinit_stands_in"


def stand_in(tensor: torch.Tensor, tracker: Tracker) -> torch.Tensor:
    """Return a tensor that stands for another, with its shape, dtype and attributes.

    A tracker remembers the values of a buffer, unless it is a DTensor, whose values no rank has.
    """
    sharded = is_sharded(tensor)
    if sharded:
        meta = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    else:
        meta = torch.empty_like(tensor, device="meta")
    if isinstance(tensor, nn.Parameter):
        kind = nn.Parameter if sharded else type(tensor)
        meta = torch.Tensor._make_subclass(kind, meta, tensor.requires_grad)
        meta.__dict__.update(tensor.__dict__)
    elif not (tensor.is_meta or sharded):
        tracker.constant(meta, tensor.detach().cpu().clone())
    return meta


@contextlib.contextmanager
def stand_ins(module: nn.Module, tracker: Tracker) -> Iterator[None]:
    """Context in which a module has stand-ins, which have names. Tied parameters stay tied.

    Modules are of the classes that they had before FSDP2 made others of them: these are torch's, so
    transformers takes them for custom code, which it runs in another way.
    """
    tensors = named_tensors(module)
    classes = [(each, type(each)) for each in module.modules() if hasattr(type(each), "_get_fsdp_state")]
    for sharded, kind in classes:
        sharded.__class__ = next(base for base in kind.__bases__ if not hasattr(base, "_get_fsdp_state"))
    for each in tensors:
        meta = stand_in(each.tensor, tracker)
        meta.__dict__[MARK] = True
        tracker.name(each.name, meta)
        put(each, meta)
    try:
        yield
    finally:
        for each in tensors:
            put(each, each.tensor)
        for sharded, kind in classes:
            sharded.__class__ = kind


def put(each: Named, tensor: torch.Tensor) -> None:
    """Give all modules that have a tensor another one in its place."""
    for owner, name in each.owners:
        (owner._parameters if each.is_parameter else owner._buffers)[name] = tensor
