"""Matching: the rule of a tensor, and the values that it takes from other tensors."""

import glob

import pytest
from specs import choose, f32

from fastinit.checkpoint import BadInput, Rule, TensorSpec
from fastinit.checkpoint.recipe import resolve


@pytest.mark.parametrize(
    ("match", "name", "matches"),
    [
        ("*.weight", "fc.weight", True),
        ("*.weight", "fc.weight_g", False),
        ("*.weight", "fc.Weight", False),
        ("fc", "fc.weight", False),
        ("layer.[0-3].*", "layer.2.bias", True),
        ("layer.[0-3].*", "layer.4.bias", False),
        ("/weight/", "fc.weight_g", True),
        ("/^weight/", "fc.weight_g", False),
        (r"/\.\d+\.(q|k)\./", "h.11.k.weight", True),
        ("/", "a/b", False),
    ],
)
def test_globs_take_the_whole_name_and_regexes_any_part(match, name, matches):
    choices = choose([f32(name, 3)], [Rule(match, "ones"), Rule("*", "zeros")])
    assert (choices[0].match == match) is matches


def test_the_first_match_wins():
    ordered = [Rule("a.*", "zeros"), Rule("*", "ones"), Rule("b.*", "zeros")]
    choices = choose([f32("b.x", 1), f32("a.x", 1)], ordered)
    assert [choice.match for choice in choices] == ["*", "a.*"]


@pytest.mark.parametrize("name", ["a", "a[0].b", "a*b?", "[", "[*]", "a]"])
def test_rules_of_one_name_keep_their_place(name):
    named, other = Rule(glob.escape(name), "ones"), Rule("*", "zeros")
    specs = [f32(name, 2), f32(f"{name}.", 2)]
    assert [choice.match for choice in choose(specs, [named, other])] == [named.match, "*"]
    assert [choice.match for choice in choose(specs, [other, named])] == ["*", "*"]
    passed_over = Rule(glob.escape(name), "ones", min_ndim=2)
    assert [choice.match for choice in choose(specs, [passed_over, other, named])] == ["*", "*"]


def test_axes_are_counted():
    ordered = [Rule("*", "ones", max_ndim=1), Rule("*", "zeros", min_ndim=3), Rule("*", "normal")]
    specs = [f32("a", *(2,) * n) for n in range(5)]
    labels = [choose([spec], ordered)[0].label for spec in specs]
    assert labels == ["ones", "ones", "normal", "zeros", "zeros"]


def test_an_unmatched_tensor_is_named():
    with pytest.raises(BadInput, match=r"no rule matches tensor 'b\.x', F32 \[1, 2\]"):
        choose([f32("a", 1), f32("b.x", 1, 2)], [Rule("a", "zeros")])


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (["experts.7.layers.3.x", "heads.9.y"], 4),
        (["h.2.experts.40.x", "layer.5.y"], 6),
        (["enc.11.x", "9.y"], 12),
    ],
)
def test_layers_stand_behind_their_name(names, layers):
    recipe = resolve([f32(name, 1) for name in names], [Rule("*", "constant(value={layers})")])
    assert recipe.layers == recipe.choices[0].mean == layers
    assert resolve([f32(name, 1) for name in names], [Rule("*", "ones")]).layers is None


def test_layers_are_the_highest_number_of_a_block():
    rule = Rule("*", "constant(value={layers})")
    specs = [f32(name, 1) for name in ("wte", "h.0.a.7.x", "h.11.a", "h.2.b")]
    assert choose(specs, [rule])[0].mean == 12
    with pytest.raises(BadInput, match="uses layers, which nothing in the manifest tells"):
        choose(specs[:1], [rule])


def test_fan_in_is_that_of_the_weight_beside():
    ordered = [
        Rule("*.bias", "constant(value={fan_in})"),
        Rule("io.*", "normal", layout="io"),
        Rule("*", "zeros"),
    ]
    specs = [f32(f"{at}.weight", 5, 7, 3) for at in ("oi", "io")]
    specs += [f32("flat.weight", 5, 7), f32("norm.weight", 4)]
    specs += [f32(f"{at}.bias", 9) for at in ("oi", "io", "flat", "norm", "lone")]
    means = {choice.spec.name: choice.mean for choice in choose(specs, ordered)}
    assert means["oi.bias"] == 7 * 3
    assert means["io.bias"] == 5 * 7
    assert means["flat.bias"] == 7
    assert means["norm.bias"] == means["lone.bias"] == 0


def test_spelling_does_not_show():
    spellings = ["he_normal(mode=fan_in)", "kaiming_normal", "kaiming_normal( a = 0 )"]
    assert {choose([f32("a", 2, 2)], [Rule("*", text)])[0].label for text in spellings} == {"kaiming_normal"}
    mixed = [f32("a", 2), TensorSpec("b", "I64", (2,))]
    (recorded,) = resolve(mixed, [Rule("*", "constant( value=1)")]).rules
    assert [choice.label for choice in choose(mixed, [recorded])] == [recorded.init] * 2


def test_a_row_that_is_not_there():
    with pytest.raises(BadInput, match=r"tensor 'e', matched by '\*': padding_idx 5 is no row"):
        choose([f32("e", 5, 8)], [Rule("*", "normal", padding_idx=5)])


def test_an_impossible_initialiser_names_its_tensor():
    with pytest.raises(BadInput, match=r"tensor 'b', matched by '\*': fans need two axes"):
        choose([f32("b", 5)], [Rule("*", "xavier_normal")])
