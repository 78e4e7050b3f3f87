"""Fills of an array by a plan, whole or in part."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit._arrays import check_writable, say_written

from .plans import Plan
from .seeds import generator_of, warn_if_used

Array = npt.NDArray[Any]
Block = tuple[Any, ...] | slice


def fill(
    plan: Plan, target: Array, rng: Any, block: tuple[range, ...] | None = None, tensor: Any = None
) -> None:
    """Fill the storage `target`, which may be the memory of a tensor. All refusals come first."""
    flags = target.flags
    if not flags.carray:  # what is C-contiguous, aligned and writable has no fault
        check_writable(target, shared=plan.distribution == "constant")
    generator = generator_of(rng, tensor) if plan.random else None
    if plan.random:
        plan.check(generator)
    if plan.random and generator is not rng and block is None:  # the blocks of one tensor share its seed
        warn_if_used(rng)
    # Values are numbered in C order. Memory in another order is filled through a copy.
    ordered = flags.carray and target.dtype.isnative
    values = target if ordered else np.empty(target.shape, plan.dtype.storage)
    say_written(tensor)
    if block is None:
        plan.fill_all(values, generator)
    else:
        plan.fill_block(values, generator, block)
        plan.consume(generator)
    if values is not target:
        target[...] = values


def fill_sharded(plan: Plan, tensor: Any, rng: Any) -> None:
    """Fill this rank's part of a DTensor, by the adapter for torch."""
    generator = generator_of(rng, tensor) if plan.random else None
    if plan.random:
        plan.check(generator)
    importlib.import_module("fastinit.torch.filling").fill(tensor, plan, generator)
    plan.consume(generator)


def ranges_of(block: Block, shape: tuple[int, ...]) -> tuple[range, ...]:
    """Return the indices of a block along each axis."""
    parts = block if isinstance(block, tuple) else (block,)
    if sum(part is Ellipsis for part in parts) == 1:
        at = next(at for at, part in enumerate(parts) if part is Ellipsis)
        parts = parts[:at] + (slice(None),) * (len(shape) - len(parts) + 1) + parts[at + 1 :]
    if len(parts) > len(shape) or not all(isinstance(part, slice) for part in parts):
        raise ValueError(
            f"block must be a tuple of slices, at most {len(shape)} for shape {shape}, not {block!r}"
        )
    parts += (slice(None),) * (len(shape) - len(parts))
    return tuple(range(size)[part] for size, part in zip(shape, parts, strict=True))
