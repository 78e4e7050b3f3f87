"""Patterns match as `re` and `fnmatch` do, in bounded time."""

import fnmatch
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from specs import f32

from fastinit.checkpoint import BadInput, Rule
from fastinit.checkpoint.matching import Model
from fastinit.checkpoint.patterns import Index, matcher

LETTERS = st.text("ab.*?[]!-0", max_size=12)


@given(LETTERS, st.lists(LETTERS, min_size=1, max_size=8))
@example("*ab*b", ["ab"])  # the last part may not be that of the middle, too
@example("a*a", ["a"])
def test_globs_are_those_of_fnmatch(pattern, names):
    for name in [*names, pattern, pattern.replace("*", "ab")]:
        if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
            continue
        assert bool(matcher(pattern)(name)) is fnmatch.fnmatchcase(name, pattern), (pattern, name)


@given(st.lists(LETTERS, max_size=12), st.lists(LETTERS, max_size=8))
def test_an_index_leaves_no_pattern_out(patterns, names):
    index = Index(dict(enumerate(patterns)))
    for name in [*names, *patterns]:
        matching = {number for number, pattern in enumerate(patterns) if matcher(pattern)(name)}
        assert matching <= set(index(name))


def test_an_index_finds_few():
    index = Index({number: f"layers.{number}.*" for number in range(1000)} | {1000: "*.bias", 1001: "/x/"})
    assert sorted(index("layers.7.bias")) == [7, 1000, 1001]


@pytest.mark.parametrize(
    "pattern",
    [
        "/^(a+)+$/",
        "/(a*)*b/",
        "/(a|a)*b/",
        "/(a|ab)+c/",
        "/((a?b?){2,9}){3,}c/",
        "/(?:.*a){12}/",
        "/(?:){4000000000}/",
        "/((?:a*){9}){9}b/",
    ],
)
def test_what_may_never_end_is_refused(pattern):
    with pytest.raises(BadInput, match=r"may never end$"):
        Rule(pattern, "ones")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("/a{99999999999}/", "the repetition number is too large"),
        ("/" + "(" * 5000 + "a" + ")" * 5000 + "/", "it is nested too deeply"),
        ("/(/", "missing \\)"),
        ("/[/", "unterminated character set"),
        (r"/(?P<a>b)(?P<a>c)/", "redefinition"),
    ],
)
def test_what_is_malformed_is_refused(pattern, said):
    with pytest.raises(BadInput, match=f"is not a regular expression: {said}") as caught:
        Rule(pattern, "ones")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("/" + "a?" * 40 + "a" * 40 + "/", "a" * 40),
        ("/" + "(a|a)" * 40 + "b/", "a" * 60),
        ("/.*a.*a.*a.*b$/", "a" * 100),
        ("/.*x$/", "a" * 1_000_000),
        ("/(?i)[A]+a+b$/", "a" * 50_000),
    ],
)
def test_what_takes_too_long_for_a_name_is_refused(pattern, name):
    with pytest.raises(BadInput, match="may take too long for a name of"):
        matcher(pattern)(name)


@pytest.mark.parametrize(
    "pattern",
    [
        r"/^transformer\.h\.(\d+)\.(.*)\.weight$/",
        r"/(norm\w*\.|ln_?\w*\.|bn\w*\.|^|\.)(weight|gamma|running_var|\w*scale\w*)$/",
        r"/^model\.(layers\.)?(\d+)\.self_attn\.(q|k|v|o)_proj\.(weight|bias)$/",
        r"/(\w+\.)+experts\.(\d+)\.(.*)/",
        r"/^(.*)\.layers\.(\d+)\.(.*)\.experts\.(\d+)\.(.*)$/",
        r"/\.\d+\.(q|k)\./",
        r"/(?!.*norm).*\.weight$/",
        r"/^(?P<block>[^.]+)\.(?:a{2,3}|b+)\.(?P=block)$/",
    ],
)
def test_what_people_write_matches_as_it_does_in_re(pattern):
    names = [
        "model.decoder.layers.11.mlp.experts.7.down_proj.weight", "transformer.h.3.attn.c_proj.weight",
        "final_layer_norm.weight", "h.1.k.weight", "x.aaa.x", "model.layers.3.self_attn.q_proj.bias", "",
        "a" * 100,
    ]  # fmt: skip
    for name in names:
        expected, found = re.search(pattern[1:-1], name), matcher(pattern)(name)
        assert (expected and expected.groups()) == (found and found.groups())


def test_many_globs_on_many_names_end():
    count = 30_000
    began = time.process_time()
    rules = [Rule(f"layers.{number}.*", "ones") for number in range(count)]
    model = Model([f32(f"layers.{number}.w", 1) for number in range(count)], rules, "rules")
    assert [model.match(spec) for spec in model.tensors.values()] == [*range(count)]
    rules = [Rule(f"*{number}*", "ones", min_ndim=2) for number in range(count)]
    model = Model([f32(f"layers.{number}.w", 1) for number in range(count)], rules, "rules")
    with pytest.raises(BadInput, match="rules: its patterns take too long for so many names"):
        [model.find(spec) for spec in model.tensors.values()]
    assert time.process_time() - began < 60  # 4 here; without an index an hour


def test_a_glob_has_no_groups():
    with pytest.raises(re.error, match="invalid group reference"):
        matcher("*.weight")("a.weight").expand(r"\1")
    assert matcher("*.weight")("a.weight").expand("b") == "b"
