"""Initialisers on layers of real models, in place, against torch's."""

import json

import numpy as np
import pytest

from fastinit import init, random
from fastinit.checkpoint.manifest import MODELS

from . import limits
from .peers import SEED, torch

LAYERS = [
    ("resnet50", "resnet.encoder.stages.0.layers.0.layer.1.convolution.weight", "kaiming_normal_"),
    ("vit-b16", "vit.layers.0.mlp.fc1.weight", "trunc_normal_"),
    ("bert-base", "bert.embeddings.word_embeddings.weight", "normal_"),
    ("bert-base", "bert.encoder.layer.0.attention.self.query.weight", "xavier_uniform_"),
    ("vit-b16", "vit.layers.0.attention.q_proj.weight", "orthogonal_"),
    ("llama-7b", "model.layers.0.self_attn.q_proj.weight", "kaiming_uniform_"),
]


@pytest.mark.parametrize(("model", "layer", "name"), LAYERS, ids=lambda each: each.rpartition(".layers.")[2])
def test_layer(race, model, layer, name):
    shape = json.loads(MODELS[model].read_text())[layer]["shape"]
    out = np.zeros(shape, np.float32)
    rng, ours = random.default_rng(SEED), getattr(init, name)
    calls = {"fastinit": lambda: ours(out, generator=rng)}
    if torch:
        tensor, theirs = torch.from_numpy(out), getattr(torch.nn.init, name)
        calls["torch"] = lambda: theirs(tensor)
    found = {}
    for who, call in calls.items():
        out[:] = 9
        call()
        found[who] = out.mean(dtype=np.float64), out.std(dtype=np.float64)
    for mean, std in found.values():
        assert abs(mean) < 6 * std / np.sqrt(out.size)
        assert std == pytest.approx(found["fastinit"][1], rel=6 / np.sqrt(out.size))
    race.run(calls | {"memset": lambda: limits.memset(out)})
    gigavalues = out.size / np.median(race.times["fastinit"]) / 1e9
    what = f"{name} {'x'.join(map(str, shape))}, {model}"
    race.record(what, f"{gigavalues:.3g} Gv/s", "torch", race.ratio("torch", "fastinit"))
    race.record(what, f"{gigavalues:.3g} Gv/s", "memset", 100 * race.ratio("memset", "fastinit"), unit="%")


# Values, calls, and the bound with a generator of fastinit's. Without one, a seed is drawn from torch's.
TORCHS = {"trunc_normal_": (1 << 20, 1, 20), "normal_": (768, 2000, 0.6)}


@pytest.mark.skipif(torch is None, reason="torch is the peer")
@pytest.mark.parametrize("name", TORCHS)
def test_torchs_own_api(race, name):
    """`fastinit.torch.init` against `torch.nn.init`."""
    from fastinit.torch import init as ours

    size, calls, bound = TORCHS[name]
    tensor, rng, theirs = torch.empty(size), random.default_rng(SEED), getattr(torch.nn.init, name)
    ways = {
        "fastinit": lambda: getattr(ours, name)(tensor, generator=rng),
        "seed": lambda: getattr(ours, name)(tensor),
        "torch": lambda: theirs(tensor),
    }
    std = float(theirs(torch.empty(1 << 20)).std())
    for way in ways.values():
        way()
        assert abs(float(tensor.mean())) < 6 * std / np.sqrt(size)
        assert float(tensor.std()) == pytest.approx(std, rel=6 / np.sqrt(size))
    runs = {who: lambda way=way: [way() for _ in range(calls)] for who, way in ways.items()}
    runs["patch"] = ours.patch(SEED)(runs["torch"])
    race.run(runs, rounds=20)
    for who, what in (("fastinit", ""), ("seed", ", torch's seed"), ("patch", ", torch's under patch")):
        at_least = bound if who == "fastinit" else None
        microseconds = np.median(race.times[who]) / calls * 1e6
        line = f"torch.init.{name}({size}){what}", f"{microseconds:.3g} us", "torch"
        race.record(*line, race.ratio("torch", who), at_least=at_least)
