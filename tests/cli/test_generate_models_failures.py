"""``fastinit generate`` of other libraries' models: what is refused."""

import importlib
import json
import re
import sys
import warnings

import pytest
import torch
from library_models import command, config_of, tensors_in
from safetensors.torch import save_file

from fastinit.torch import record


@pytest.fixture(autouse=True)
def quiet():
    """Libraries warn of what they will do away with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["py:own_models"], "give py:package.module:callable"),
        (["py:nowhere:build"], "No module named 'nowhere'"),
        (["py:own_models:nothing"], "has no attribute 'nothing'"),
        (["py:own_models:number"], "is no callable, but int"),
        (["py:own_models:wrong"], "error: py:own_models:wrong: returned no torch.nn.Module, but int"),
        (["py:own_models:instance"], "is a module; give a callable that returns one"),
        (["py:own_models:leaving"], "py:own_models:leaving: SystemExit: bye"),
        (["py:own_models:build", "--record", "nowhere/r.json"], "nowhere/r.json: cannot be written"),
        (["py:own_models:build", "--record", "r.yaml"], "r.yaml: a recording's name ends in .json or .toml"),
        (["py:own_models:failing"], "py:own_models:failing: ValueError: mine"),
        (["py:own_models:build", "--arg", "heigth=3"], "unexpected keyword argument 'heigth'"),
        (["py:own_models:build", "--arg", "width"], "--arg width: give KEY=VALUE"),
        (["timm:resnet99999"], "has no model 'resnet99999'"),
        (["timm:resnet18", "--arg", "pretrained=true"], "pretrained asks for trained weights"),
        (["torchvision:resnet18", "--arg", "weights=DEFAULT"], "weights asks for trained weights"),
        (["torchvision:resnet99999"], "has no model 'resnet99999'"),
        (["diffusers:nowhere"], "nowhere: No such file"),
        (["x.json", "--record", "y.json"], "--arg and --record need a model"),
    ],
)
def test_bad_models_are_one_line_and_write_nothing(run, own, arguments, error):
    before = sorted(own.iterdir())
    status, out, err = run("generate", *arguments, "-o", "out")
    assert (status, out) == (2, "")
    assert error in err
    assert err.count("\n") == 1
    assert sorted(path for path in own.iterdir() if path.name != "__pycache__") == before


def test_an_argument_that_the_config_lacks(run, tmp_path):
    config_of("GPT2:LMHeadModel", tmp_path)
    status, _, err = run("generate", tmp_path, "-o", tmp_path / "out", "--arg", "n_layers=3")
    assert (status, "GPT2Config has no n_layers; is n_layer meant?" in err) == (2, True)
    assert run("generate", tmp_path, "-o", tmp_path / "out", "--arg", "n_layer=1")[0] == 0
    assert len(tensors_in(tmp_path / "out")) == 16


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            {"model_type": "x", "auto_map": {"AutoModel": "m.M"}, "architectures": ["M"]},
            "never run: give it as py:",
        ),
        ({"model_type": "llama"}, "names no class under architectures"),
        ({"model_type": "llama", "architectures": ["NoSuchModel"]}, "has no class NoSuchModel"),
        ({"model_type": "nosuch", "architectures": ["LlamaForCausalLM"]}, "nosuch"),
        (
            {"model_type": "llama", "architectures": ["LlamaConfig"]},
            "LlamaConfig under architectures is no",
        ),
        (
            {"model_type": "llama", "architectures": ["AutoModel"]},
            "AutoModel under architectures is no",
        ),
        ({"model_type": "t5", "architectures": ["BertModel"]}, "BertModel does not take a T5Config"),
        ({"no": "model"}, "config.json: names neither model_type nor architectures"),
        (None, "config.json: is not valid JSON"),
    ],
)
def test_bad_configs(run, tmp_path, content, error):
    (tmp_path / "config.json").write_text("{" if content is None else json.dumps(content))
    status, _, err = run("generate", tmp_path, "-o", tmp_path / "out")
    assert status == 2
    assert error in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "missing"),
    [("timm:resnet18", "timm"), ("torchvision:resnet18", "torchvision"), ("timm:resnet18", "torch")],
)
def test_a_missing_library_names_its_extra(tmp_path, source, missing):
    process = command("generate", source, "-o", tmp_path / "out", blocked=[missing])
    assert process.returncode == 2
    assert f"pip install 'fastinit-engine[{missing}]'" in process.stderr
    assert process.stderr.count("\n") == 1


def test_what_cannot_be_recorded_is_one_line(run, own):
    (own / "own_models.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build():\n    m = nn.Linear(3, 2)\n    m.weight.data.exponential_()\n    return m\n"
    )
    status, _, err = run("generate", "py:own_models:build", "-o", "out")
    assert status == 2
    assert "py:own_models:build: weight: cannot be recorded: exponential_" in err
    assert 'in Python, fastinit.torch.record(callable, device="cpu")' in err


def test_a_quantized_model_is_refused(run, tmp_path):
    config_of("Llama:ForCausalLM", tmp_path / "config")
    path = tmp_path / "config/config.json"
    quantized = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | quantized))
    options = ["generate", path, "-o", tmp_path / "out"]
    status, _, err = run(*options)
    assert (status, "--arg quantization_config=null" in err, err.count("\n")) == (2, True, 1)
    assert run(*options, "--arg", "quantization_config=null", "--quiet") == (0, "", "")
    assert "quantization" not in (tmp_path / "out/config.json").read_text()


@pytest.mark.parametrize("reader", ["torch.load('w.pt')", "load_file('w.safetensors')['weight']"])
def test_a_file_is_no_rule(run, own, reader):
    torch.save(torch.rand(2, 3), own / "w.pt")
    save_file({"weight": torch.rand(2, 3)}, own / "w.safetensors")
    (own / "own_models.py").write_text(
        "import safetensors.torch as st, torch\nfrom torch import nn\n"
        "def build():\n    m = nn.Linear(3, 2)\n"
        f"    m.load_state_dict({{'weight': {reader.replace('load_file', 'st.load_file')}}}, strict=False)\n"
        "    return m\n"
    )
    status, _, err = run("generate", "py:own_models:build", "-o", "out")
    assert status == 2
    name = reader.partition("(")[0].rpartition(".")[2]
    assert re.search(rf"weight: cannot be recorded: (safetensors\.)?torch\.{name}, which reads a file", err)
    sys.path.insert(0, str(own))
    sys.modules.pop("own_models", None)
    recording = record(importlib.import_module("own_models").build, device="cpu")
    assert [note.split(":")[0] for note in recording.notes] == ["weight"]
