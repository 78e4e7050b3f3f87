"""Presets: the tensors of each manifest, compared with those of the models' own code.

model_statistics.json was measured once on models that transformers made, at real size where their standard
deviations depend on it: for each tensor, or for the first of each kind (numbers in names are stars), how many
elements it has, their mean, standard deviation and largest magnitude, and whether row 0 is zero.
"""

import fnmatch
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from specs import choose, made
from torch import nn

from fastinit.checkpoint import BadInput, TensorSpec, families, manifest
from fastinit.checkpoint.recipe import resolve

HERE = Path(__file__).parent
MEASURED = json.loads((HERE / "model_statistics.json").read_text())["models"]
FAMILY = {
    "gpt2": "gpt2",
    "bert-base": "bert",
    "llama-7b": "llama",
    "mixtral-8x7b": "llama",
    "resnet50": "resnet",
    "vit-b16": "vit",
}
NORMAL = "normal(std=0.02)"
OI = f"{NORMAL} layout=oi"
# The first glob that matches determines how a tensor is made.
LABELS = {
    "gpt2": {
        "transformer.w?e.weight": NORMAL,
        "*.ln_?.weight": "ones",
        "*.c_proj.weight": f"normal(std={0.02 / math.sqrt(2 * 12)}) layout=io",
        "*.c_attn.weight": f"{NORMAL} layout=io",
        "*.c_fc.weight": f"{NORMAL} layout=io",
        "*.bias": "zeros",
    },
    "bert-base": {
        "*.word_embeddings.weight": f"{NORMAL} padding_idx=0",
        "*_embeddings.weight": NORMAL,
        "*LayerNorm.weight": "ones",
        "*.weight": OI,
        "*.bias": "zeros",
    },
    "llama-7b": {"*embed_tokens.weight": NORMAL, "*norm.weight": "ones", "*.weight": OI},
    "mixtral-8x7b": {
        "*embed_tokens.weight": NORMAL,
        "*.experts.*_proj": NORMAL,
        "*norm.weight": "ones",
        "*.weight": OI,
    },
    "resnet50": {
        "*convolution.weight": "kaiming_normal(mode=fan_out, nonlinearity=relu) layout=oi",
        "*normalization.weight": "ones",
        "*normalization.bias": "zeros",
        "classifier.1.weight": f"kaiming_uniform(a={math.sqrt(5)}) layout=oi",
        "classifier.1.bias": f"uniform(high={1 / math.sqrt(2048)}, low={-1 / math.sqrt(2048)})",
    },
    "vit-b16": {
        "*cls_token": "truncated_normal(high=100.0, low=-100.0, std=0.02)",
        "*position_embeddings": "truncated_normal(high=100.0, low=-100.0, std=0.02)",
        "*layernorm*.weight": "ones",
        "*.weight": OI,
        "*.bias": "zeros",
    },
}
SCHEMES = {
    "xavier": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "he": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "lecun": lambda fan_in, fan_out: math.sqrt(1 / fan_in),
    "torch": lambda fan_in, fan_out: math.sqrt(1 / (3 * fan_in)),
}


@pytest.fixture(scope="module", params=manifest.MODELS)
def model(request):
    return request.param, manifest.read(manifest.MODELS[request.param])


def test_auto_makes_every_tensor_as_it_should(model):
    name, specs = model
    recipe = resolve(specs, "auto")
    assert recipe.rules_from.startswith(f"{FAMILY[name]}, picked by names")
    for choice in recipe.choices:
        label = next(
            label for glob, label in LABELS[name].items() if fnmatch.fnmatchcase(choice.spec.name, glob)
        )
        assert choice.label == label, choice.spec.name


def test_no_label_is_idle():
    for name, labels in LABELS.items():
        names = [spec.name for spec in manifest.read(manifest.MODELS[name])]
        assert all(fnmatch.filter(names, glob) for glob in labels)


def test_moments_are_those_of_the_models_own_code(model):
    name, specs = model
    compared = set()
    for choice in choose(specs, "auto"):
        kind = re.sub(r"\.\d+\.", ".*.", choice.spec.name)
        key = choice.spec.name if choice.spec.name in MEASURED[name] else kind
        if key not in MEASURED[name]:
            continue
        compared.add(key)
        row = MEASURED[name][key]
        # The file has six digits.
        assert row["std"] == pytest.approx(choice.std, rel=1e-5 + 6 / math.sqrt(2 * row["n"])), key
        assert row["mean"] == pytest.approx(
            choice.mean, rel=1e-5, abs=6 * choice.std / math.sqrt(row["n"])
        ), key
        assert ("zero_row" in row) == (choice.rule.padding_idx == 0), key
        if choice.plan.distribution == "uniform":
            assert 0.99 < row["max"] / choice.plan.parameters[1] < 1 + 1e-5, key
    # All measured tensors, except those that the manifests leave out: tied weights and buffers.
    tied = (
        {"lm_head.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
        if "7" not in name
        else set()
    )
    left = {key for key in MEASURED[name] if not key.endswith(("running_mean", "running_var"))} - tied
    assert compared == left


def test_families_are_disjoint():
    for name, path in manifest.MODELS.items():
        specs = manifest.read(path)
        assert [family.preset for family in families.by_names(specs)] == [FAMILY[name]]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("gpt2", "transformer."),
        ("bert-base", "bert."),
        ("vit-b16", "vit."),
        ("llama-7b", "model."),
        ("resnet50", "resnet."),
    ],
)
def test_prefixes_do_not_matter(name, prefix):
    specs = manifest.read(manifest.MODELS[name])
    bare = [TensorSpec(spec.name.removeprefix(prefix), spec.dtype, spec.shape) for spec in specs]
    with_prefix, without = resolve(specs, "auto"), resolve(bare, "auto")
    assert [choice.label for choice in without.choices] == [choice.label for choice in with_prefix.choices]
    assert without.rules_from == with_prefix.rules_from


def test_mistral_is_llama():
    specs = manifest.read(manifest.MODELS["mixtral-8x7b"])
    assert resolve(specs, "mistral").rules == resolve(specs, "llama").rules


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_scale_every_matrix_by_its_fans(scheme, model):
    matrices = 0
    for choice in choose(model[1], scheme):
        name, shape = choice.spec.name, choice.spec.shape
        parameter = name.endswith(("_token", "position_embeddings"))
        embedding = scheme == "torch" and re.search(r"(embed\w*|w.e)\.weight$", name)
        if len(shape) < 2 or parameter or embedding:
            continue
        matrices += 1
        meta = torch.empty(shape, device="meta")
        if ".experts." in name:
            meta = meta[0]
        if re.search(r"\.c_(attn|fc|proj)\.", name):
            meta = meta.T
        fans = nn.init._calculate_fan_in_and_fan_out(meta)
        assert choice.fans == fans, name
        assert choice.std == pytest.approx(SCHEMES[scheme](*fans), rel=1e-12), name
    assert matrices >= 48


@pytest.mark.parametrize("scheme", ["xavier", "he", "lecun"])
def test_schemes_leave_norms_biases_and_buffers(scheme):
    specs = [
        TensorSpec("bn.weight", "F32", (4,)),
        TensorSpec("bn.bias", "F32", (4,)),
        TensorSpec("bn.running_mean", "F32", (4,)),
        TensorSpec("bn.running_var", "F32", (4,)),
        TensorSpec("bn.num_batches_tracked", "I64", ()),
        TensorSpec("fc.bias", "F32", (4,)),
    ]
    values = {choice.spec.name: made(choice) for choice in choose(specs, scheme)}
    assert all((values[name] == 1).all() for name in ("bn.weight", "bn.running_var"))
    assert all(
        (value == 0).all() for name, value in values.items() if name not in ("bn.weight", "bn.running_var")
    )


class TestTorch:
    """The torch preset against torch's own modules."""

    def model(self):
        torch.manual_seed(0)
        return nn.ModuleDict(
            {
                "fc": nn.Linear(700, 900),
                "conv1": nn.Conv1d(64, 500, 3),
                "conv2": nn.Conv2d(30, 600, 5),
                "tokens_embed": nn.Embedding(500, 700),
                "norm": nn.LayerNorm(50),
                "bn": nn.BatchNorm2d(60),
                "group": nn.GroupNorm(2, 60),
            }
        )

    def test_every_parameter_and_buffer(self):
        state = self.model().state_dict()
        names = {torch.float32: "F32", torch.int64: "I64"}
        specs = [TensorSpec(name, names[value.dtype], tuple(value.shape)) for name, value in state.items()]
        with pytest.warns(UserWarning, match="of no known family: preset torch may be wrong"):
            recipe = resolve(specs, "auto")
        assert recipe.rules_from == "torch, for names that no preset knows"
        for choice in recipe.choices:
            name, theirs = choice.spec.name, state[choice.spec.name].double().numpy()
            if choice.std == 0:
                assert (made(choice) == theirs.ravel()).all(), name
                continue
            assert theirs.std() == pytest.approx(choice.std, rel=6 / math.sqrt(2 * theirs.size)), name
            if name != "tokens_embed.weight":
                assert choice.plan.distribution == "uniform"
                assert 1 - 20 / theirs.size < np.abs(theirs).max() / choice.plan.parameters[1] < 1 + 1e-6, (
                    name
                )
            else:
                assert choice.label == "normal"

    def test_what_it_does_not_know_is_named(self):
        with pytest.raises(BadInput, match=r"preset torch|torch: no rule matches tensor 'rnn\.weight_ih_l0'"):
            choose([TensorSpec("rnn.weight_ih_l0", "F32", (8, 2))], "torch")


def test_torchvision_names_its_resnet_otherwise():
    shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.weight": (64,),
        "bn1.num_batches_tracked": (),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.weight": (256,),
        "layer1.0.downsample.1.bias": (256,),
        "fc.weight": (1000, 2048),
        "fc.bias": (1000,),
    }
    specs = [TensorSpec(name, "I64" if "tracked" in name else "F32", shape) for name, shape in shapes.items()]
    with pytest.warns(UserWarning, match="those of resnet and of timm_resnet"):
        recipe = resolve(specs, "auto")
    assert recipe.rules_from == "resnet, picked by names"
    conv, fc = (
        "kaiming_normal(mode=fan_out, nonlinearity=relu) layout=oi",
        LABELS["resnet50"]["classifier.1.weight"],
    )
    bias = LABELS["resnet50"]["classifier.1.bias"]
    assert [choice.label for choice in recipe.choices] == [
        conv,
        "ones",
        "zeros",
        conv,
        conv,
        "ones",
        "zeros",
        fc,
        bias,
    ]


def test_buffers_of_older_checkpoints():
    specs = [
        *(TensorSpec(f"h.{block}.attn.c_attn.weight", "F32", (8, 24)) for block in range(2)),
        TensorSpec("h.0.attn.c_attn.bias", "F32", (24,)),
        TensorSpec("h.0.attn.bias", "U8", (1, 1, 16, 16)),
        TensorSpec("h.0.attn.masked_bias", "F32", ()),
        TensorSpec("embeddings.position_ids", "I64", (1, 16)),
        TensorSpec("layers.0.self_attn.rotary_emb.inv_freq", "F32", (8,)),
    ]
    for preset in ("gpt2", "torch", "he"):
        choices = choose(specs, preset)
        values = {choice.spec.name: made(choice).reshape(choice.spec.shape) for choice in choices}
        assert (values["h.0.attn.bias"][0, 0] == np.tril(np.ones((16, 16)))).all()
        assert values["h.0.attn.masked_bias"] == -1e4
        assert (values["embeddings.position_ids"] == np.arange(16)).all()
        assert values["layers.0.self_attn.rotary_emb.inv_freq"][4] == np.float32(0.01)


def test_an_integer_that_is_no_known_buffer_is_named():
    with pytest.raises(BadInput, match=r"no rule matches tensor 'codes', I32 \[7\]"):
        choose([TensorSpec("codes", "I32", (7,))], "he")
    with pytest.raises(BadInput, match=r"tensor 'fc\.weight'.* makes floats"):
        choose([TensorSpec("fc.weight", "I8", (7, 7))], "he")
