"""Layer-sequential unit variance: the paper's claim, and what stays as it was."""

import copy

import models
import pytest
import torch
from test_probing import chain, draws, same, state
from torch import nn

import fastinit
from fastinit.propagation import theory
from fastinit.propagation.activations import Activation
from fastinit.torch import calibrate, probe

TOKENS = torch.arange(48).reshape(4, 12) % 50


def stds(module, x):
    """Those of the outputs of the layers of a chain, by hand."""
    found = []
    for each in module:
        x = each(x)
        if isinstance(each, nn.Linear):
            found.append(float(x.std(correction=0)))
    return found


@pytest.mark.parametrize(
    ("act", "name", "gradients"), [(nn.ReLU, "relu", "stable"), (nn.Tanh, "tanh", "explodes")]
)
def test_a_deep_network_that_vanishes_is_mended(act, name, gradients):
    module, x = chain(50, 64, "normal(std=0.01)", act), draws(256, 64)
    assert probe(module, x).traces[0].forward.word == "vanishes"
    found = calibrate(module, x)
    assert list(found.layers) == [str(i) for i in range(0, 100, 2)]
    assert found.left == {}
    with torch.no_grad():
        assert [each.std for each in found.layers.values()] == pytest.approx(stds(module, x), rel=1e-4)
        assert all(abs(std**2 - 1) < 0.1 for std in stds(module, x))
    [trace] = probe(module, x).traces
    assert [each.word for each in trace.verdicts] == ["stable", gradients]
    # Weights of variance 1 / (n E[f^2]) multiply the gradient's variance by E[f'^2] / E[f^2].
    moments = theory.moments(Activation(name), 1.0, 1.0)
    assert trace.backward.factor == pytest.approx((moments.slope / moments.square) ** 0.5, rel=0.03)


def test_only_weights_change_and_by_their_factors():
    torch.manual_seed(3)
    module, x = models.MODELS["torchvision", "resnet18"](), draws(4, 3, 32, 32)
    module.conv1.weight.requires_grad_(False)
    before = state(module)
    found = calibrate(module, x)
    after = state(module)
    assert same(before[1:], after[1:])
    scaled = {f"{name}.weight": each.factor for name, each in found.layers.items()}
    assert found.left == {"conv1": "frozen"}
    for name, values in before[0].items():
        wanted = values * scaled.pop(name) if name in scaled else values
        torch.testing.assert_close(after[0][name], wanted)
    assert scaled == {}


def test_the_same_bits_again():
    module, x = chain(6, 32, "xavier_normal"), draws(64, 32)
    other = copy.deepcopy(module)
    assert calibrate(module, x) == calibrate(other, x)
    assert same(module.state_dict(), other.state_dict())
    assert calibrate(module, x).layers["0"].factor == 1.0


def test_init_fills_by_name_first():
    one, other, x = chain(4, 32, "zeros"), chain(4, 32, "ones"), draws(64, 32)
    for each in (one, other):
        calibrate(each, x, init="orthogonal", seed=5)
    assert same(one.state_dict(), other.state_dict())
    rng = fastinit.random.default_rng(5).fold_in("2.weight")
    wanted = torch.from_numpy(fastinit.init.orthogonal((32, 32), rng=rng))
    ratio = one[2].weight.detach() / wanted
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    with pytest.raises(ValueError, match="unknown initialiser"):
        calibrate(one, x, init="nothing")


def test_weights_that_are_shared_or_tied():
    layer = nn.Linear(16, 16)
    twin = nn.Linear(16, 16)
    twin.weight = layer.weight
    found = calibrate(nn.Sequential(layer, layer, twin), draws(64, 16))
    assert list(found.layers) == ["0"]
    assert found.left == {"2": "its weight is that of 0"}
    gpt = models.MODELS["transformers", "GPT2:LMHeadModel"]()
    found = calibrate(gpt, {"input_ids": TOKENS})
    assert found.left["lm_head"] == "tied to an embedding"
    assert found.left["transformer.wte"] == "an embedding"
    assert "transformer.h.0.attn.c_attn" in found.layers


def test_layers_of_all_kinds():
    module = nn.Sequential(
        nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8), nn.ConvTranspose1d(8, 6, 3, bias=False), nn.Dropout(0.5),
        nn.utils.parametrizations.weight_norm(nn.Linear(9, 9)), nn.LSTM(9, 5),
    )  # fmt: skip
    found = calibrate(module, draws(16, 4, 9))
    assert list(found.layers) == ["0", "2"]
    assert found.left == {"4": "parametrized", "5": "its weights have other names"}


def test_what_cannot_be_scaled_stays():
    module, x = chain(2, 16, "zeros"), draws(8, 16)
    with pytest.warns(UserWarning, match="0 stays as it was: its output has std 0"):
        found = calibrate(module[:1], x)
    assert found.layers == {}
    layer = nn.Linear(16, 16)
    with torch.no_grad():
        layer.bias.copy_(3 * draws(16))
    before = layer.weight.clone()
    with pytest.warns(UserWarning, match="after 10 scalings"):
        calibrate(layer, x)
    assert torch.equal(before, layer.weight)
    with pytest.raises(ValueError, match="must be positive"):
        calibrate(layer, x, tol=0)
    with pytest.raises(TypeError, match="meta device"):
        calibrate(nn.Linear(2, 2, device="meta"), x)
