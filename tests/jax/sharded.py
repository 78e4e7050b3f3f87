"""Compares sharded arrays with NumPy's on all devices of a process; prints each case. For test_sharded.py."""

import re

import jax
import numpy as np
import one_digest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import fastinit.jax as fj
from fastinit.checkpoint import Rule
from fastinit.random import default_rng

KEY, SHAPE = jax.random.key(7), (64, 48)
MESHES = {1: [(1,)], 2: [(2,), (2, 1)], 8: [(8,), (4, 2), (2, 4)]}  # by the number of devices
TREE = {
    "a": jax.ShapeDtypeStruct((16, 24), "float32"),
    "b": [jax.ShapeDtypeStruct((16, 8), "bfloat16"), jax.ShapeDtypeStruct((8, 16), "float32")],
}
RULES = [
    Rule("a", "normal", then=("* 0.5", "[3] = ones")),
    Rule("b.0", "orthogonal", then=("* 2",)),
    Rule("*", "he_normal"),
]
SPECS = [P(), P("x"), P(None, "x"), P("x", "y"), P("y", "x"), P(("x", "y")), P(None, ("x", "y"))]
COMMUNICATION = re.compile(r"all-gather|all-reduce|all-to-all|collective|callback")


def mesh_of(sizes, kind=AxisType.Auto):
    return jax.make_mesh(sizes, ("x", "y")[: len(sizes)], axis_types=(kind,) * len(sizes))


def check(array, expected, sharding):
    assert np.array_equal(np.asarray(array), expected)
    assert array.sharding.is_equivalent_to(sharding, array.ndim), array.sharding


def check_program(function, expected, sharding):
    """Each device of a jitted function makes its own part alone."""
    check(function(KEY), expected, sharding)
    text = function.lower(KEY).compile().as_text()
    made = re.findall(r" \w+\[([\d,]+)\]\S* custom-call\([^\n]*fastinit_fill", text)
    assert {tuple(map(int, each.split(","))) for each in made} == {sharding.shard_shape(expected.shape)}, made
    assert not COMMUNICATION.search(text)


def check_spec(sizes, spec):
    sharding = NamedSharding(mesh_of(sizes), spec)
    law = fj.he_normal()
    full = np.asarray(law(KEY, SHAPE))

    check(law(KEY, SHAPE, out_sharding=sharding), full, sharding)
    one, other = default_rng(7), default_rng(7)
    check(law(one, SHAPE, out_sharding=sharding), np.asarray(law(other, SHAPE)), sharding)
    assert one.random() == other.random()
    check_program(jax.jit(lambda key: law(key, SHAPE), out_shardings=sharding), full, sharding)
    check_program(jax.jit(lambda key: law(key, SHAPE, out_sharding=sharding)), full, sharding)

    with jax.set_mesh(sharding.mesh):
        check(law(KEY, SHAPE, out_sharding=spec), full, sharding)
        check_program(jax.jit(lambda key: law(key, SHAPE, out_sharding=spec)), full, sharding)
        later = jax.jit(lambda key: jax.lax.with_sharding_constraint(law(key, SHAPE), spec))
        check_program(later, full, sharding)
    explicit = NamedSharding(mesh_of(sizes, AxisType.Explicit), spec)
    with jax.set_mesh(explicit.mesh):
        check(law(KEY, SHAPE, out_sharding=spec), full, explicit)
        check_program(jax.jit(lambda key: law(key, SHAPE, out_sharding=spec)), full, explicit)
        everywhere = NamedSharding(explicit.mesh, P())
        check_program(jax.jit(lambda key: law(key, SHAPE)), full, everywhere)

    keys = jax.random.split(KEY, 8)
    batch = NamedSharding(sharding.mesh, P("x") if spec == P() else P(None, *spec))
    many = jax.jit(jax.vmap(lambda key: law(key, SHAPE)), out_shardings=batch)
    check(many(keys), np.stack([law(key, SHAPE) for key in keys]), batch)
    assert "all-gather" not in many.lower(keys).compile().as_text()


def check_other_laws(sizes):
    sharding = NamedSharding(mesh_of(sizes), P(None, "x"))
    for name in ("normal", "uniform", "truncated_normal", "orthogonal"):
        law = getattr(fj, name)(dtype="bfloat16")
        full = np.asarray(law(KEY, (6, 16)))
        check(law(KEY, (6, 16), out_sharding=sharding), full, sharding)
        check(jax.jit(lambda key, law=law: law(key, (6, 16)), out_shardings=sharding)(KEY), full, sharding)


def check_trees(sizes):
    alone = fj.initialize(TREE, 7, RULES)
    for spec in (P("x"), P(None, "x"), P(*("x", "y")[: len(sizes)])):
        sharding = NamedSharding(mesh_of(sizes), spec)
        made = fj.initialize(TREE, 7, RULES, sharding=sharding)
        for one, other in zip(jax.tree.leaves(made), jax.tree.leaves(alone), strict=True):
            check(one, np.asarray(other), sharding)


def check_digest(sizes):
    """The list of all frameworks has its digest; an axis that the devices divide is shared between them."""
    mesh = mesh_of(sizes)

    def sharding(shape):
        axis = next((axis for axis, size in enumerate(shape) if size and size % sizes[0] == 0), None)
        return NamedSharding(mesh, P(*("x" if each == axis else None for each in range(len(shape)))))

    tree = {
        name: jax.ShapeDtypeStruct(shape, one_digest.DTYPES[dtype])
        for name, dtype, shape, _ in one_digest.ROWS
    }
    shardings = {name: sharding(struct.shape) for name, struct in tree.items()}
    for placed in (None, shardings):
        made = fj.initialize(tree, one_digest.SEED, one_digest.RULES, sharding=placed)
        assert one_digest.digest(jax.tree.map(np.asarray, made)) == one_digest.NAMED

    def by_key(law, shape, dtype):
        name = "_".join(re.findall("[A-Z][a-z]+", law)).lower()
        return np.asarray(getattr(fj, name)()(default_rng(one_digest.SEED), shape, dtype))

    assert one_digest.of_seed(by_key) == one_digest.SEEDED


def check_device():
    """An array is where its key is, as JAX's."""
    for device in jax.devices():
        for key in (KEY, jax.random.PRNGKey(7)):
            there = jax.device_put(key, device)
            made = fj.he_normal()(there, SHAPE)
            assert made.devices() == jax.nn.initializers.he_normal()(there, SHAPE).devices() == {device}
            assert np.array_equal(made, fj.he_normal()(key, SHAPE))


def main():
    check_device()
    for sizes in MESHES[len(jax.devices())]:
        for spec in SPECS[: 3 if len(sizes) == 1 else None]:
            check_spec(sizes, spec)
            print(sizes, spec)
        check_other_laws(sizes)
        check_trees(sizes)
        check_digest(sizes)


if __name__ == "__main__":
    main()
