"""Layers of widths and of models."""

import numpy as np
import pytest

from fastinit import checkpoint, init, random
from fastinit.checkpoint import BadInput
from fastinit.checkpoint.manifest import GPT2
from fastinit.propagation import chains

LIST = {
    "embed.weight": {"dtype": "F32", "shape": [1000, 8]},
    "a.weight": {"dtype": "F32", "shape": [16, 8]},
    "side.weight": {"dtype": "F32", "shape": [5, 8]},
    "a.bias": {"dtype": "F32", "shape": [16]},
    "b.weight": {"dtype": "F32", "shape": [4, 16]},
    "conv.weight": {"dtype": "F32", "shape": [4, 4, 3, 3]},
    "position_ids": {"dtype": "I64", "shape": [1, 4]},
    "as_long_but_later.weight": {"dtype": "F32", "shape": [4, 5]},
    "c.weight": {"dtype": "F32", "shape": [6, 4]},
}


@pytest.fixture
def file(tmp_path):
    checkpoint.generate(LIST, tmp_path / "a.safetensors", init="torch", seed=3)
    return tmp_path / "a.safetensors"


def test_the_longest_chain_whose_fans_match(file):
    with pytest.warns(UserWarning, match="no known family"):
        chain = chains.of_model(file)
    assert [(each.name, each.fan_in, each.fan_out) for each in chain] == [
        ("a.weight", 8, 16),
        ("b.weight", 16, 4),
        ("c.weight", 4, 6),
    ]


def test_own_weights_are_those_of_the_checkpoint():
    with pytest.warns(UserWarning, match="no known family"):
        chain = chains.of_model(LIST)
    with pytest.warns(UserWarning, match="no known family"):
        tensors = dict(checkpoint.tensors(LIST, seed=3, dtype="F32"))
    for layer in chain:
        np.testing.assert_array_equal(layer.weight(None, random.default_rng(3)), tensors[layer.name])


def test_gpt2_has_its_layout_and_stds():
    chain = chains.of_model(GPT2)
    assert len(chain) == 36  # in each block: the projections of attention, and both layers behind it
    assert [each.fan_out for each in chain[:3]] == [768, 3072, 768]
    assert all(layer.io and layer.plan(None).std > 0 for layer in chain)
    weight = chain[1].weight(None, random.default_rng(0))
    assert weight.shape == (3072, 768)
    assert weight.std() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("io", [False, True])
def test_a_weight_has_the_initialisers_fans_and_its_names_stream(io):
    layer = chains.Layer("w", 30, 50, io)
    own = init.get("kaiming_normal")
    rng = random.default_rng(1)
    again = own(layer.shape, layout="io" if io else "oi", rng=random.default_rng(1).fold_in("w"))
    weight = layer.weight(own, rng)
    np.testing.assert_array_equal(weight, again.T if io else again)
    np.testing.assert_array_equal(weight, layer.weight(own, rng))
    assert weight.std() == pytest.approx((2 / 30) ** 0.5, rel=0.1)


@pytest.mark.parametrize("widths", [[], [5], [5, 1], [5, 0], [5, -3], [5, 1 << 30]])
def test_widths_that_cannot_be(widths):
    with pytest.raises(BadInput, match="width"):
        chains.of_widths(widths)


def test_lists_without_a_chain():
    for bad in (
        {"a.bias": {"dtype": "F32", "shape": [3]}},
        {"wte.weight": {"dtype": "F32", "shape": [9, 3]}},
    ):
        with pytest.warns(UserWarning, match="no known family"), pytest.raises(BadInput, match="no matrix"):
            chains.of_model(bad)


@pytest.mark.parametrize(
    ("name", "spec"), [("he", "kaiming_normal(nonlinearity=relu)"), ("xavier", "xavier_uniform")]
)
def test_presets_of_rules(name, spec):
    chain = chains.of_widths([4, 5])
    assert chains.initializer_of(name, "relu", chain).spec == init.get(spec).spec


def test_initialisers():
    chain = chains.of_widths([4, 4])
    assert (
        chains.initializer_of("recommended", "leaky_relu(negative_slope=0.2)", chain).spec
        == "kaiming_normal(a=0.2)"
    )
    for bad in ("nope", "own", "normal(std=-1)", "normal(", "delta_orthogonal", 3):
        with pytest.raises(BadInput, match="init"):
            chains.initializer_of(bad, "relu", chain)
