"""`initialize`: fills all arrays of a tree by rules, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import PartitionSpec

from fastinit.checkpoint import BadInput, TensorSpec
from fastinit.checkpoint.choices import Choice
from fastinit.checkpoint.matching import Model
from fastinit.checkpoint.recipe import checked_seed
from fastinit.checkpoint.sources import load
from fastinit.checkpoint.steps import TensorPlan
from fastinit.checkpoint.storage import dtype_name
from fastinit.init.plans import Plan
from fastinit.random import PCG64, Generator

from .placing import placed

__all__ = ["initialize"]


def initialize(tree: Any, seed: int, rules: Any, *, sharding: Any = None) -> Any:
    """Return a tree whose arrays are filled; each value follows from seed, name and place.

    A leaf's name is its path, as ``jax.tree_util.keystr(path, simple=True, separator=".")`` writes it:
    ``params.Dense_0.kernel`` of a Flax Linen module, ``linear.kernel.value`` of one of NNX. The values are
    those of `fastinit.checkpoint.tensors` for the same names, seed and rules.

    Parameters
    ----------
    tree : pytree
        Arrays, or what `jax.eval_shape` returns in their stead. Leaves that aren't of floating point stay as
        they are if no rule makes them; keys of `jax.random` always do.
    seed : int
    rules : str, path, list of Rule or Recording
        A preset's name, a TOML file, or the rules. A rule whose initialiser uses fans needs
        ``layout="io"`` for weights in JAX's order, (\\*kernel, in, out).
    sharding : optional
        A sharding or PartitionSpec for all leaves, or a tree of them, which may be a prefix of `tree`. Each
        device gets its own part alone.

    Returns
    -------
    pytree
        Of the structure of `tree`.

    Raises
    ------
    BadInput
        No rule matches a leaf of floating point, or a rule cannot make it; or two leaves have one name.

    Examples
    --------
    >>> import jax
    >>> tree = {"fc": {"kernel": jax.ShapeDtypeStruct((784, 10), "float32")}}
    >>> rules = [{"match": "*.kernel", "init": "he_normal", "layout": "io"}]
    >>> round(float(initialize(tree, 7, rules)["fc"]["kernel"].std()), 2)
    0.05
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    leaves = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
    if len(leaves) < len(paths):
        raise BadInput("two leaves of the tree have one name")
    root = Generator(PCG64(checked_seed(seed)))
    chosen = _choices(leaves, rules)
    made = []
    for (name, leaf), place in zip(leaves.items(), _places(sharding, tree, len(leaves)), strict=True):
        choice = chosen.get(name)
        made.append(leaf if choice is None else _filled(choice, leaf, choice.generator(root), place))
    return jax.tree_util.tree_unflatten(structure, made)


def _places(sharding: Any, tree: Any, count: int) -> list[Any]:
    """Return the sharding of each leaf."""
    if sharding is None:
        return [None] * count

    def is_leaf(x: Any) -> bool:
        return x is None or isinstance(x, (jax.sharding.Sharding, PartitionSpec))

    places: list[Any] = jax.tree.leaves(jax.tree.broadcast(sharding, tree, is_leaf=is_leaf), is_leaf=is_leaf)
    return places


def _choices(leaves: dict[str, Any], rules: Any) -> dict[str, Choice]:
    """Return the choice of each leaf that a rule makes."""
    specs = [
        TensorSpec(name, dtype_name(_dtype(leaf).name), tuple(leaf.shape))
        for name, leaf in leaves.items()
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    ]
    rules_from, own, preset = load(specs, rules)
    model = Model(specs, own + preset, rules_from)
    found = {}
    for spec in specs:
        try:
            found[spec.name] = model.choose(spec, model.match(spec))
        except BadInput:
            if spec.floating is not None:
                raise
    return found


def _dtype(leaf: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
    return dtype


def _filled(choice: Choice, leaf: Any, rng: Any, sharding: Any) -> jax.Array:
    plan, storage = choice.plan, choice.spec.storage

    def fill(out: npt.NDArray[Any], block: Sequence[range]) -> None:
        if isinstance(plan, Plan):
            plan.fill_block(out.view(storage), rng, tuple(block))
        else:
            _fill_rows(plan, out.view(storage), rng, block)

    return placed(tuple(leaf.shape), _dtype(leaf), fill, sharding)


def _fill_rows(plan: TensorPlan, out: npt.NDArray[Any], rng: Any, block: Sequence[range]) -> None:
    """Write a block in rows, whose elements follow each other in the full tensor."""
    shape = plan.shape
    split = max((axis for axis, part in enumerate(block) if len(part) < shape[axis]), default=0)
    if split and not plan.addressable:  # each row would cost the full tensor
        full = np.empty(shape, out.dtype)
        plan.fill(full.reshape(-1), rng)
        out[...] = full[np.ix_(*block)]
        return
    outer = [len(part) for part in block[:split]]
    for at in np.ndindex(*outer):
        first = [part[i] for part, i in zip(block, at, strict=False)]
        first += [part.start for part in block[split:]]
        start = np.ravel_multi_index(first, shape) if out.size and shape else 0
        plan.fill(out[at].reshape(-1), rng, int(start))
