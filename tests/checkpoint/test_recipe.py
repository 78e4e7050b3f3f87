"""Recipes: the rules that won make the same tensors again."""

import threading

import numpy as np
import pytest
from specs import choose, f32, made

from fastinit.checkpoint import Rule, TensorSpec, recipe, rules
from fastinit.checkpoint.pieces import ranges
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
    whole = resolve(MODEL, RULES)
    recorded = rules.of_metadata({"fastinit.rules": rules.dumps(whole.rules)}, "file")
    for choice in whole.choices:
        alone = choose([choice.spec], recorded)[0]
        assert alone.label == choice.label
        assert (made(alone) == made(choice)).all()
    assert not any(rule.match == "never" or "{" in rule.init for rule in recorded)


@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_are_made_in_one_buffer_for_each_thread(threads, monkeypatch):
    class Counted:
        def __getattr__(self, name):
            return getattr(np, name)

        def empty(self, *arguments):
            buffers.append(arguments)
            return np.empty(*arguments)

    monkeypatch.setattr(recipe, "np", Counted())
    spec = TensorSpec("a", "F32", (3000, 1000))
    buffers, made_by = [], {}
    together = threading.Barrier(threads)

    def sink(choice, start, values):
        if len(made_by.setdefault(threading.get_ident(), [])) == 0:
            together.wait(30)
        made_by[threading.get_ident()].append((start, start + values.size))

    made = resolve([spec], [Rule("*", "normal")])
    made.produce(made.choices, sink, threads)
    assert len(buffers) == len(made_by) == threads
    assert sorted(piece for pieces in made_by.values() for piece in pieces) == [*ranges(spec)]
