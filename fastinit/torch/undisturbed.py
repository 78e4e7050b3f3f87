"""Runs of a module after which it is as it was before."""

from __future__ import annotations

import contextlib
import dataclasses
import random as python
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from .names import named_tensors
from .sharded import has_shards

__all__ = ["check", "run", "tensors_in", "undisturbed", "unwrapped"]

_DROPOUT = (nn.modules.dropout._DropoutNd,)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside the wrappers of torch.compile, DataParallel and DistributedDataParallel."""
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        elif "_orig_mod" in module._modules:
            module = module._orig_mod
        else:
            return module


def check(module: nn.Module) -> None:
    """Raise TypeError if a module cannot run, or its tensors are parts of others."""
    tensors = named_tensors(module)
    for each in tensors:
        if isinstance(each.tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
            raise TypeError(f"{each.name} is lazy: it has no shape before the module's first call")
        if each.tensor.is_meta:
            raise TypeError(f"{each.name} is on the meta device: fastinit.torch.initialize(module) fills it")
        if each.tensor.is_inference():
            raise TypeError(f"{each.name} was made in torch.inference_mode(): it takes no gradients")
    if has_shards(tensors):
        raise TypeError("the module has DTensors: take it whole, on one device")


@contextlib.contextmanager
def undisturbed(module: nn.Module, seed: int) -> Iterator[None]:
    """Context in which a module runs without dropout, and draws by a seed.

    On exit, buffers, the modes of all modules, which parameters require gradients, and the states of the
    generators of torch, NumPy and Python are as before. What torch.compile has compiled runs uncompiled.
    """
    buffers = [(owner, *named) for owner in module.modules() for named in owner._buffers.items()]
    copies = {id(buffer): buffer.clone() for _, _, buffer in buffers if buffer is not None}
    modes = [(each, each.training) for each in module.modules()]
    frozen = [each for each in module.parameters() if not each.requires_grad]
    numpys, pythons = np.random.get_state(), python.getstate()  # noqa: NPY002
    cuda = torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if cuda else []
    stance = torch.compiler.set_stance("force_eager")
    with torch.random.fork_rng(devices), torch.inference_mode(False), stance:
        try:
            torch.default_generator.manual_seed(seed % 2**63)
            if cuda:
                torch.cuda.manual_seed_all(seed % 2**63)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            python.seed(seed)
            for each in module.modules():
                if isinstance(each, _DROPOUT):
                    each.training = False
            yield
        finally:
            np.random.set_state(numpys)  # noqa: NPY002
            python.setstate(pythons)
            for each in frozen:
                each.requires_grad_(False)
            for each, mode in modes:
                each.training = mode
            with torch.no_grad():
                for owner, name, buffer in buffers:
                    owner._buffers[name] = buffer
                    if buffer is not None and not torch.equal(buffer, copies[id(buffer)]):
                        buffer.copy_(copies[id(buffer)])


def run(module: nn.Module, example_input: Any) -> Any:
    """Return what a module makes of a tensor, of positional or named inputs, or a callable of the module."""
    if callable(example_input) and not isinstance(example_input, torch.Tensor):
        return example_input(module)
    if isinstance(example_input, Mapping):
        return module(**example_input)
    return module(*example_input) if isinstance(example_input, (tuple, list)) else module(example_input)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in tuples, lists, mappings and dataclasses, in their order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from tensors_in(each)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))
