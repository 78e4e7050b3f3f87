"""Lists of tensors as Python has them, of torch, NumPy, JAX and by hand."""

from collections import namedtuple

import flax.linen
import jax
import ml_dtypes
import numpy as np
import pytest
import torch
from flax.core import freeze

import fastinit.jax
from fastinit import checkpoint, init
from fastinit.checkpoint import BadInput, TensorSpec, manifest

LISTED = {"0.weight": {"dtype": "F32", "shape": [4, 3]}, "0.bias": {"dtype": "F32", "shape": [4]}}
LISTED |= {"1.weight": {"dtype": "BF16", "shape": [2, 4]}, "1.bias": {"dtype": "BF16", "shape": [2]}}


def net():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, dtype=torch.bfloat16))


def structs(kind):
    bf16 = jax.numpy.bfloat16
    return [
        {"weight": kind((4, 3), np.float32), "bias": kind((4,), np.float32)},
        {"weight": kind((2, 4), bf16), "bias": kind((2,), bf16)},
    ]


Layer = namedtuple("Layer", "weight bias")
NUMPYS = {"F32": np.float32, "BF16": ml_dtypes.bfloat16}

SOURCES = {
    "a state_dict": lambda: net().state_dict(),
    "its items": lambda: net().state_dict().items(),
    "named_parameters": lambda: net().named_parameters(),
    "a list of them": lambda: list(net().named_parameters()),
    "of the meta device": lambda: net().to("meta").state_dict(),
    "arrays": lambda: {name: np.empty(each["shape"], NUMPYS[each["dtype"]]) for name, each in LISTED.items()},
    "a tree": lambda: structs(jax.ShapeDtypeStruct),
    "a tree of dicts": lambda: {str(i): each for i, each in enumerate(structs(jax.numpy.zeros))},
    "a frozen tree": lambda: freeze(dict(enumerate(structs(jax.numpy.zeros)))),
    "a tree of tuples": lambda: tuple(Layer(**each) for each in structs(jax.ShapeDtypeStruct)),
    "specs": lambda: {spec.name: spec for spec in manifest.read(LISTED)},
    "mappings in a tree": lambda: [{key: LISTED[f"{i}.{key}"] for key in ("weight", "bias")} for i in (0, 1)],
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_what_python_has(source, tmp_path):
    rules = {"*.weight": "normal(0, 0.02)", "*": "zeros"}
    expected = dict(checkpoint.tensors(LISTED, seed=3, init=rules))
    found = dict(checkpoint.tensors(source(), seed=3, init=rules))
    assert [*found] == [*expected]
    for name, each in expected.items():
        assert found[name].dtype == each.dtype
        assert np.array_equal(found[name], each)
    summary = checkpoint.generate(source(), tmp_path, seed=3, init=rules)
    assert summary.recipe_digest == checkpoint.plan(LISTED, seed=3, init=rules).recipe.digest


def test_the_names_of_a_tree_are_those_of_fastinit_jax():
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            return flax.linen.Dense(3)(flax.linen.Conv(4, (3,))(x))

    tree = jax.eval_shape(Net().init, jax.random.key(0), jax.numpy.ones((1, 8, 2)))
    rules = {"*.kernel": {"init": "he_normal", "layout": "io"}, "*": "zeros"}
    made = dict(checkpoint.tensors(tree, seed=7, init=rules))
    there = jax.tree_util.tree_flatten_with_path(fastinit.jax.initialize(tree, 7, rules))[0]
    assert {jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in there} == made.keys()
    for path, leaf in there:
        assert np.array_equal(made[jax.tree_util.keystr(path, simple=True, separator=".")], leaf)


def test_a_branch_without_entries_is_left_out():
    tensor = TensorSpec("a", "F32", (2,))
    assert manifest.read({"a": tensor, "b": None, "c": {}, "d": [], "e": [None, {"f": tensor}]}) == [
        tensor,
        TensorSpec("e.1.f", "F32", (2,)),
    ]
    for empty in ({}, [], iter(()), {"a": {}}):
        with pytest.raises(BadInput, match="the manifest: lists no tensor"):
            manifest.read(empty)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"a": 3}, r"tensor 'a' must have \.dtype and \.shape, but is 3"),
        ({"a": "F32"}, r"tensor 'a' must have .* but is 'F32'"),
        ({"a": {"b": [np.ones(2), (2, 3)]}}, r"tensor 'a\.b\.1\.0' must have"),
        ({"a": {"dtype": "F32"}}, 'tensor \'a\' must be {"dtype": ..., "shape": '),
        ({"a": {"dtype": np.ones(2), "shape": [2]}}, "tensor 'a' has dtype array"),
        ({("a", 1): np.ones(2)}, r"names are of strings and integers, not \('a', 1\)"),
        ({"a.b": np.ones(2), "a": {"b": np.ones(2)}}, r"'a\.b' is there twice"),
        ([("a", np.ones(2)), ("a", np.ones(2))], "'a' is there twice"),
        (iter(["ab"]), "tensor '0' must have"),
        ({"": np.ones(2)}, "a tensor's name must be a string with something in it"),
        ({"a": np.array(["x"])}, "'a' has dtype"),
        ({"a": np.ones(2, np.complex128)}, "'a' has dtype"),
        ({"a": torch.nn.parameter.UninitializedParameter()}, "tensor 'a': Can't access the shape"),
        (torch.nn.Linear(2, 2), r"a list of tensors, not a Linear: give its state_dict\(\)"),
        (torch.nn.Sequential(), r"not a Sequential: give its state_dict\(\)"),
    ],
)
def test_entries_that_are_none(source, message):
    with pytest.raises(BadInput, match=message) as error:
        checkpoint.tensors(source, init="torch")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("init", [init.get("normal", std=0.5), "normal(0, 0.5)", "normal(std=0.5)"])
def test_an_initialiser_makes_all_matrices(init):
    planned = checkpoint.plan(net().state_dict(), init=init)
    assert planned.recipe.rules_from == "normal(std=0.5) for every matrix"
    assert [choice.label for choice in planned.recipe.choices] == ["normal(std=0.5)", "zeros"] * 2
