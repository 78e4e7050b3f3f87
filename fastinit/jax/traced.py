"""Fills inside programs that JAX traces: under jit, vmap and eval_shape, on one device or several."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax import numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fastinit import _dispatch
from fastinit.init.plans import Plan, Sampled

from .keys import generator_of

__all__ = ["drawn", "drawn_by_parts"]

jax.ffi.register_ffi_target("fastinit_fill", _dispatch.xla_handler(), platform="cpu")


@functools.partial(jax.jit, static_argnums=0)
def drawn(plan: Plan, words: Any) -> Any:
    """Return an array that a plan fills, for the words of each key.

    Words of shape (\\*batch, n) make an array of shape (\\*batch, \\*plan.shape).
    """
    if not isinstance(plan, Sampled):  # LAPACK's, which the kernels don't make
        return _by_host(plan, plan.shape, words)

    fill = custom_vmap(functools.partial(_in_parts, plan))
    fill.def_vmap(lambda size, batched, words: (drawn(plan, words), True))
    return fill(words)


def drawn_by_parts(plan: Plan, words: Any, sharding: NamedSharding) -> Any:
    """Return the same array with a known sharding."""
    mesh, spec = sharding.mesh, _full(sharding.spec, len(plan.shape))
    explicit = AxisType.Explicit in mesh.axis_types
    if not isinstance(plan, Sampled):
        place = jax.sharding.reshard if explicit else jax.lax.with_sharding_constraint
        return place(drawn(plan, words), sharding)
    split = [PartitionSpec(axis) for axis in spec]
    part = jax.shard_map(
        lambda words, *indices: _part(plan, words, indices),
        mesh=mesh,
        in_specs=(PartitionSpec(), *split),
        out_specs=PartitionSpec(*spec),
        check_vma=False,
    )
    operands = [words, *_indices(plan)]
    if explicit:
        operands = [jax.sharding.reshard(each, NamedSharding(mesh, PartitionSpec())) for each in operands]
        operands[1:] = [
            jax.sharding.reshard(each, NamedSharding(mesh, axis))
            for each, axis in zip(operands[1:], split, strict=True)
        ]
    return part(*operands)


def _full(spec: Any, rank: int) -> tuple[Any, ...]:
    return (*spec, *[None] * (rank - len(spec)))


def _indices(plan: Plan) -> list[Any]:
    return [jnp.arange(size, dtype=np.uint32) for size in plan.shape]


def _in_parts(plan: Plan, words: Any) -> Any:
    """Fill so that each device makes its own part.

    The partitioner splits the indices along each axis as it splits the result, and so each part knows where
    it lies.
    """
    rank, batch, here = len(plan.shape), words.ndim - 1, jax.sharding.get_abstract_mesh()

    def part(words: Any, *indices: Any) -> Any:
        return _part(plan, words, indices)

    def partition(mesh: Any, operands: Any, result: Any) -> Any:
        sharding = result.sharding
        if not isinstance(sharding, NamedSharding):  # JAX knows no mesh but the abstract one
            from jax._src.sharding_impls import parse_flatten_op_sharding

            mesh = here
            sharding = NamedSharding(mesh, parse_flatten_op_sharding(sharding._hlo_sharding, mesh)[0])
        spec = _full(sharding.spec, batch + rank)
        needs = [(*spec[:batch], None), *((axis,) for axis in spec[batch:])]
        return mesh, part, sharding, tuple(NamedSharding(mesh, PartitionSpec(*each)) for each in needs)

    split = custom_partitioning(part)
    batches, axes = ([f"{kind}{i}" for i in range(n)] for kind, n in (("b", batch), ("a", rank)))
    split.def_partition(
        partition=partition,
        infer_sharding_from_operands=lambda mesh, operands, result: NamedSharding(mesh, PartitionSpec()),
        sharding_rule=f"{', '.join([' '.join([*batches, 'w']), *axes])} -> {' '.join([*batches, *axes])}",
        need_replication_factors=("w",),
    )
    return split(words, *_indices(plan))


def _part(plan: Plan, words: Any, indices: Any) -> Any:
    """Fill the part with such indices along each axis, for the words of each key."""
    counts = tuple(along.size for along in indices)
    made = jax.ffi.ffi_call(
        "fastinit_fill",
        jax.ShapeDtypeStruct(words.shape[:-1] + counts, plan.dtype.numpy),
        vmap_method="broadcast_all",  # all parts of a batch are at the first one's place
    )
    return jax.lax.platform_dependent(
        words,
        *(along[:1] for along in indices),
        cpu=functools.partial(
            made,
            distribution=np.array([_dispatch.DISTRIBUTIONS[plan.distribution]]),
            parameters=np.array(plan.parameters),
            shape=np.array(plan.shape, np.int64),
        ),
        default=functools.partial(_by_host, plan, counts),
    )


def _by_host(plan: Plan, counts: tuple[int, ...], words: Any, *first: Any) -> Any:
    """Fill a part by a callback on the host."""

    def fill(words: Any, *first: Any) -> npt.NDArray[Any]:
        seeds = np.asarray(words)
        out = np.empty(seeds.shape[:-1] + counts, plan.dtype.storage)
        starts = [int(at.reshape(-1)[0]) for at in first] or [0] * len(counts)
        block = tuple(range(at, at + size) for at, size in zip(starts, counts, strict=True))
        for batch in np.ndindex(seeds.shape[:-1]):
            plan.fill_block(out[(*batch, ...)], generator_of(seeds[batch]), block)
        return out.view(plan.dtype.numpy)

    result = jax.ShapeDtypeStruct(words.shape[:-1] + counts, plan.dtype.numpy)
    return jax.pure_callback(fill, result, words, *first, vmap_method="broadcast_all")
