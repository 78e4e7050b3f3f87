"""Tensors that are made of several others, side by side."""

import numpy as np
import pytest
from specs import choose, f32

from fastinit.checkpoint import BadInput, Recording, Rule, generate, tensors, verify
from fastinit.random import PCG64, Generator

PARTS = ("q (6, 8)[:]", "k (2, 8)[:]", "wide (12, 8)[2:6]")


def alone(name, shape, init):
    ((_, array),) = tensors({name: {"dtype": "F32", "shape": shape}}, seed=3, init=[Rule("*", init)])
    return array


@pytest.mark.parametrize("init", ["normal(std=0.5)", "xavier_uniform", "orthogonal", "sparse(sparsity=0.5)"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_is_what_numpy_concatenates(init, axis):
    each = [alone("q", (6, 8), init), alone("k", (2, 8), init), alone("wide", (12, 8), init)[2:6]]
    shapes = {0: (-1, 8), 1: (2, -1), 2: (2, 2, -1)}
    expected = np.concatenate([part.reshape(shapes[axis]) for part in each], axis)
    (choice,) = choose([f32("qkv", *expected.shape)], [Rule("qkv", init, parts=PARTS, axis=axis)])
    rng = choice.generator(Generator(PCG64(3)))
    for start, stop in [(0, 96), (0, 1), (40, 57), (95, 96), (7, 90)]:
        out = np.empty(stop - start, np.float32)
        choice.fill(out, rng, start)
        np.testing.assert_array_equal(out, expected.reshape(-1)[start:stop])


def test_files_and_recordings_hold_it(tmp_path):
    names = [f"layers.{number}" for number in range(3)]
    rules = [
        Rule(f"{name}.qk", "normal", then=("* 2.0",), parts=(f"{name}.q (4, 8)[:]", f"{name}.k (2, 8)[:]"))
        for name in names
    ]
    recording = Recording.of([f32(f"{name}.qk", 6, 8) for name in names], rules)
    assert len(recording.rules) == 1
    for file in ("r.toml", "r.json"):
        recording.save(tmp_path / file)
        assert Recording.load(tmp_path / file) == recording
    generate(recording, tmp_path / "out", seed=3)
    assert verify(tmp_path / "out").same
    made = dict(tensors(recording, seed=3))
    np.testing.assert_array_equal(made["layers.2.qk"][4:], 2 * alone("layers.2.k", (2, 8), "normal"))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"parts": ("q(6, 8)",)}, "must be a name, a space, and a view"),
        ({"parts": ("q (6, 8)[:]",), "same_as": "x"}, "there is no same_as"),
        ({"axis": 1}, "axis needs parts"),
        ({"parts": ("q (6, 8)[:]",)}, "are not the elements of shape"),
        (
            {"parts": ("q (4, 8)[:3]", "k (5, 1)[:]", "k (3, 1)[:]"), "axis": 1},
            "are not the elements of shape",
        ),
        ({"parts": ("q (4, 8)[:]",), "axis": 2}, "axis 2 is no axis"),
    ],
)
def test_what_is_refused(more, error):
    with pytest.raises(BadInput, match=error):
        choose([f32("qkv", 4, 8)], [Rule("*", "normal", **more)])
