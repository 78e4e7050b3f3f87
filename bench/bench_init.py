"""Initialisers on layers of real models, in place, against torch's."""

import json
from pathlib import Path

import numpy as np
import pytest

from fastinit import init, random

from . import limits
from .peers import SEED, torch

MANIFESTS = Path(__file__).parents[1] / "tests" / "manifests"
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
    shape = json.loads((MANIFESTS / f"{model}.json").read_text())[layer]["shape"]
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
