"""What others load from the files: safetensors, torch, transformers, Flax."""

import flax.linen
import jax
import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy
import safetensors.torch
import torch
from flax.traverse_util import unflatten_dict
from models import transformers_model

from fastinit import checkpoint
from fastinit.checkpoint import manifest
from fastinit.cli import main
from fastinit.torch import record

# The class of transformers whose names each list has.
CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "bert-base": "BertForPreTraining",
    "llama-7b": "LlamaForCausalLM",
    "mixtral-8x7b": "MixtralForCausalLM",
    "resnet50": "ResNetForImageClassification",
    "vit-b16": "ViTForImageClassification",
}


def mlp():
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))


def test_safetensors_loads_what_tensors_makes(tmp_path):
    listed = {f"a.{d}": {"dtype": d, "shape": [5, 3]} for d in ("F32", "F16", "F64", "I64", "BOOL")}
    rules = {"*.[FH]*": "normal(0, 0.02)", "*": "ones"}
    checkpoint.generate(listed, tmp_path / "x.safetensors", seed=7, init=rules)
    loaded = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    for name, expected in checkpoint.tensors(listed, seed=7, init=rules):
        assert loaded[name].dtype == expected.dtype
        assert np.array_equal(loaded[name], expected)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_torch_loads_a_state_dict(tmp_path, device):
    net = mlp().to(device)
    rules = {"*.weight": "kaiming_normal(nonlinearity=relu)", "*.bias": "constant(0.25)"}
    checkpoint.generate(net.state_dict(), tmp_path, seed=7, init=rules)
    loaded = safetensors.torch.load_file(tmp_path / "model.safetensors")
    net.load_state_dict(loaded, strict=True, assign=device == "meta")
    for name, expected in checkpoint.tensors(mlp().named_parameters(), seed=7, init=rules):
        assert np.array_equal(net.get_parameter(name).detach(), expected)
    assert net(torch.ones(1, 7)).shape == (1, 3)


@pytest.mark.parametrize("sharded", [False, True])
def test_transformers_loads_a_folder(tmp_path, sharded):
    model = transformers_model("GPT2:LMHeadModel")
    model.config.architectures = ["GPT2LMHeadModel"]
    model.config.to_json_file(tmp_path / "config.json")
    folder = tmp_path / "model"
    command = ["generate", str(tmp_path / "config.json"), "-o", str(folder), "--seed", "7", "--quiet"]
    assert main([*command, *(["--max-shard-size", "4000"] if sharded else [])]) == 0
    assert (folder / "model.safetensors.index.json").exists() == sharded
    loaded, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    made = dict(checkpoint.tensors(record(model), seed=7))
    assert made.keys() == {spec.name for spec in manifest.read(folder)}
    assert all(np.array_equal(loaded.state_dict()[name], values) for name, values in made.items())


def test_transformers_loads_a_folder_of_a_list_beside_a_config(tmp_path):
    model = transformers_model("GPT2:LMHeadModel")
    checkpoint.generate(model.state_dict(), tmp_path, seed=7, init="gpt2")
    model.config.save_pretrained(tmp_path)
    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    for name, values in checkpoint.tensors(model.state_dict(), seed=7, init="gpt2"):
        assert np.array_equal(loaded.state_dict()[name], values)


@pytest.mark.parametrize("name", manifest.MODELS)
def test_a_list_has_the_names_of_its_class(name):
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, CLASSES[name])
    config = kind.config_class(**({"num_labels": 1000} if name in ("resnet50", "vit-b16") else {}))
    with torch.device("meta"):
        model = kind(config)
    specs = {spec.name: spec.shape for spec in manifest.read(manifest.MODELS[name])}
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert {key: own.get(key) for key in specs} == specs


def test_flax_applies_what_it_loads(tmp_path):
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            return flax.linen.Dense(3)(flax.linen.Conv(4, (3,))(x))

    x = jax.numpy.ones((1, 8, 2))
    tree = jax.eval_shape(Net().init, jax.random.key(0), x)
    rules = {"*.kernel": {"init": "lecun_normal", "layout": "io"}, "*": "zeros"}
    checkpoint.generate(tree, tmp_path / "flax.safetensors", seed=7, init=rules)
    loaded = unflatten_dict(safetensors.flax.load_file(tmp_path / "flax.safetensors"), sep=".")
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    assert Net().apply(loaded, x).shape == (1, 8, 3)
    made = dict(checkpoint.tensors(tree, seed=7, init=rules))
    assert np.array_equal(loaded["params"]["Dense_0"]["kernel"], made["params.Dense_0.kernel"])
