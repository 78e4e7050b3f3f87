"""``fastinit models``, and the names that it shows as the list of ``generate``."""

import json
import shutil

import pytest

from fastinit import checkpoint
from fastinit.checkpoint.manifest import MODELS


def test_a_row_for_each_model(run):
    status, out, err = run("models")
    assert (status, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["name", "tensors", "parameters", "bytes", "rules"]
    assert [row.split()[0] for row in rows] == [*MODELS]
    assert "llama-7b      291      6,738,415,616   13,476,831,232  llama, picked by names" in out


def test_the_rows_are_what_a_plan_says(run):
    status, out, _ = run("models", "--json")
    assert status == 0
    for each in json.loads(out)["models"]:
        facts = checkpoint.plan(each["name"]).facts()
        assert each == {key: facts.get(key, each["name"]) for key in each}
        assert each.keys() == {"name", "tensors", "parameters", "bytes", "rules_from"}


@pytest.mark.parametrize("name", MODELS)
def test_a_name_is_its_list(run, name):
    command = "--only", "*.bias", "--only", "model.norm.weight", "--dry-run", "--json"
    by_name, by_path = (run("generate", each, *command) for each in (name, MODELS[name]))
    assert by_name == by_path
    assert by_name[0] == 0


def test_the_first_place_is_that_of_a_file_or_a_checkpoint(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = {"h.0.ln_1.weight": {"dtype": "F32", "shape": [3]}}
    (tmp_path / "vit-b16").write_text(json.dumps(tiny))
    assert run("generate", "vit-b16", "-o", "x", "--init", "torch", "--quiet")[0] == 0
    checkpoint.generate(tiny, "gpt2", init="torch")
    assert checkpoint.plan("gpt2", init="torch").tensors == 1
    assert checkpoint.plan("./gpt2", init="torch").tensors == 1
    assert checkpoint.plan("gpt2", "gpt2").tensors == 148  # what fastinit wrote there is its target alone
    shutil.rmtree("gpt2")
    (tmp_path / "gpt2").mkdir()
    assert checkpoint.plan("gpt2").tensors == 148


def test_a_list_is_written_twice_to_a_folder_of_its_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = "generate", "gpt2", "-o", "gpt2", "--only", "*.h.0.*", "--json"
    assert run(*command)[0] == 0
    status, out, _ = run(*command, "--resume")
    assert (status, json.loads(out)["kept"]) == (0, ["gpt2/model.safetensors"])
    assert json.loads(out)["tensors"] == 12


def test_a_name_that_is_none(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = f"lama-7b: No such file or folder, and none of the models {', '.join(MODELS)}"
    assert run("generate", "lama-7b") == (2, "", f"fastinit: error: {message}\n")
    for path in ("./gpt2", "gpt2/", "gpt2.json"):
        shown = path.strip("./")
        assert run("generate", path) == (2, "", f"fastinit: error: {shown}: No such file or directory\n")
