"""Recipes: the rules that won make the same tensors again."""

from specs import choose, f32, made

from fastinit.checkpoint import Rule, rules
from fastinit.checkpoint.recipe import resolve

MODEL = (
    f32("h.0.a.weight", 4, 6),
    f32("h.0.a.bias", 4),
    f32("h.0[x].weight", 3, 8),
    f32("h.0[x].bias", 4),
    f32("h.3.norm.weight", 4),
)

RULES = (
    Rule("*.bias", "uniform(low={-1 / sqrt(fan_in)}, high={1 / layers})"),
    Rule("never", "ones"),
    Rule("*", "normal(std={1 / layers})"),
)


def test_what_won_makes_the_same_of_any_part():
    whole = choose(MODEL, RULES)
    recorded = rules.of_metadata({"fastinit.rules": rules.dumps(whole.rules)}, "file")
    for choice in whole:
        alone = choose([choice.spec], recorded)[0]
        assert alone.label == choice.label
        assert (made(alone) == made(choice)).all()
    assert not any(rule.match == "never" or "{" in rule.init for rule in recorded)


def test_rules_that_made_nothing_are_named(toml):
    path = toml('extends = "he"\n[[rule]]\nmatch = "haed.*"\ninit = "zeros"\n')
    assert resolve([f32("head.weight", 4, 5)], path).unused == ["haed.*"]
    assert resolve([f32("head.weight", 4, 5)], "he").unused == []
