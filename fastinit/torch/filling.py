"""Fills tensors of torch."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from fastinit import init
from fastinit._arrays import check_storage, memory_of, say_written
from fastinit._dtypes import of
from fastinit.checkpoint.steps import TensorPlan
from fastinit.init.filling import ranges_of
from fastinit.init.initializer import Initializer
from fastinit.init.seeds import generator_of

from .sharding import Run, indices, local, runs, values_of
from .staging import fill_through

__all__ = ["fill", "fill_", "write"]

#: The least length of runs, on average, that a GPU makes one by one. A launch takes the CPU the time of about
#: as many values.
LEAST = 1 << 16


def fill_(
    tensor: torch.Tensor,
    spec: str | Initializer,
    rng: Any,
    *,
    shape: Sequence[int] | None = None,
    block: tuple[Any, ...] | slice | None = None,
    start: int | None = None,
) -> torch.Tensor:
    """Fill a tensor that is part of a larger one, with the values that it has there.

    This is for those who shard by hand, such as Megatron's tensor parallelism (`block`), or ZeRO's and
    FSDP1's flat shards (`start`). Each rank fills its part, with equal `rng`, and the parts make the full
    tensor.

    Parameters
    ----------
    tensor : torch.Tensor
        Of float16, bfloat16, float32 or float64, on any device, with any strides. It may require grad. Of a
        DTensor, each rank fills its own part, without communication.
    spec : str or Initializer
        As `fastinit.init.get` takes it. Fans are those of the full tensor.
    rng : fastinit.random.Generator
        Or anything that `fastinit.random.default_rng` takes. It moves past the full tensor.
    shape : sequence of int, optional
        The shape of the full tensor; by default the tensor's own.
    block : tuple of slice, optional
        The tensor is ``full[block]``.
    start : int, optional
        The tensor has elements ``[start, start + tensor.numel())`` of the full one, in C order.

    Returns
    -------
    Tensor
        `tensor`.

    Raises
    ------
    TypeError
        Both `block` and `start` are given, or the dtype is another one.
    ValueError
        The tensor is not of the block's shape, its elements are outside the full tensor, or its storage has
        been freed.

    Examples
    --------
    >>> whole, half = torch.empty(4, 6), torch.empty(4, 3)
    >>> _ = fill_(whole, "xavier_uniform", 7)
    >>> _ = fill_(half, "xavier_uniform", 7, shape=(4, 6), block=(slice(None), slice(3, 6)))
    >>> bool((half == whole[:, 3:]).all())
    True
    """
    if block is not None and start is not None:
        raise TypeError("give block or start, not both")
    dtype = of(str(tensor.dtype).removeprefix("torch."))
    full = tuple(tensor.shape if shape is None else shape)
    plan = init.get(spec).plan(full, dtype=dtype)
    part = local(tensor)
    check_storage(tensor if part is None else part)
    generator = generator_of(rng, tensor)
    if part is not None:
        if block is not None or start is not None or full != tuple(tensor.shape):
            raise TypeError("a DTensor has its place itself: give no shape, block or start")
        _fill_sharded(tensor, part, plan, generator)
    elif start is not None:
        _fill_range(tensor, plan, generator, start)
    else:
        ranges = ranges_of(() if block is None else block, full)
        if (shape := tuple(map(len, ranges))) != tuple(tensor.shape):
            whole = "the full tensor" if block is None else "the block"
            raise ValueError(f"the tensor has shape {tuple(tensor.shape)}, but {whole} has {shape}")
        _fill_block(tensor, plan, generator, ranges)
    plan.consume(generator)
    return tensor


def fill(target: torch.Tensor, plan: TensorPlan, rng: Any) -> None:
    """Fill a tensor, in C order of its elements, by a plan of its shape; of a DTensor this rank's part."""
    if not target.numel() or target.is_meta:
        return
    part = local(target)
    check_storage(target if part is None else part)
    if part is not None:
        _fill_sharded(target, part, plan, rng)
        return
    if target.device.type == "cpu":
        array, _ = memory_of(target, output=True, fills=True)
        if array.flags.carray:
            say_written(target)
            plan.fill(array.reshape(-1), rng)
            return
    _fill_range(target, plan, rng, 0)


def _fill_range(target: torch.Tensor, plan: Any, rng: Any, start: int) -> None:
    """Fill a tensor with elements `start` and on of a plan."""
    inside = 0 <= start <= math.prod(plan.shape) - target.numel()  # else the CPU raises the error
    if inside and _filled_on_gpu(target, plan, rng, iter([(start, target.numel())])):
        return
    values = np.empty(target.numel(), plan.dtype.storage)
    plan.fill(values, rng, start)
    write(target, values)


def _fill_sharded(tensor: torch.Tensor, part: torch.Tensor, plan: Any, rng: Any) -> None:
    """Fill this rank's part of a DTensor."""
    if not (part.is_cuda and _filled_on_gpu(part, plan, rng, runs(plan.shape, indices(tensor)))):
        write(part, values_of(tensor, plan, rng))
    say_written(tensor)


def _fill_block(tensor: torch.Tensor, plan: Any, rng: Any, ranges: tuple[range, ...]) -> None:
    """Fill a tensor with a block of a plan. The CPU makes many short rows faster than a GPU run by run."""
    if tensor.is_cuda and all(axis.step == 1 for axis in ranges):
        begun, few = _begun(tensor, runs(plan.shape, ranges))
        if few and _filled_on_gpu(tensor, plan, rng, iter(begun)):
            return
    values = np.empty(tuple(tensor.shape), plan.dtype.storage)
    plan.fill_block(values, rng, ranges)
    write(tensor, values)


def _filled_on_gpu(target: torch.Tensor, plan: Any, rng: Any, places: Iterator[Run]) -> bool:
    """Fill a tensor on a GPU in place with runs of a plan's elements, in C order.

    Return False for another tensor, or if its values need a copy.
    """
    if not target.is_cuda:
        return False
    begun, few = _begun(target, places)
    if not (few and _filled_by_gpu(target, plan, rng, begun)):
        if not (plan.addressable and target.is_contiguous()):
            return False
        with torch.no_grad():
            fill_through(target, plan, rng, itertools.chain(begun, places))
    say_written(target)
    return True


def _begun(target: torch.Tensor, places: Iterator[Run]) -> tuple[list[Run], bool]:
    """Return the first runs of a tensor, and whether they are all and few enough for a GPU."""
    most = max(target.numel() // LEAST, 1)
    begun = list(itertools.islice(places, most + 1))
    return begun, len(begun) <= most


def _filled_by_gpu(target: torch.Tensor, plan: Any, rng: Any, places: list[Run]) -> bool:
    """Have a GPU make the values. Return False if the CPU must, with a warning if there is a reason."""
    from . import gpu

    alone = len(places) == 1  # then it may have any strides
    if not (gpu.fills(target, plan) and (alone or target.is_contiguous())):
        return False
    pieces = [target] if alone else target.detach().view(-1).split([length for _, length in places])
    try:
        for piece, (start, _) in zip(pieces, places, strict=True):
            gpu.fill(piece, plan, rng, start)
    except gpu.Unavailable as error:
        warnings.warn(f"the CPU fills tensors on the GPU: {error}", stacklevel=5)
        return False
    return True


def write(target: torch.Tensor, stored: np.ndarray[Any, Any]) -> None:
    """Copy stored elements into a tensor of any strides and device."""
    signed = stored.view(f"i{stored.itemsize}") if stored.dtype.kind == "u" else stored
    values = torch.from_numpy(signed).view(target.dtype).reshape(target.shape)
    with torch.no_grad():
        target.detach().copy_(values)
    say_written(target)
