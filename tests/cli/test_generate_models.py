"""``fastinit generate`` of other libraries' models."""

import importlib
import inspect
import json
import warnings

import numpy as np
import pytest
import torch
from library_models import command, config_of, tensors_in
from models import MODELS

from fastinit.checkpoint import Recording
from fastinit.torch import initialize, record
from fastinit.torch.models import model_of


@pytest.fixture(autouse=True)
def quiet():
    """Libraries warn of what they will do away with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    "name",
    [
        "Bert:ForMaskedLM",
        "DeepseekV3:ForCausalLM",
        "GPT2:LMHeadModel",
        "Llama:ForCausalLM",
        "Mixtral:ForCausalLM",
        "OPT:ForCausalLM",
        "Qwen2Moe:ForCausalLM",
        "T5:ForConditionalGeneration",
        "Whisper:ForConditionalGeneration",
    ],
)
def test_a_config_gives_what_save_pretrained_gives(run, tmp_path, name):
    module = config_of(name, tmp_path / "config")
    status, _, err = run("generate", tmp_path / "config/config.json", "-o", tmp_path / "ours", "--seed", 5)
    assert (status, err) == (0, "")
    module.save_pretrained(tmp_path / "theirs")
    ours, theirs = tensors_in(tmp_path / "ours"), tensors_in(tmp_path / "theirs")
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {
        k: (v.shape, v.dtype) for k, v in theirs.items()
    }
    files = [sorted(path.name for path in (tmp_path / each).iterdir()) for each in ("ours", "theirs")]
    assert files[0] == files[1]
    assert (tmp_path / "ours/config.json").read_text() == (tmp_path / "theirs/config.json").read_text()

    loaded, info = type(module).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    with torch.device("meta"):
        filled = MODELS["transformers", name]()
    initialize(filled, 5, record(MODELS["transformers", name]))
    expected = filled.state_dict()
    assert [key for key, value in loaded.state_dict().items() if not torch.equal(value, expected[key])] == []

    verified = command("verify", tmp_path / "ours", blocked=["torch", "transformers"])
    assert verified.returncode == 0, verified.stderr
    assert run("inspect", tmp_path / "ours", "--json")[0] == 0


def test_tensors_that_are_fused_on_disk(run, tmp_path):
    transformers = importlib.import_module("transformers")
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
    config = transformers.NomicBertConfig(**small, intermediate_size=64, architectures=["NomicBertModel"])
    config.save_pretrained(tmp_path / "config")
    assert run("generate", tmp_path / "config", "-o", tmp_path / "out", "--seed", 5, "--quiet") == (0, "", "")
    assert any("Wqkv" in name for name in tensors_in(tmp_path / "out"))
    loaded, info = transformers.NomicBertModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values()), info
    filled = transformers.NomicBertModel(config)
    expected = initialize(filled, 5, record(lambda: transformers.NomicBertModel(config))).state_dict()
    assert [key for key, value in loaded.state_dict().items() if not torch.equal(value, expected[key])] == []
    assert command("verify", tmp_path / "out", blocked=["torch"]).returncode == 0


def test_a_folder_with_a_config_and_no_weights(run, tmp_path):
    config_of("GPT2:LMHeadModel", tmp_path)
    before = (tmp_path / "config.json").read_text()
    assert run("generate", tmp_path, "-o", tmp_path, "--quiet") == (0, "", "")
    assert (tmp_path / "config.json").read_text() == before
    # Now it has weights, so it is a list of tensors, except for itself.
    status, _, err = run("generate", tmp_path, "-o", tmp_path / "again", "--arg", "n_layer=3")
    assert (status, "need a model" in err) == (2, True)


def test_a_folder_that_is_its_own_target_stays_a_model(run, tmp_path):
    config_of("Mixtral:ForCausalLM", tmp_path)
    options = ["generate", tmp_path, "-o", tmp_path, "--max-shard-size", "20KB", "--quiet"]
    assert run(*options)[0] == 0
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shards = sorted(tmp_path.glob("*.safetensors"))
    for left in (0, 1, len(shards) - 1):  # as an interrupted command leaves it
        for path in (*shards[left:], *tmp_path.glob("*.index.json")):
            path.unlink()
        assert run(*options, "--resume") == (0, "", "")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    for more in ((), ("--dry-run",)):  # one file beside the shards would be no checkpoint
        status, _, err = run(*options, "--only", "*.embed_tokens.*", "--force", *more)
        assert (status, "give a file's name" in err) == (2, True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    assert run(*options, "--seed", 1, "--force")[0] == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.index.json")}.items() <= whole.items()
    assert not {path.name: path.read_bytes() for path in shards}.items() & whole.items()


@pytest.mark.parametrize("name", ["config", "config/config.json"])
def test_a_config_that_is_its_own_target_stays(run, tmp_path, name):
    config_of("GPT2:LMHeadModel", tmp_path / "config")
    path = tmp_path / "config/config.json"
    path.write_text(before := json.dumps({**json.loads(path.read_text()), "mine": 1}))
    assert run("generate", tmp_path / name, "-o", tmp_path / "config", "--quiet") == (0, "", "")
    assert path.read_text() == before


def test_other_files_beside_the_weights_are_not_kept_silently(run, tmp_path):
    config_of("GPT2:LMHeadModel", tmp_path / "config")
    options = ["generate", tmp_path / "config/config.json", "-o", tmp_path / "out", "--quiet"]
    assert run(*options)[0] == 0
    config, weights = tmp_path / "out/config.json", tmp_path / "out/model.safetensors"
    right = config.read_text()
    weights.unlink()
    assert run(*options) == (0, "", "")  # the same config is no other
    config.write_text("{}")
    weights.unlink()
    for more in ((), ("--resume",), ("--dry-run",)):
        status, _, err = run(*options, *more)
        assert (status, "config.json: differs from that of this model; --force replaces it" in err) == (
            2,
            True,
        )
    assert (config.read_text(), weights.exists()) == ("{}", False)
    assert run(*options, "--force")[0] == 0
    assert config.read_text() == right
    # A config that is asked to become another is its own model's no more.
    own = ["generate", tmp_path / "config", "-o", tmp_path / "config", "--arg", "n_layer=1", "--quiet"]
    assert run(*own)[0] == 2
    assert run(*own, "--force")[0] == 0
    assert json.loads((tmp_path / "config/config.json").read_text())["n_layer"] == 1


def test_a_folder_with_weights_of_others_is_a_list(run, tmp_path):
    config_of("GPT2:LMHeadModel", tmp_path).save_pretrained(tmp_path)
    status, _, err = run("generate", tmp_path, "-o", tmp_path, "--force", "--arg", "n_layer=3")
    assert (status, "need a model" in err) == (2, True)


def test_the_dtype_of_the_config_and_of_the_option(run, tmp_path):
    module = MODELS["transformers", "Llama:ForCausalLM"]()
    module.config.architectures, module.config.dtype = ["LlamaForCausalLM"], "bfloat16"
    module.config.save_pretrained(tmp_path / "config")
    run("generate", tmp_path / "config", "-o", tmp_path / "bf16")
    header = (tmp_path / "bf16/model.safetensors").read_bytes()[:3000]
    assert b'"BF16"' in header
    assert b'"F32"' not in header
    run("generate", tmp_path / "config", "-o", tmp_path / "f32", "--dtype", "F32")
    assert b'"BF16"' not in (tmp_path / "f32/model.safetensors").read_bytes()[:3000]


def test_the_config_beside_has_the_dtype_of_the_option(run, tmp_path):
    config_of("CLIP:Model", tmp_path / "config")
    run("generate", tmp_path / "config", "-o", tmp_path / "out", "--dtype", "BF16")
    text = (tmp_path / "out/config.json").read_text()
    assert '"dtype": "bfloat16"' in text
    assert "float32" not in text
    run("generate", tmp_path / "config", "-o", tmp_path / "plain")
    assert text.replace("bfloat16", "float32") == (tmp_path / "plain/config.json").read_text()


def test_an_argument_picks_the_class(run, tmp_path):
    config_of("GPT2:LMHeadModel", tmp_path / "config")
    arguments = ["--arg", 'architectures=["GPT2ForSequenceClassification"]', "--quiet"]
    assert run("generate", tmp_path / "config", "-o", tmp_path / "out", *arguments)[0] == 0
    assert "score.weight" in tensors_in(tmp_path / "out")


def test_a_recording_is_written_alone_and_generates_without_torch(run, tmp_path):
    config_of("Qwen3Moe:ForCausalLM", tmp_path / "config")
    status, out, _ = run("generate", tmp_path / "config", "--record", tmp_path / "model.toml")
    assert status == 0
    assert "rules for" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "model.toml"]
    assert len(Recording.load(tmp_path / "model.toml").rules) < 40  # though there are 53 tensors
    run("generate", tmp_path / "config", "-o", tmp_path / "direct", "--seed", 2)
    process = command(
        "generate", tmp_path / "model.toml", "-o", tmp_path / "out", "--seed", 2, blocked=["torch"]
    )
    assert process.returncode == 0, process.stderr
    direct, out = tensors_in(tmp_path / "direct"), tensors_in(tmp_path / "out")
    assert all(np.array_equal(direct[name], out[name]) for name in direct)
    assert (tmp_path / "out/config.json").exists()


@pytest.mark.parametrize("limit", ["20KB", "1MB"])
def test_shards_and_resume(run, tmp_path, limit):
    config_of("Mixtral:ForCausalLM", tmp_path / "config")
    options = ["-o", tmp_path / "out", "--max-shard-size", limit]
    assert run("generate", tmp_path / "config", *options)[0] == 0
    some = min((tmp_path / "out").glob("*.safetensors"))
    expected = some.read_bytes()
    some.write_bytes(expected[:-1])
    assert run("generate", tmp_path / "config", *options, "--resume")[0] == 0
    assert some.read_bytes() == expected


def test_timm(run, tmp_path):
    timm = importlib.import_module("timm")
    status, _, err = run("generate", "timm:resnet10t", "-o", tmp_path, "--arg", "num_classes=7")
    assert (status, err) == (0, "")
    module = timm.create_model("resnet10t", num_classes=7)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in tensors_in(tmp_path).items()}, strict=True)
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == "resnet10t"


def test_torchvision(run, tmp_path):
    models = importlib.import_module("torchvision.models")
    assert run("generate", "torchvision:squeezenet1_1", "-o", tmp_path / "x.safetensors", "--quiet") == (
        0,
        "",
        "",
    )
    module = models.squeezenet1_1()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in tensors_in(tmp_path).items()}, strict=True)


def test_torchvision_fetches_no_backbone(run, monkeypatch):
    def fetched(*_, **__):
        raise AssertionError("trained weights")

    models = importlib.import_module("torchvision.models")
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fetched)
    builders = {name: inspect.signature(models.get_model_builder(name)) for name in models.list_models()}
    names = [name for name, signature in builders.items() if "weights_backbone" in signature.parameters]
    assert len(names) >= 18
    for name in names:
        with torch.device("meta"):
            model_of(f"torchvision:{name}", {}).build()


def test_diffusers(run, tmp_path):
    module = MODELS["diffusers", "UNet2DModel"]()
    module.save_config(tmp_path / "config")
    status, _, err = run("generate", f"diffusers:{tmp_path / 'config'}", "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    assert (tmp_path / "out/diffusion_pytorch_model.safetensors").exists()
    loaded, info = type(module).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values()), info
    assert loaded.state_dict().keys() == module.state_dict().keys()
    source, target = f"diffusers:{tmp_path / 'config'}", tmp_path / "more"
    status, _, err = run("generate", source, "-o", target, "--arg", "sample_sizes=4")
    assert (status, "UNet2DModel has no sample_sizes; is sample_size meant?" in err) == (2, True)


def test_a_callable_of_python(run, own):
    options = ["-o", "out", "--arg", "width=6", "--arg", "bias=false", "--quiet"]
    assert run("generate", "py:own_models:build", *options) == (0, "", "")
    assert {k: v.shape for k, v in tensors_in(own / "out").items()} == {"weight": (6, 3)}
    assert run("generate", "py:own_models:Nested.build", "--dry-run", "--quiet")[0] == 0
    assert json.loads(run("generate", "py:own_models:loud", "-o", "loud", "--json")[1])["tensors"] == 2


def test_a_tied_tensor_is_written_once(run, own):
    (own / "own_models.py").write_text(
        "from torch import nn\n"
        "def build():\n    m = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))\n"
        "    m[1].weight = m[0].weight\n    return m\n"
    )
    assert run("generate", "py:own_models:build", "-o", "out")[0] == 0
    assert sorted(tensors_in(own / "out")) == ["0.bias", "0.weight", "1.bias"]


def test_a_recording_is_not_written_over_nor_by_a_dry_run(run, own):
    source = ["py:own_models:build", "--record", "r.json"]
    assert run("generate", *source, "--dry-run", "--quiet") == (0, "", "")
    assert not (own / "r.json").exists()
    assert run("generate", *source)[0] == 0
    status, _, err = run("generate", *source)
    assert (status, "r.json: exists; --force replaces it" in err) == (2, True)
    assert run("generate", *source, "--force")[0] == 0
    status, _, err = run("generate", *source, "--force", "--only", "bias")
    assert (status, "takes no --only" in err) == (2, True)
