"""DTensors: which elements of a tensor this rank holds, and their values, without communication."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fastinit._arrays import is_sharded

__all__ = ["Run", "indices", "local", "runs", "values_of"]

Indices = npt.NDArray[np.int64]
Run = tuple[int, int]  # the place of its first element in the C order of the full tensor, and its length


def local(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the memory of a DTensor on this rank, or None for another tensor.

    Raises
    ------
    TypeError
        The DTensor is a partial sum, of which no rank holds elements, or a part of another whose elements
        torch has copied, so that what is written to it would be lost.
    """
    if not is_sharded(tensor):
        return None
    dtensor: Any = tensor
    base: Any = dtensor._base if dtensor._is_view() else None
    if base is not None and is_sharded(base):
        mine, whole = (each._local_tensor.untyped_storage().data_ptr() for each in (dtensor, base))
        if mine != whole and dtensor._local_tensor.numel():
            raise TypeError(
                "a part of a DTensor is a copy of it, so a fill would be lost: fill the whole, or the module"
                " under fastinit.torch.by_name"
            )
    if any(placement.is_partial() for placement in dtensor.placements):
        raise TypeError(f"a DTensor of {dtensor.placements} is a sum that no rank has: it cannot be filled")
    part: torch.Tensor = dtensor._local_tensor
    return part


def indices(tensor: Any) -> list[Indices]:
    """Return the indices along each axis of the elements that this rank holds.

    Each placement splits them itself, as torch's own shards come to be: a `_StridedShard` lies in pieces.
    """
    coordinate = tensor.device_mesh.get_coordinate()
    held = [torch.arange(size, device="cpu") for size in tensor.shape]
    for axis, placement in enumerate(tensor.placements):
        if placement.is_replicate():
            continue
        if coordinate is None:  # this rank is outside the mesh
            return [np.empty(0, np.int64) for _ in held]
        at = placement.dim % max(len(held), 1)
        parts, _ = _along_first_axis(placement)._split_tensor(
            held[at], tensor.device_mesh.size(axis), with_padding=False, contiguous=False
        )
        held[at] = parts[coordinate[axis]] if coordinate[axis] < len(parts) else held[at][:0]
    return [part.numpy() for part in held]


def _along_first_axis(placement: Any) -> Any:
    """Return the placement for a tensor of one axis."""
    split = getattr(placement, "split_factor", None)
    return type(placement)(0) if split is None else type(placement)(0, split_factor=split)


def runs(shape: Sequence[int], held: Sequence[Indices | range]) -> Iterator[Run]:
    """Yield the runs of held elements, whose indices along each axis ascend. A range has step 1.

    Examples
    --------
    >>> list(runs((4, 6), [np.array([1, 2]), np.array([3, 4])]))
    [(9, 2), (15, 2)]
    >>> list(runs((4, 6), [np.array([1, 2]), np.arange(6)]))
    [(6, 12)]
    """
    if not all(map(len, held)):
        return
    outer = len(held)
    while outer and len(held[outer - 1]) == shape[outer - 1]:
        outer -= 1
    width = math.prod(shape[outer:])
    if not outer:
        yield 0, width
        return
    steps = [math.prod(shape[axis + 1 :]) for axis in range(outer)]
    last = held[outer - 1]
    parts = [last] if isinstance(last, range) else np.split(last, np.flatnonzero(np.diff(last) != 1) + 1)
    pieces = [(int(part[0]) * width, len(part) * width) for part in parts]
    for place in itertools.product(*held[: outer - 1]):
        first = sum(int(index) * step for index, step in zip(place, steps, strict=False))
        yield from ((first + start, length) for start, length in pieces)


def values_of(tensor: torch.Tensor, plan: Any, rng: Any) -> npt.NDArray[Any]:
    """Return the stored values of this rank's elements, in C order, by a plan of the full tensor.

    No more memory than they need is taken, but by plans that make a whole tensor at once, such as that of
    `orthogonal`.
    """
    held = indices(tensor)
    if not plan.addressable:
        full = np.empty(math.prod(plan.shape), plan.dtype.storage)
        plan.fill(full, rng)
        return full.reshape(plan.shape)[np.ix_(*held)].reshape(-1)
    values = np.empty(math.prod(map(len, held)), plan.dtype.storage)
    at = 0
    for start, length in runs(plan.shape, held):
        plan.fill(values[at : at + length], rng, start)
        at += length
    return values
