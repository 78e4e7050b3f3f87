import math

import numpy as np
import pytest
import torch

from fastinit import init
from fastinit.checkpoint import Rule, TensorSpec
from fastinit.checkpoint.matching import plan_of
from fastinit.checkpoint.steps import Step, check
from fastinit.random import PCG64, Generator

TORCH = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


def rng():
    return Generator(PCG64(7)).fold_in("w")


def made(rule, spec):
    """Return a tensor of torch that a rule makes, in pieces of odd sizes."""
    plan = plan_of(rule, spec)
    flat = np.empty(spec.size, spec.storage)
    for start in range(0, spec.size, 37):
        plan.fill(flat[start : start + 37], rng(), start)
    full = np.empty(spec.size, spec.storage)
    plan.fill(full, rng())
    assert flat.tobytes() == full.tobytes()
    signed = full.view(f"i{full.itemsize}")
    return torch.from_numpy(signed).view(TORCH[spec.dtype]).reshape(spec.shape)


@pytest.mark.parametrize("dtype", TORCH)
@pytest.mark.parametrize(
    ("step", "by_torch"),
    [
        ("* 0.1", lambda w: w.mul_(0.1)),
        ("/ 3.0", lambda w: w.div_(3.0)),
        ("+ 0.3", lambda w: w.add_(0.3)),
        ("- 1e-3", lambda w: w.sub_(1e-3)),
        ("clamp(-0.7, 0.7001)", lambda w: w.clamp_(-0.7, 0.7001)),
        ("clamp(0.0, inf)", lambda w: w.clamp_(min=0.0)),
        ("negative", lambda w: w.neg_()),
        ("[3] = zeros", lambda w: w[3].zero_()),
        ("[:, 2:5] * -2.5", lambda w: w[:, 2:5].mul_(-2.5)),
        ("(6, 4, 10)[1] = ones", lambda w: w.view(6, 4, 10)[1].fill_(1)),
    ],
)
def test_a_step_rounds_as_torchs_operation(step, by_torch, dtype):
    spec = TensorSpec("w", dtype, (12, 20))
    w = made(Rule("w", "normal"), spec)
    by_torch(w)
    assert torch.equal(made(Rule("w", "normal", then=(step,)), spec), w)


def test_steps_come_in_order():
    spec = TensorSpec("w", "F32", (12, 20))
    w = made(Rule("w", "normal"), spec)
    w.mul_(0.1).add_(1.0)[2].zero_()
    w.div_(7.0)
    steps = ("* 0.1", "+ 1.0", "[2] = zeros", "/ 7.0")
    assert torch.equal(made(Rule("w", "normal", then=steps), spec), w)


def test_a_draw_into_a_part_has_the_values_of_its_place():
    spec = TensorSpec("w", "F32", (12, 20))
    full = made(Rule("w", "normal(std=2)"), spec)
    w = made(Rule("w", "zeros", then=("[:, 3:5] = normal(std=2)",)), spec)
    assert torch.equal(w[:, 3:5], full[:, 3:5])
    assert not w[:, :3].any()


def test_orthogonal_rows_of_a_part():
    spec = TensorSpec("w", "F64", (3, 4, 6))
    w = made(Rule("w", "zeros", then=("[1] = orthogonal", "[2] = orthogonal")), spec).numpy()
    for part in w[1:]:
        np.testing.assert_allclose(part @ part.T, np.eye(4), atol=1e-12)
    assert not np.allclose(w[1], w[2])
    assert not w[0].any()


@pytest.mark.parametrize(
    ("view", "by_torch"),
    [
        ("(6, 40)[2:4]", lambda w: w[2:4]),
        ("(6, 40)[:, 5:30]", lambda w: w[:, 5:30]),
        ("(6, 2, 20)[:, 1]", lambda w: w.view(6, 2, 20)[:, 1]),
        ("(6, 40)[:].transpose(1, 0)", lambda w: w.T),
        ("(6, 40).norm(1)", lambda w: w.norm(dim=1, keepdim=True)),
    ],
)
def test_a_part_of_another_tensor(view, by_torch):
    full = made(Rule("w", "normal", then=("* 0.5",)), TensorSpec("w", "F32", (6, 40)))
    wanted = by_torch(full)
    rule = Rule("part", "normal", then=("* 0.5",), same_as="w", view=view)
    part = made(rule, TensorSpec("part", "F32", tuple(wanted.shape)))
    torch.testing.assert_close(part, wanted, rtol=2e-7 if "norm" in view else 0, atol=0)


@pytest.mark.parametrize("function", ["exp", "expm1", "log", "log1p", "sqrt", "square", "reciprocal"])
def test_functions_are_close_to_torchs_and_outside_the_contract(function):
    spec = TensorSpec("w", "F32", (100,))
    uniform = made(Rule("w", "uniform(low=0.1, high=1)"), spec)
    rule = Rule("w", "uniform(low=0.1, high=1)", then=(function,))
    torch.testing.assert_close(made(rule, spec), getattr(uniform, function)())
    assert plan_of(rule, spec).exact is False


def test_inverse_softplus():
    spec = TensorSpec("w", "F32", (100,))
    x = made(Rule("w", "uniform(low=0.1, high=1)"), spec)
    y = made(Rule("w", "uniform(low=0.1, high=1)", then=("inverse_softplus",)), spec)
    torch.testing.assert_close(torch.nn.functional.softplus(y), x)


@pytest.mark.parametrize(
    ("steps", "mean", "std"),
    [
        (("* -0.5", "+ 3"), 2.5, 1.0),
        (("/ 4", "- 1"), -0.75, 0.5),
        (("[:6] = zeros",), 0.5, math.sqrt(0.5 * 4 + 0.25)),
        (("clamp(0, 1)",), None, None),
        (("[:6] * 2",), None, None),
    ],
)
def test_moments_follow_the_steps(steps, mean, std):
    plan = plan_of(Rule("w", "normal(mean=1, std=2)", then=steps), TensorSpec("w", "F32", (12, 20)))
    assert (plan.mean, plan.std) == (mean, std and pytest.approx(std))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "* x",
        "** 2",
        "= nothing",
        "clamp",
        "clamp(1)",
        "clamp(1, 2, 3)",
        "gamma",
        "exp(1)",
        "* 1; + 2",
    ],
)
def test_a_bad_step_is_refused(text):
    with pytest.raises(ValueError, match=r"no step|unknown init"):
        check(text)


def test_a_step_of_a_tensor_that_is_too_small():
    with pytest.raises(ValueError, match="outside an axis of 4"):
        Step.parse("[7] = zeros", (4,))


def test_arithmetic_on_integers_is_refused():
    with pytest.raises(ValueError, match="floating-point"):
        plan_of(Rule("w", "arange", then=("* 2",)), TensorSpec("w", "I64", (4,)))


def test_bernoulli_is_the_uniform_below_p():
    uniform = init.get("uniform")((1000,), dtype="float64", rng=rng())
    ones = init.get("bernoulli(p=0.3)")((1000,), rng=rng())
    assert ((uniform < 0.3) == ones).all()
