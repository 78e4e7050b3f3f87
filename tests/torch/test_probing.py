"""Probes of modules: against propagate, autograd by hand, and models of others. No module changes."""

import functools
import random

import models
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import fastinit
from fastinit.torch import fill_, probe

TOKENS = torch.arange(48).reshape(4, 12) % 50


def draws(*shape, seed=7):
    return torch.from_numpy(fastinit.random.default_rng(seed).standard_normal(shape, dtype="float32"))


def chain(depth, width, init, act=nn.ReLU, **more):
    layers = [nn.Linear(width, width, bias=False) for _ in range(depth)]
    for i, layer in enumerate(layers):
        fill_(layer.weight, init, fastinit.random.default_rng(3).fold_in(str(i)))
    return nn.Sequential(*(part for layer in layers for part in (layer, act(**more))))


def state(module):
    """All of a module that a run could change."""
    return (
        {name: each.clone() for name, each in module.state_dict().items()},
        [(each.grad, each.requires_grad) for each in module.parameters()],
        [each.training for each in module.modules()],
        [len(each._forward_hooks) + len(each._forward_pre_hooks) for each in module.modules()],
        [len(each._backward_hooks) for each in module.modules()],
        torch.get_rng_state(),
        str(np.random.get_state()),  # noqa: NPY002
        random.getstate(),
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(
    ("name", "act", "init"),
    [
        ("relu", nn.ReLU, "xavier_normal"),
        ("relu", functools.partial(nn.ReLU, inplace=True), "kaiming_normal"),
        ("tanh", nn.Tanh, "normal(std=0.4)"),
        ("selu", nn.SELU, "kaiming_normal"),
        ("sigmoid", nn.Sigmoid, "xavier_normal"),
    ],
)
def test_the_verdicts_are_those_of_propagate(name, act, init):
    found = probe(chain(12, 96, init, act), draws(64, 96)).traces[0]
    wanted = fastinit.propagate(name, init, depth=12, width=96, batch=64, seeds=3, directions=0).traces[0]
    assert found.places[0] == "input"
    assert found.places[1:] == tuple(str(i) for i in range(0, 24, 2))
    for mine, theirs in zip(found.verdicts, wanted.verdicts, strict=True):
        assert (mine.word, mine.of) == (theirs.word, theirs.of)
        assert mine.factor == pytest.approx(theirs.factor, rel=0.1)
    for quantity in ("dead", "saturated"):
        theirs = np.nan_to_num(wanted.measured[quantity][:, 1:])
        assert np.abs(found.measured[quantity][0, 1:] - theirs.mean(axis=0)).max() < 0.15


class AddsInput(nn.Module):
    """Residual blocks whose sums may be written into the layer's output."""

    def __init__(self, in_place):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))
        self.in_place = in_place

    def forward(self, x):
        for layer in self.layers:
            y = layer(x)
            x = y.add_(x).mul_(0.5) if self.in_place else (y + x) * 0.5
        return x


@pytest.mark.parametrize("shape", [(64, 16), (16, 4, 16)], ids=str)
@pytest.mark.parametrize("act", [nn.ReLU, nn.SELU, nn.SiLU, None])
def test_what_is_done_in_place_is_seen_as_its_copy(act, shape):
    """The output of a Linear with a bias is a view if its input has more than two axes."""

    def made(in_place):
        if act is None:
            module = AddsInput(in_place)
        else:
            module = nn.Sequential(
                *(part for _ in range(4) for part in (nn.Linear(16, 16), act(inplace=in_place)))
            )
        return fastinit.torch.initialize(module, 7)

    copied, written = (probe(made(in_place), draws(*shape)) for in_place in (False, True))
    assert not np.isnan(copied.traces[0].measured["gradient"]).any()
    assert written.traces[0].places == copied.traces[0].places
    for quantity, values in copied.traces[0].measured.items():
        np.testing.assert_allclose(written.traces[0].measured[quantity], values, rtol=1e-5)
    assert str(written) == str(copied)


def test_a_text_names_few_layers_and_counts_all():
    lines = str(probe(chain(12, 64, "xavier_normal"), draws(64, 64))).splitlines()
    assert sum(" has std " in line for line in lines) == 8
    assert lines[-1] == "  and 4 more; in all: kaiming_normal(nonlinearity=relu) for 0, 2, 4, and 9 others"


class ByHand(nn.Module):
    """Functions instead of modules, in place, and a layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        x = F.relu(self.one(x), inplace=True)
        x = torch.tanh(self.two(x))
        x = self.two(x).sigmoid_()
        return {"out": self.out(x), "number": 3}


def test_sizes_and_gradients_are_those_by_hand():
    torch.manual_seed(1)
    module, x = ByHand(), draws(5, 6)
    report = probe(module, x, seed=9)
    [trace] = report.traces
    assert trace.places == ("input", "one", "two", "two (2)", "out")
    assert report.uncalled == ("unused",)
    values = [x.clone().requires_grad_()]
    for function in (
        lambda x: F.relu(module.one(x)),
        lambda x: torch.tanh(module.two(x)),
        lambda x: module.two(x).sigmoid(),
        module.out,
    ):
        values.append(function(values[-1]))
    given = fastinit.random.default_rng(9).fold_in("output 0").standard_normal((5, 3), dtype="float32")
    gradients = torch.autograd.grad(values[-1], values, torch.from_numpy(given))
    values = [each.detach() for each in values]
    for quantity, wanted in {
        "mean": [each.mean() for each in values],
        "std": [each.std(correction=0) for each in values],
        "spread": [each.var(dim=0).mean().sqrt() for each in values],
        "gradient": [each.square().mean().sqrt() for each in gradients],
    }.items():
        np.testing.assert_allclose(trace.measured[quantity][0], torch.stack(wanted), rtol=1e-5)


def test_faults_name_the_initialiser_that_mends():
    broken = chain(12, 64, "kaiming_normal")
    with torch.no_grad():
        broken[10].weight *= 0.01
        broken[15] = nn.LeakyReLU(0.2)
        broken[14].weight *= 100
    report = probe(broken, draws(32, 64))
    assert [each.name for each in report.faults] == ["10", "14"]
    low, high = report.faults
    assert low.mend == "kaiming_normal(nonlinearity=relu)"
    assert (high.mend, high.activation) == ("kaiming_normal(a=0.2)", "leaky_relu(negative_slope=0.2)")
    assert low.forward == pytest.approx(0.01, rel=0.3)
    assert high.backward == pytest.approx(100, rel=0.3)
    assert "10: x0.0" in str(report)
    assert "has std 0.177, it has 0.001" in str(report)
    assert report.as_dict()["faults"][0]["name"] == "10"
    for each in report.faults:
        fill_(broken[int(each.name)].weight, each.mend, 5)
    assert probe(broken, draws(32, 64)).faults == ()


@pytest.mark.parametrize("training", [True, False])
def test_no_weights_mend_what_a_norm_sets(training):
    layers = [(nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU()) for _ in range(8)]
    model = nn.Sequential(*(part for layer in layers for part in layer), nn.Linear(32, 32)).train(training)
    for _, norm, _ in layers:
        nn.init.constant_(norm.weight, 0.01)
    faults = [
        each for each in probe(model, draws(64, 32)).faults if each.name != "24"
    ]  # the last has no norm
    assert faults
    for each in faults:  # with its running statistics, batch norm sets no scale
        assert ("a norm follows, which sets its scale" in each.advice) is training
        assert not (each.mend and training)


def test_dead_and_saturated_layers_are_at_fault():
    dead = chain(3, 32, "kaiming_normal")
    dead[2] = nn.Linear(32, 32)
    nn.init.constant_(dead[2].bias, -100.0)
    [found] = probe(dead, draws(16, 32)).faults
    assert (found.name, found.dead) == ("2", 1.0)
    assert "100% of its units dead" in found.why
    flat = probe(chain(3, 32, "normal(std=10)", nn.Tanh), draws(16, 32))
    assert [each.saturated > 0.9 for each in flat.faults] == [True] * 3
    assert {each.mend for each in flat.faults} == {"xavier_uniform"}


def test_a_page_has_the_layers_at_fault_and_their_names(tmp_path):
    report = probe(ByHand(), 100 * draws(5, 6))
    report.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert report.faults
    for text in ("Layers at fault", report.faults[0].why, "Not called", "unused", "two (2)"):
        assert text in page


def test_what_no_initialiser_mends_is_said():
    found = probe(chain(20, 32, "xavier_uniform", nn.Sigmoid), draws(16, 32))
    assert {each.mend for each in found.faults} == {""}
    assert "tanh, or fewer layers" in found.traces[0].advice
    assert "calibrate" in probe(chain(20, 32, "normal(std=1)", nn.ELU), draws(16, 32)).traces[0].advice


@pytest.mark.parametrize(
    ("name", "given", "last"),
    [
        (("torchvision", "resnet18"), draws(4, 3, 64, 64), "fc"),
        (("transformers", "Llama:ForCausalLM"), {"input_ids": TOKENS}, "lm_head"),
        (("transformers", "GPT2:LMHeadModel"), {"input_ids": TOKENS}, "lm_head"),
        (("transformers", "Bert:ForMaskedLM"), {"input_ids": TOKENS}, "cls.predictions.decoder"),
        (("torchvision", "mobilenet_v2"), draws(4, 3, 64, 64), "classifier.1"),
        (("timm", "vit_tiny_patch16_224"), draws(4, 3, 32, 32), "head"),
        (("torch", "TransformerEncoder"), draws(4, 6, 32), "layers.2.linear2"),
        (("torch", "weight_norm"), draws(4, 4, 9), "Conv1d"),
        (("torch", "MultiheadAttention"), [draws(6, 4, 32)] * 3, "MultiheadAttention"),
    ],
    ids=lambda each: each[1] if isinstance(each, tuple) else "",
)
def test_models_of_others(name, given, last):
    torch.manual_seed(0)
    wide = {"hidden_size": 128} if "Bert" in name[1] else {}  # 0.02, its std, is too small for few units
    module = models.transformers_model(name[1], **wide) if wide else models.MODELS[name]()
    module.train()
    before = state(module)
    report = probe(module, given)
    assert same(before, state(module))
    assert probe(module, given).to_json() == report.to_json()
    assert report.uncalled == ()
    [trace] = report.traces
    named = [each for each in trace.places if not each.endswith(", norm")]
    assert named[-1] == last
    assert np.isfinite(trace.measured["std"]).all()
    assert np.isfinite(trace.measured["gradient"]).all()
    if name[1] != "MultiheadAttention":  # of which the only layer takes the mean of all tokens
        assert trace.forward.word == "stable"
    # A ViT's gradients pass the class token alone, and 52 batch norms multiply them [6 in docs/propagate.md].
    if name[1] not in ("MultiheadAttention", "vit_tiny_patch16_224", "mobilenet_v2"):
        assert trace.backward.word == "stable"
        assert report.faults == ()


def test_blocks_of_a_residual_network_are_places():
    torch.manual_seed(0)
    [trace] = probe(models.MODELS["torchvision", "resnet18"](), draws(2, 3, 32, 32)).traces
    blocks = [f"layer{i}.{j}.conv2" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert trace.places == ("input", "conv1", *blocks, "fc")


def test_an_error_leaves_the_module_as_it_was():
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4), nn.Dropout(), nn.Linear(5, 5))
    module[1].weight.requires_grad_(False)
    before = state(module)
    with pytest.raises(RuntimeError, match="shapes"):
        probe(module, draws(3, 6))
    assert same(before, state(module))
    probe(module[:3], draws(3, 6))
    assert same(before, state(module))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_and_frozen_parameters(dtype):
    module = chain(6, 64, "xavier_normal").to(dtype).requires_grad_(False)
    [trace] = probe(module, draws(32, 64).to(dtype)).traces
    assert trace.backward.factor == pytest.approx(0.5**0.5, rel=0.1)
    assert not any(each.requires_grad for each in module.parameters())


def test_inputs_of_all_kinds():
    module, x = chain(3, 8, "kaiming_normal"), draws(4, 8)
    wanted = probe(module, x).to_json()
    with torch.no_grad():
        assert probe(module, (x,)).to_json() == wanted
    assert probe(module, {"input": x}).to_json() == wanted
    assert probe(module, lambda each: each(x)).to_json() == wanted
    loss = probe(module, lambda each: each(x).sum()).traces[0]
    assert loss.measured["gradient"][0, -1] == pytest.approx(1.0)
    compiled = torch.compile(module, backend="aot_eager")
    assert probe(compiled, x).to_json() == wanted


class Parts(nn.Module):
    """A part without gradients, and one whose values are made again on the way back."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        with torch.no_grad():
            x = torch.relu(self.one(x))
        x = checkpoint(lambda x: torch.relu(self.two(x)), x.requires_grad_(), use_reentrant=False)
        return self.three(x)


def test_parts_without_gradients_and_checkpoints():
    [trace] = probe(Parts(), draws(16, 8)).traces
    assert trace.places == ("input", "two", "three")
    assert np.isfinite(trace.measured["gradient"][0, 1:]).all()


def test_infinities():
    [trace] = probe(chain(6, 32, "normal(std=1e12)"), draws(4, 32)).traces
    assert (trace.forward.word, trace.measured["std"][0, -1]) == ("explodes", np.inf)
    trace.as_dict()


def test_what_cannot_be_probed():
    with pytest.raises(TypeError, match="weight is on the meta device"):
        probe(nn.Sequential(nn.Linear(2, 2, device="meta")), draws(2, 2))
    with torch.inference_mode():
        made = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight was made in"):
        probe(made, draws(2, 2))
    with pytest.raises(TypeError, match="weight is lazy"):
        probe(nn.LazyLinear(3), draws(2, 2))
    with pytest.raises(ValueError, match="no module with a weight"):
        probe(nn.ReLU(), draws(2, 2))
    with pytest.raises(ValueError, match="no tensor of floating point"):
        probe(nn.Linear(2, 2), lambda module: module(draws(2, 2)) > 0)
