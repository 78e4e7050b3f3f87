"""Choices: fans, moments and elements of one tensor."""

import math

import numpy as np
import pytest
from specs import choose, f32, made

from fastinit import init
from fastinit.checkpoint import Rule, TensorSpec
from fastinit.random import PCG64, Generator


def test_layout_and_axes_reach_the_fans():
    conv = f32("c", 7, 5, 3, 2)
    for layout, fans in (("oi", (5 * 6, 7 * 6)), ("io", (3 * 35, 2 * 35))):
        choice = choose([conv], [Rule("*", "he_normal", layout=layout)])[0]
        assert choice.fans == fans
        assert choice.std == math.sqrt(2 / fans[0])
    experts = choose([f32("e", 8, 6, 4)], [Rule("*", "lecun_normal(batch_axis=0)")])[0]
    assert experts.fans == (4, 6)


def test_fans_are_shown_where_a_layout_is_named():
    specs = [f32("w", 6, 4)]
    assert choose(specs, [Rule("*", "normal", layout="io")])[0].fans == (6, 4)
    assert choose(specs, [Rule("*", "normal")])[0].fans is None
    assert choose([f32("b", 6)], [Rule("*", "normal", layout="io")])[0].fans is None


def test_a_tensor_is_what_its_initialiser_makes_of_its_name():
    spec = TensorSpec("a.weight", "F16", (30, 40))
    choice = choose([spec], [Rule("*", "xavier_uniform", layout="io")])[0]
    rng = Generator(PCG64(3)).fold_in("a.weight")
    wanted = init.xavier_uniform((30, 40), layout="io", dtype=np.float16, rng=rng)
    assert (made(choice).reshape(30, 40) == wanted).all()
    assert (made(choice, 17, 900) == wanted.ravel()[17:900]).all()


def test_a_row_is_padding():
    spec = f32("e.weight", 50, 8)
    padded, plain = (
        choose([spec], [Rule("*", "normal(mean=1, std=2)", padding_idx=row)])[0] for row in (3, None)
    )
    wanted = made(plain).reshape(50, 8)
    wanted[3] = 0
    assert (made(padded).reshape(50, 8) == wanted).all()
    for start, stop in ((0, 24), (25, 31), (28, 60), (32, 400), (20, 28)):
        assert (made(padded, start, stop) == wanted.ravel()[start:stop]).all()
    # One row of fifty: mean and variance of a mixture.
    assert padded.mean == pytest.approx(0.98)
    assert padded.std == pytest.approx(math.sqrt(0.98 * 4 + 0.98 * 0.02))
