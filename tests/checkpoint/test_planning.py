"""Plans describe what generate would write, and write nothing."""

import math
import os

import pytest

from fastinit.checkpoint import BadInput, Rule, generate, manifest, plan, planning, tensors

MODEL = {
    "h.0.fc.weight": {"dtype": "F32", "shape": [50, 70]},
    "h.0.fc.bias": {"dtype": "BF16", "shape": [50]},
    "h.3.fc.weight": {"dtype": "F32", "shape": [50, 70]},
}
RULES = [
    Rule("*.bias", "uniform(high={1 / sqrt(fan_in)})"),
    Rule("*", "normal(std={1 / layers})"),
    Rule("?", "ones"),
]


@pytest.mark.parametrize(
    "arguments", [{}, {"max_shard_size": 1}, {"only": "*bias"}, {"dtype": "F16", "seed": 3}]
)
@pytest.mark.parametrize("target", ["new", "one.safetensors"])
def test_generate_does_what_was_planned(tmp_path, target, arguments):
    planned = plan(MODEL, tmp_path / target, init=RULES, **arguments)
    assert [*tmp_path.iterdir()] == []
    summary = generate(MODEL, tmp_path / target, init=RULES, **arguments)
    assert planned.facts() == {key: getattr(summary, key) for key in planned.facts()}
    assert sorted(planned.files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for file, specs in planned.shards.items():
        assert {spec.name for spec in specs} == {spec.name for spec in manifest.read(planned.folder / file)}


def test_what_it_knows_of_a_tensor():
    planned = plan(MODEL, init=RULES)
    weight, bias, _ = planned.recipe.choices
    assert (weight.spec.name, weight.match, weight.label, weight.std) == (
        "h.0.fc.weight",
        "*",
        "normal(std=0.25)",
        0.25,
    )
    assert (bias.match, bias.rule.match) == ("*.bias", "h.0.fc.bias")
    assert bias.mean == pytest.approx(0.5 / math.sqrt(70))
    assert (planned.recipe.layers, planned.recipe.unused, planned.recipe.rules_from) == (
        4,
        ["?"],
        "the rules given",
    )
    assert (planned.tensors, planned.parameters, planned.bytes) == (3, 7050, 28100)


def test_there_may_be_no_target(monkeypatch):
    monkeypatch.setattr(planning, "_check_folder", pytest.fail)
    planned = plan(MODEL, init=RULES)
    assert (planned.files, planned.shards) == ([], {})
    assert [choice.spec.name for choice in planned.recipe.choices] == [
        name for name, _ in tensors(MODEL, init=RULES)
    ]


def test_a_part_has_the_rules_of_the_whole(tmp_path):
    whole, part = plan(MODEL, init=RULES).recipe, plan(MODEL, init=RULES, only="h.0.fc.bias").recipe
    assert [(each.spec, each.rule) for each in part.choices] == [
        (each.spec, each.rule) for each in whole.choices[1:2]
    ]
    assert part.rules == whole.rules
    assert part.digest != whole.digest


def test_tensors_that_are_left_out_need_no_rule():
    rules = [Rule("*.bias", "zeros")]
    planned = plan(MODEL, init=rules, only="*.bias")
    assert [choice.spec.name for choice in planned.recipe.choices] == ["h.0.fc.bias"]
    with pytest.raises(BadInput, match=r"no rule matches tensor 'h\.0\.fc\.weight', F32 \[50, 70\]$"):
        plan(MODEL, init=rules, only="h.0.*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"manifest": {}}, "no tensor"),
        ({"seed": -1}, "negative"),
        ({"init": "nonsense"}, "unknown preset"),
        ({"dtype": "F8"}, "F64, F32, F16, BF16"),
        ({"only": "x*"}, "no tensor matches"),
        ({"target": 3}, "target"),
        ({"max_shard_size": "5 parsecs"}, "5 parsecs"),
        ({"target": "missing/folder"}, "missing/folder: cannot be written: No such file or directory"),
        ({"target": "file"}, "file: cannot be written: is no folder, nor can it become one"),
        ({"target": "file/new"}, "file/new: cannot be written: is no folder, nor can it become one"),
        ({"target": "taken"}, r"taken/model\.safetensors: is a folder, where a file must go"),
    ],
)
def test_it_checks_everything(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "model.safetensors").mkdir(parents=True)
    with pytest.raises(BadInput, match=message):
        plan(**{"manifest": MODEL, "target": "new", "init": RULES, **arguments})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_names_are_looked_for_in_one_listing(tmp_path, monkeypatch):
    """Thousands of ranks would else look for each of thousands of names."""
    calls = []
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: calls.append(path) or lstat(path))
    model = {f"{number}.weight": {"dtype": "F32", "shape": [2, 2]} for number in range(300)}
    plan(model, tmp_path, init="he", max_shard_size=1)
    assert len(calls) <= 3
    (tmp_path / "model-00007-of-00300.safetensors").mkdir()
    with pytest.raises(
        BadInput, match=r"model-00007-of-00300\.safetensors: is a folder, where a file must go"
    ):
        plan(model, tmp_path, init="he", max_shard_size=1)
