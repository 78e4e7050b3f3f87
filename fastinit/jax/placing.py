"""Arrays of JAX that a plan fills, on one device or several."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import AxisType, NamedSharding, PartitionSpec, Sharding

from fastinit.init.filling import ranges_of
from fastinit.init.plans import Block, Plan
from fastinit.random import Generator

from .keys import generator_of, words_of
from .traced import drawn, drawn_by_parts

__all__ = ["aligned", "made", "placed"]

#: Bytes. JAX takes memory with this alignment without a copy.
_ALIGNMENT = 64


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return new memory that `jax.device_put` takes without a copy."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def made(plan: Plan, key: Any, sharding: Any = None) -> jax.Array:
    """Return an array that a plan fills from a key or Generator, by default on the key's device."""
    spec = sharding if isinstance(sharding, PartitionSpec) else getattr(sharding, "spec", ())
    if len(spec) > len(plan.shape):
        raise ValueError(f"{spec} has more axes than the shape {plan.shape}")
    if isinstance(key, Generator):
        if isinstance(jax.numpy.zeros(()), jax.core.Tracer):
            raise TypeError("a Generator under jax.jit would make constants: give a key of jax.random")
        return filled(plan, key, sharding)
    words = words_of(key)
    if isinstance(words, jax.core.Tracer):
        return _drawn_to(plan, words, sharding)
    if sharding is None and getattr(key, "committed", False) and len(key.devices()) == 1:
        sharding = key.sharding
    return filled(plan, generator_of(words), sharding)


def _drawn_to(plan: Plan, words: Any, sharding: Any) -> jax.Array:
    """Return a traced array with a sharding, if any."""
    if isinstance(sharding, Sharding) and not isinstance(sharding, NamedSharding):
        return jax.lax.with_sharding_constraint(drawn(plan, words), sharding)
    mesh = getattr(sharding, "mesh", None) or jax.sharding.get_abstract_mesh()
    if sharding is None and AxisType.Explicit not in mesh.axis_types:
        array: jax.Array = drawn(plan, words)
        return array
    return drawn_by_parts(
        plan, words, NamedSharding(mesh, getattr(sharding, "spec", sharding) or PartitionSpec())
    )


def filled(plan: Plan, rng: Generator, sharding: Any) -> jax.Array:
    """Return an array that a plan fills from a generator, which moves past it."""
    if sharding is None:
        values = aligned(plan.shape, plan.dtype.numpy)
        plan.fill_all(plan.dtype.view(values), rng)
        return jax.device_put(values)
    result = placed(
        plan.shape,
        plan.dtype.numpy,
        lambda out, block: plan.fill_block(plan.dtype.view(out), rng, block),
        sharding,
    )
    plan.consume(rng)
    return result


def placed(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Callable[[npt.NDArray[Any], Block], object],
    sharding: Any,
) -> jax.Array:
    """Return an array whose parts, one for each device, are made by ``fill(out, block)``."""

    def part(block: Block) -> npt.NDArray[Any]:
        values = aligned(tuple(map(len, block)), dtype)
        fill(values, block)
        return values

    if sharding is None:
        return jax.device_put(part(tuple(map(range, shape))))
    if isinstance(sharding, PartitionSpec):
        sharding = NamedSharding(jax.sharding.get_mesh(), sharding)
    return jax.make_array_from_callback(shape, sharding, lambda index: part(ranges_of(index, shape)))
