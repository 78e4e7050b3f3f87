"""Networks against torch: gradients, norms and Jacobians of the same weights; and against theory."""

import math

import numpy as np
import pytest
import torch

from fastinit import init, random
from fastinit.propagation import activations, chains, theory
from fastinit.propagation.nets import QUANTITIES, Network

RNG = random.default_rng(11).fold_in("seed 0")
MODULES = {"relu": torch.relu, "tanh": torch.tanh, "selu": torch.selu, "sigmoid": torch.sigmoid}


def network(widths=(12, 16, 16, 9), activation="tanh", spec="kaiming_normal", **options):
    return Network(chains.of_widths(widths), activations.get(activation), init.get(spec), **options)


def in_torch(net, x, statistics=None):
    """The outputs of each layer by torch in float64. Fixed statistics stand for a batch's."""
    outputs, used = [x], []
    for place, layer in enumerate(net.chain):
        z = outputs[-1] @ torch.tensor(layer.weight(net.initializer, RNG), dtype=torch.float64).T
        if net.norm == "layer":
            z = torch.nn.functional.layer_norm(z, z.shape[-1:])
        if net.norm == "batch":
            mean, var = statistics[place] if statistics else (z.mean(0), z.var(0, unbiased=False))
            used.append((mean.detach(), var.detach()))
            z = (z - mean) / torch.sqrt(var + 1e-5)
        y = MODULES[net.activation.name](z)
        outputs.append(outputs[-1] + y if net.residual and y.shape == outputs[-1].shape else y)
    return outputs, used


OPTIONS = [{}, {"residual": True}, {"norm": "layer"}, {"norm": "batch"}, {"norm": "batch", "residual": True}]


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_all_is_as_torch_has_it(activation, options):
    net, batch = network(activation=activation, **options), 30
    found = net.measure(RNG, batch, 128, [1, 3])
    x = torch.tensor(RNG.fold_in("input").standard_normal((batch, 12), dtype="float32"), dtype=torch.float64)
    outputs, statistics = in_torch(net, x.requires_grad_())
    for output in outputs:
        output.retain_grad()
    gradient = RNG.fold_in("gradient").standard_normal((batch, 9), dtype="float32")
    outputs[-1].backward(torch.tensor(gradient, dtype=torch.float64))
    for place, output in enumerate(outputs):
        values = output.detach()
        assert found["mean"][place] == pytest.approx(values.mean().item(), rel=1e-4, abs=1e-6)
        assert found["std"][place] == pytest.approx(values.std(unbiased=False).item(), rel=1e-5)
        assert found["spread"][place] == pytest.approx(values.var(0).mean().sqrt().item(), rel=1e-5)
        assert found["gradient"][place] == pytest.approx(output.grad.square().mean().sqrt().item(), rel=1e-4)
    for row, place in enumerate((1, 3)):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, place=place: in_torch(net, one, statistics)[0][place][0], x[:1].detach()
        ).reshape(-1, 12)
        wanted = np.zeros(12)
        wanted[: min(jacobian.shape)] = np.linalg.svd(jacobian.numpy(), compute_uv=False)
        np.testing.assert_allclose(found["singular"][row], wanted, rtol=1e-4, atol=1e-5 * wanted[0])
        assert found["stretch"][place] == pytest.approx(math.sqrt((jacobian**2).sum().item() / 12), rel=1e-4)


@pytest.mark.parametrize("activation", ["relu", "selu", "tanh", "sigmoid"])
@pytest.mark.parametrize("spec", ["xavier_normal", "kaiming_uniform", "lecun_normal", "orthogonal"])
def test_wide_networks_are_as_theory_says(activation, spec):
    """A mean square over width and batch has a relative error of about 1 / sqrt(width) in each layer."""
    width, depth, seeds = 200, 6, 4
    net = network([width] * (depth + 1), activation, spec)
    plan = net.chain[0].plan(net.initializer)
    predicted = theory.predict(net.chain, [plan.std**2] * depth, net.activation)
    runs = [net.measure(RNG.fold_in(str(i)), 100, 64, [depth]) for i in range(seeds)]
    tolerance = 5 * math.sqrt(5 * depth / (width * seeds)) / 2  # 5 is more than each activation's kurtosis
    for name in ("std", "spread", "gradient", "stretch"):
        # One input stands for all in the Jacobian.
        wide = tolerance * (2 if name == "stretch" else 1)
        measured = np.sqrt(np.mean([run[name] ** 2 for run in runs], axis=0))
        np.testing.assert_allclose(measured / predicted[name], 1.0, atol=wide, err_msg=name)


def test_dead_and_saturated_units():
    net = network((50, 50), "tanh", "normal(std=1)")
    assert net.measure(RNG, 40, 0, [])["saturated"][1] > 0.5
    net = network((50, 50), "relu", "constant(value=-1)")
    x = RNG.fold_in("input").standard_normal((40, 50), dtype="float32")
    dead = net.measure(RNG, 40, 0, [])
    assert dead["dead"][1] == 0.0
    assert dead["saturated"][1] == pytest.approx((x.sum(1) > 0).mean())
    deep = network([20] * 60, "leaky_relu").measure(RNG, 10, 0, [])
    assert deep["dead"][1:].max() == 0.0


@pytest.mark.parametrize(("spec", "end"), [("normal(std=4)", np.inf), ("normal(std=1e-4)", 0.0)])
def test_where_float32_ends(spec, end):
    found = network([100] * 41, "relu", spec).measure(RNG, 20, 8, [1, 40])
    place = int(np.argmin(np.isfinite(found["mean"])))
    assert 5 < place < 40
    assert found["std"][place] == end
    assert np.isnan(found["std"][place + 1 :]).all()
    assert found["gradient"][place - 1] == pytest.approx(1.0, rel=0.2)
    assert np.isnan(found["gradient"][place:]).all()
    assert np.isnan(found["singular"][1]).all()
    assert (found["gradient"][:place] > 0).all()


def test_a_gradient_beyond_float32_is_still_a_number():
    found = network([50] * 81, "sigmoid", "lecun_normal").measure(RNG, 10, 8, [80])
    assert 1e-60 < found["gradient"][0] < 1e-40
    assert 1e-60 < found["stretch"][80] < 1e-40


def test_quantities_are_all_there():
    found = network().measure(RNG, 5, 3, [1])
    assert {*QUANTITIES, "singular"} == found.keys()
    assert found["singular"].shape == (1, 3)
