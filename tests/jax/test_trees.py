import flax.linen
import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from fastinit.checkpoint import BadInput, Rule, tensors
from fastinit.init import he_normal
from fastinit.jax import initialize
from fastinit.random import default_rng

RULES = [
    Rule("*kernel*", "he_normal", layout="io"),
    Rule("*orthogonal", "orthogonal"),
    Rule("*norm", "normal(std=2)", then=("* 0.5", "[0] = zeros")),
    Rule("*scaled", "orthogonal", then=("* 0.5",)),
    Rule("*var*", "ones"),
    Rule("*", "uniform(low=-1)"),
]


class Linen(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        return flax.linen.Dense(3)(flax.linen.Conv(4, (3,))(x))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 3, rngs=rngs), nnx.Dropout(0.1, rngs=rngs)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)


def shape_of(dtype, *shape):
    return jax.ShapeDtypeStruct(shape, dtype)


TREES = {
    "dict": lambda: {
        "a": [shape_of(each, 5, 4) for each in ("float16", "bfloat16", "float32", "float8_e4m3fn")],
        "b": {"orthogonal": shape_of("float32", 5, 4), "norm": shape_of("float32", 6, 4)},
        "scaled": shape_of("float32", 5, 4),
        "empty": shape_of("float32", 0, 4),
        "one": shape_of("float32"),
    },
    "linen": lambda: jax.eval_shape(Linen().init, jax.random.key(0), jnp.ones((1, 5, 2))),
    "nnx": lambda: nnx.state(nnx.eval_shape(lambda: Nnx(nnx.Rngs(0))), nnx.Param),
}


def named(tree):
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}


def compare(made, tree):
    made, leaves = named(made), named(tree)
    manifest = {name: {"dtype": str(leaf.dtype), "shape": list(leaf.shape)} for name, leaf in leaves.items()}
    expected = dict(tensors(manifest, seed=7, init=RULES))
    assert made.keys() == expected.keys()
    for name, array in made.items():
        assert (array.dtype, array.shape) == (leaves[name].dtype, leaves[name].shape)
        assert np.asarray(array).tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("tree", TREES)
def test_values_are_the_checkpoints(tree):
    tree = TREES[tree]()
    compare(initialize(tree, 7, RULES), tree)


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("sharding", ["one", "tree"])
def test_values_do_not_depend_on_the_sharding(tree, sharding):
    tree = TREES[tree]()
    place = NamedSharding(jax.make_mesh((1,), ("x",)), PartitionSpec())
    made = initialize(
        tree, 7, RULES, sharding=place if sharding == "one" else jax.tree.map(lambda _: place, tree)
    )
    assert {array.sharding for array in jax.tree.leaves(made)} == {place}
    compare(made, tree)


def test_names_are_paths():
    expected = he_normal((2, 3), layout="io", rng=default_rng(7).fold_in("layers.0.kernel.value"))
    made = initialize(nnx.eval_shape(lambda: Nnx(nnx.Rngs(0))), 7, RULES)
    assert isinstance(made, Nnx)
    assert np.array_equal(made.layers[0].kernel, expected)
    expected = he_normal((4, 3), layout="io", rng=default_rng(7).fold_in("params.Dense_0.kernel"))
    assert np.array_equal(initialize(TREES["linen"](), 7, RULES)["params"]["Dense_0"]["kernel"], expected)


def test_a_model_runs_with_its_values():
    model = initialize(Nnx(nnx.Rngs(0)), 7, RULES)
    assert model.norm(model.layers[0](jnp.ones((4, 2)))).shape == (4, 3)
    values = initialize(TREES["linen"](), 7, RULES)
    assert Linen().apply(values, jnp.ones((1, 5, 2))).shape == (1, 5, 3)


def test_leaves_that_are_no_floats_stay():
    tree = {
        "key": jax.random.key(3),
        "count": jnp.arange(3),
        "steps": jnp.arange(2),
        "kernel": jnp.ones((2, 2)),
    }
    rules = [Rule("kernel", "normal"), Rule("steps", "ones")]
    made = initialize(tree, 7, rules)
    assert made["key"] is tree["key"]
    assert made["count"] is tree["count"]
    assert made["steps"].tolist() == [1, 1]
    assert made["steps"].dtype == tree["steps"].dtype
    assert tree["kernel"].tolist() == [[1, 1], [1, 1]]


def test_a_prefix_of_shardings():
    tree, place = (
        {"a": {"x": shape_of("float32", 3)}, "b": shape_of("float32", 3)},
        SingleDeviceSharding(jax.devices()[0]),
    )
    made = initialize(tree, 7, RULES, sharding={"a": place, "b": None})
    assert made["a"]["x"].sharding == place
    compare(made, tree)


def test_float64_is_canonical():
    tree = {"kernel": shape_of("float64", 3, 2)}
    assert initialize(tree, 7, RULES)["kernel"].dtype == np.float32
    with jax.enable_x64(True):
        compare(initialize(tree, 7, RULES), tree)


@pytest.mark.parametrize(
    ("tree", "seed", "rules", "message"),
    [
        ({"a": shape_of("float32", 3)}, 7, [Rule("b", "normal")], "no rule matches tensor 'a'"),
        ({"a": shape_of("float32", 3)}, 7, [Rule("a", "he_normal")], "fans need two axes"),
        ({"a.b": shape_of("float32", 3), "a": {"b": shape_of("float32", 3)}}, 7, RULES, "have one name"),
        ({"a": shape_of("float32", 3)}, -1, RULES, "must not be negative"),
    ],
)
def test_errors(tree, seed, rules, message):
    with pytest.raises(BadInput, match=message):
        initialize(tree, seed, rules)
