"""Recipes: the rules that won make the same tensors again."""

import pickle
import threading

import numpy as np
import pytest
from specs import choose, f32, made

from fastinit.checkpoint import Rule, TensorSpec, buffers, recipe, rules
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


MATRIX = {"dtype": "F32", "shape": (6, 4)}
INITS = [
    *("normal", "kaiming_uniform", "truncated_normal(std=0.02)", "eye", "orthogonal", "sparse(sparsity=0.5)"),
    *("bernoulli(p=0.25)", "arange", "tril", "inv_freq", "zeros", "constant(value=0.5)"),
]
KINDS = [
    *((Rule("*", init), MATRIX) for init in INITS),
    *((Rule("*", "normal"), {**MATRIX, "dtype": dtype}) for dtype in ("F64", "F16", "BF16", "F8_E4M3")),
    *((Rule("*", "ones"), {**MATRIX, "dtype": dtype}) for dtype in ("F4", "C64", "F8_E8M0", "I64")),
    (Rule("*", "arange"), {"dtype": "I64", "shape": (3, 5)}),
    (Rule("*", "normal"), {"dtype": "F32", "shape": (0, 3)}),
    (Rule("*", "data", data=buffers.packed(np.arange(24.0))), MATRIX),
    (Rule("*", "normal", padding_idx=2), MATRIX),
    (
        Rule("*", "normal", then=("* 0.5", "+ 1", "exp", "clamp(-1, 1)", "[0] = zeros", "[1:3] = ones")),
        MATRIX,
    ),
    (Rule("*", "normal", same_as="other", view="(12, 4)[3:9]"), MATRIX),
    (Rule("*", "normal", same_as="other", view="(6, 4).norm(1)"), {"dtype": "F32", "shape": (6, 1)}),
    (Rule("*", "normal", parts=("a (3, 4)[:]", "b (4, 4)[:3]"), axis=0), MATRIX),
]


@pytest.mark.parametrize(("rule", "kind"), KINDS)
def test_a_pickle_makes_the_same(rule, kind):
    whole = resolve([TensorSpec("x", **kind)], [rule], 3)
    copy = pickle.loads(pickle.dumps(whole))
    assert copy.metadata() == whole.metadata()
    [one], [other] = whole.choices, copy.choices
    assert (other.spec, other.label, other.mean, other.std) == (one.spec, one.label, one.mean, one.std)
    pieces = []
    for each in (whole, copy):
        each.produce(each.choices, lambda _, start, values: pieces.append((start, values.tobytes())), 1)
    assert pieces[: len(pieces) // 2] == pieces[len(pieces) // 2 :]
    assert len(pieces) == (2 if one.spec.size else 0)
