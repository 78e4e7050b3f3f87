"""The sources of rules: presets, files and lists, and the ones that are refused."""

import math
import re
from pathlib import Path

import pytest
from specs import choose, f32

from fastinit import init
from fastinit.checkpoint import BadInput, Rule, sources
from fastinit.checkpoint.recipe import resolve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "rules.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("init", [None, 3, Rule("*", "zeros")])
def test_what_is_no_rules(init):
    with pytest.raises(BadInput, match="init must be a preset's name, a TOML file or a list of rules"):
        choose([f32("a", 1)], init)


def test_patterns_with_their_initialisers():
    rules = {
        "a.*": init.get("constant", value=2),
        "/b$/": "constant(0.25)",
        "*": {"init": "ones", "layout": "io"},
    }
    names = "a.x", "b", "c"
    choices = choose([f32(name, 2, 3) for name in names], rules)
    assert [choice.label for choice in choices] == [
        "constant(value=2.0)",
        "constant(value=0.25)",
        "ones layout=io",
    ]
    recipe = resolve([f32("b", 2, 3)], rules)
    assert (recipe.rules_from, recipe.unused) == ("the rules given", ["a.*", "*"])
    tables = [{"match": "*", "init": init.get("constant", value=2)}]
    assert [choice.label for choice in choose([f32("b", 1)], tables)] == ["constant(value=2.0)"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"*": 3}, "init: rule 1: init must be a string, not 3"),
        ({"a": "ones", "*": "nothing"}, "init: rule 2: .*unknown initialiser 'nothing'"),
        ({3: "ones"}, "init: rule 1: match must be a string, not 3"),
        ({"match": "*", "init": "ones"}, "init is one rule: give a list of rules"),
        ({"*": {"layout": "io"}}, "init: rule 1: lacks init"),
        ({}, "the rules given: no rule matches tensor 'a'"),
        ({"b": "ones"}, "the rules given: no rule matches tensor 'a'"),
    ],
)
def test_patterns_that_are_refused(rules, message):
    with pytest.raises(BadInput, match=message):
        choose([f32("a", 1)], rules)


def test_any_name_of_a_file_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text('[[rule]]\nmatch = "*"\ninit = "ones"\n', "utf-8-sig")
    assert resolve([f32("a", 1)], "mine.txt").rules_from == "mine.txt"


def test_a_file(toml):
    path = toml("""
        [[rule]]
        match = '/^a/'
        init = "normal(std=0.5)"
        layout = "io"

        [[rule]]
        match = "*"
        init = "zeros"
    """)
    recipe = resolve([f32("b", 2, 3), f32("ab", 2, 3)], path)
    assert [choice.label for choice in recipe.choices] == ["zeros", "normal(std=0.5) layout=io"]
    assert recipe.rules_from == str(path)
    assert recipe.rules == [Rule("/^a/", "normal(std=0.5)", layout="io"), Rule("*", "zeros")]


def test_own_rules_come_before_those_of_the_preset_they_extend(toml):
    path = toml('extends = "he"\n[[rule]]\nmatch = "head.*"\ninit = "zeros"\n')
    choices = choose([f32("head.weight", 4, 5), f32("body.weight", 4, 5)], path)
    assert [choice.std for choice in choices] == [0.0, math.sqrt(2 / 5)]


def test_rules_that_made_nothing_are_named(toml):
    path = toml('extends = "he"\n[[rule]]\nmatch = "haed.*"\ninit = "zeros"\n')
    assert resolve([f32("head.weight", 4, 5)], path).unused == ["haed.*"]
    assert resolve([f32("head.weight", 4, 5)], "he").unused == []


@pytest.mark.parametrize("preset", sources.PRESETS)
def test_a_preset_is_a_file_to_start_from(preset, toml):
    specs = [
        f32("h.0.attn.c_proj.weight", 4, 5, 1, 1),
        f32("classifier.1.weight", 4, 5),
        f32("n.bias", 4),
    ]
    assert resolve(specs, toml(sources.preset_toml(preset))).rules == resolve(specs, preset).rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no \[\[rule\]\]"),
        ("rule = []", r"has no \[\[rule\]\]"),
        ("rule = 3", "must be a list"),
        ("rule = [3]", "rule 1: must be a table"),
        ("[[rule]", "is not valid TOML"),
        (b"\xff = 1", "is not UTF-8"),
        ("[[rules]]\nmatch='*'\ninit='zeros'", "unknown key 'rules'"),
        (
            "[[rule]]\nmatch='*'\ninit='zeros'\n[[rule]]\nmatch='*'\ninti='zeros'",
            "rule 2: unknown key 'inti'",
        ),
        ("[[rule]]\nmatch='*'", "rule 1: lacks init"),
        ("[[rule]]\nlayout='oi'", "rule 1: lacks init and match"),
        ("[[rule]]\nmatch=''\ninit='zeros'", "rule 1: match is empty"),
        ("[[rule]]\nmatch=3\ninit='zeros'", "rule 1: match must be a string, not 3"),
        ("[[rule]]\nmatch='/(/'\ninit='zeros'", r"rule 1: match '/\(/' is not a regular expression"),
        ("[[rule]]\nmatch='*'\ninit='zeroes'", "rule 1: init 'zeroes': unknown initialiser"),
        ("[[rule]]\nmatch='*'\ninit='normal(std=-1)'", "rule 1: init .*must not be negative"),
        ("[[rule]]\nmatch='*'\ninit='normal(std={0.02 / depth})'", "rule 1: init .*unknown name 'depth'"),
        ("[[rule]]\nmatch='*'\ninit='normal(std={2 ** 3})'", r"rule 1: init .*'2 \*\* 3' is not made of"),
        ("[[rule]]\nmatch='*'\ninit='inv_freq(base=0)'", "rule 1: init 'inv_freq"),
        (
            "[[rule]]\nmatch='*'\ninit='zeros'\nlayout='hwio'",
            "rule 1: unknown layout 'hwio'; known are oi, io",
        ),
        ("[[rule]]\nmatch='*'\ninit='zeros'\nmin_ndim=true", "rule 1: min_ndim must be an integer"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\npadding_idx=-1", "rule 1: padding_idx cannot be negative"),
        ("extends = 'gpt3'", "unknown preset 'gpt3'; known are "),
        ("extends = 3", "unknown preset 3"),
    ],
)
def test_a_malformed_file_is_one_clear_line(text, message, toml):
    path = toml(text)
    with pytest.raises(BadInput, match=message) as raised:
        choose([f32("a", 1)], path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value) or "preset" in str(raised.value)


def test_unknown_presets_list_the_known(tmp_path):
    with pytest.raises(BadInput, match=f"unknown preset 'kaiming'; known are {', '.join(sources.PRESETS)}"):
        choose([f32("a", 1)], "kaiming")
    with pytest.raises(BadInput, match="No such file"):
        choose([f32("a", 1)], str(tmp_path / "none.toml"))


def test_the_documentations_examples_are_rules(toml):
    text = (ROOT / "docs" / "rules.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    specs = [f32(name, 4, 4) for name in ("h.1.c_proj.weight", "lm_head.weight", "h.0.q.weight")]
    labels = [[choice.label for choice in choose(specs, toml(example))] for example in examples]
    assert labels[0][2] == "xavier_uniform(gain=0.5) layout=io"
    assert labels[1][0] == "normal(std=0.01)"
    assert labels[2][1] == "zeros"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config = 3", "config must be a table"),
        ("[tied]\na = 3", "tied must name tensors, not 3"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\nsizes=3", "rule 1: init 'zeros': sizes must be a table"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\nsizes={n='b'}", r"size 'b' must be a name and \[axis\]"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\nsizes={n=[3]}", "rule 1: init 'zeros': expected string"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\nwithout='\\1'", "rule 1: init 'zeros': invalid group reference"),
        ("[[rule]]\nmatch='*'\ninit='normal(std={initializer_range})'", "unknown name 'initializer_range'"),
        ("[[rule]]\nmatch='*'\ninit='zeros'\npadding_idx='pad'", "padding_idx must be an integer"),
    ],
)
def test_a_malformed_template_is_one_clear_line(text, message, toml):
    with pytest.raises(BadInput, match=message) as raised:
        choose([f32("a", 1)], toml(text))
    assert "\n" not in str(raised.value)


def test_what_a_rule_takes_from_other_tensors(toml):
    path = toml(r"""
        [config]
        initializer_range = 0.5
        pad_token_id = 1

        [tied]
        "head.weight" = "embed.weight"

        [[rule]]
        match = '/^(.*)\.in\.weight$/'
        init = "constant(value={n + initializer_range})"
        sizes = { n = ['\1.out.weight[1]', '\1.bias[0]'] }

        [[rule]]
        match = '/^(.*)\.in\.weight$/'
        init = "constant(value={n})"
        sizes = { n = '*.out.weight[#]' }

        [[rule]]
        match = "embed.weight"
        init = "normal(std={initializer_range})"
        padding_idx = "pad_token_id"

        [[rule]]
        match = "*"
        init = "zeros"
    """)
    shapes = {
        "a.in.weight": (2, 3),
        "a.out.weight": (4, 5),
        "b.in.weight": (2, 3),
        "b.bias": (7,),
        "c.in.weight": (2, 3),
    }
    choices = choose([f32(name, *shape) for name, shape in shapes.items()], path)
    assert [choice.mean for choice in choices] == [5.5, 0, 7.5, 0, 1]
    embed, head = choose([f32("embed.weight", 9, 4), f32("head.weight", 9, 4)], path)
    assert (embed.rule.padding_idx, head.rule.padding_idx, head.stream) == (1, 1, "embed.weight")
    assert choose([f32("embed.weight", 1, 4)], path)[0].rule.padding_idx is None


def test_the_keys_of_a_table_are_named(toml):
    path = toml('[[rule]]\nmatch = "*"\ninit = "ones"\nlayuot = "io"\n')
    with pytest.raises(BadInput, match=r"unknown key 'layuot'; known are match, .*, data, sizes, without$"):
        resolve([f32("a", 1)], path)
    with pytest.raises(BadInput, match=r"known are match, .*, data$"):
        choose([f32("a", 1)], [{"match": "*", "init": "ones", "layuot": "io"}])
