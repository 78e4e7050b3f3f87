"""Rules as tables and as text: what is read, and what is refused."""

import pytest
from specs import choose, f32

from fastinit.checkpoint import BadInput, Rule, rules


def test_rules_may_be_mappings():
    given = [{"match": "a", "init": "ones"}, Rule("*", "zeros")]
    assert [choice.label for choice in choose([f32("a", 1), f32("b", 1)], given)] == [
        "ones",
        "zeros",
    ]
    with pytest.raises(BadInput, match="init: rule 1: unknown key 'matches'"):
        choose([f32("a", 1)], [{"matches": "a"}])


def test_damaged_metadata_is_refused():
    assert rules.of_metadata({}, "file") is None
    for text in ("[", "3", '[{"match":"*"}]', "[" * 10**6):
        with pytest.raises(BadInput, match=r"^file: metadata"):
            rules.of_metadata({"fastinit.rules": text}, "file")
