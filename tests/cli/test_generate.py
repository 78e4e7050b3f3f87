"""``fastinit generate``: what it writes, prints and refuses."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
from command import FASTINIT, MODEL
from safetensors.numpy import load_file

from fastinit.checkpoint import manifest, plan, tensors


def test_the_summary(run, model, tmp_path):
    path = tmp_path / "x.safetensors"
    status, out, err = run("generate", model, "-o", path, "--init", "he", "--seed", 3, "--digest")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(path)
    assert lines[1].startswith("3 tensors, 7,858 parameters, 31,464 bytes, ")
    assert lines[1].endswith(" GB/s")
    assert lines[2:3] == ["rules   he"]
    assert [line.split()[0] for line in lines[3:]] == ["recipe", "digest"]
    expected = dict(tensors(MODEL, init="he", seed=3))
    found = load_file(path)
    assert found.keys() == expected.keys()
    assert all((found[name] == expected[name]).all() for name in found)


def test_the_summary_as_json(run, model, tmp_path):
    status, out, _ = run("generate", model, "-o", tmp_path, "--init", "he", "--digest", "--json")
    summary = json.loads(out)
    assert status == 0
    assert summary["files"] == [str(tmp_path / "model.safetensors")]
    assert (summary["tensors"], summary["parameters"], summary["bytes"]) == (3, 7858, 31464)
    assert (summary["rules_from"], summary["kept"]) == ("he", [])
    assert summary["tensor_digests"].keys() == MODEL.keys()


def test_quiet(run, model, tmp_path):
    quiet = "generate", model, "--init", "torch", "-o", tmp_path, "--quiet"
    assert run(*quiet) == (0, "", "")
    assert run(*quiet, "--dry-run", "--force") == (0, "", "")


def test_many_shards_are_one_line(run, model, tmp_path):
    _, out, _ = run("generate", model, "-o", tmp_path, "--max-shard-size", 1)
    assert out.splitlines()[0] == f"{tmp_path / 'model.safetensors.index.json'}, 3 shards"
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    _, out, _ = run("generate", model, "-o", tmp_path, "--max-shard-size", 1, "--resume")
    assert out.splitlines()[0] == f"{tmp_path / 'model.safetensors.index.json'}, 3 shards, 2 kept"


def test_ranks(run, model, tmp_path):
    command = ["generate", model, "-o", tmp_path / "new", "--init", "he", "--max-shard-size", 1, "--world", 2]
    status, out, err = run(*command, "--rank", 1)
    assert (status, err) == (0, "")
    assert out.splitlines()[1].startswith("3 tensors, 7,858 parameters, 31,464 bytes, ")
    assert "GB/s" not in out  # these are all ranks' bytes
    assert out.splitlines()[-1] == "missing 3 files, which other ranks write"
    _, out, _ = run(*command, "--rank", 1, "--json")
    names = [f"model-0000{n}-of-00003.safetensors" for n in (1, 3)] + ["model.safetensors.index.json"]
    assert json.loads(out)["missing"] == [str(tmp_path / "new" / name) for name in names]
    _, out, _ = run(*command, "--rank", 0)
    assert out.splitlines()[0] == f"{tmp_path}/new/model.safetensors.index.json, 3 shards"
    assert "missing" not in out
    _, out, _ = run(*command, "--rank", 0)
    assert out.splitlines()[0].endswith(", 3 shards, 2 kept")
    for more in ([], ["--dry-run"]):
        assert run(*command, "--rank", 0, "--seed", 1, *more)[0] == 2
        assert run(*command, "--rank", 2, *more)[2].startswith("fastinit: error: rank must be from 0 to 1")
    assert run(*command, "--rank", 0, "--dry-run")[0] == 0


def test_a_rank_that_is_no_number(run, model, capsys):
    with pytest.raises(SystemExit) as end:
        run("generate", model, "--rank", "first", "--world", 2)
    assert end.value.code == 2
    error = "fastinit: error: argument --rank: 'first' is neither a number nor auto\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("rank", [True, False])
def test_an_interrupted_rank_goes_on_without_resume(run, model, tmp_path, monkeypatch, rank):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", fail)
    given = ["--rank", 0, "--world", 2] if rank else []
    status, _, err = run("generate", model, "-o", tmp_path / "new", "--init", "he", *given)
    how = "" if rank else " with --resume"
    assert (status, err) == (130, f"fastinit: error: interrupted; the same command{how} goes on\n")


GPT2 = "gpt2, picked by names, initializer_range 0.02, no padding token"


def test_without_a_manifest_it_is_gpt2(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("generate", "--only", "*ln_f*")
    assert status == 0
    assert out.splitlines()[:3] == ["model.safetensors", out.splitlines()[1], f"rules   {GPT2}"]
    assert load_file("model.safetensors").keys() == {"transformer.ln_f.weight", "transformer.ln_f.bias"}


def test_standard_input(tmp_path):
    command = [*FASTINIT, "generate", "-", "-o", tmp_path, "--quiet"]
    subprocess.run(command, input=json.dumps(MODEL).encode(), check=True)
    assert load_file(tmp_path / "model.safetensors").keys() == MODEL.keys()


def test_a_dry_run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run("generate", "--dry-run")
    lines = out.splitlines()
    assert (status, err, list(tmp_path.iterdir())) == (0, "", [])
    assert lines[0].split() == ["name", "dtype", "shape", "fans", "match", "init", "std"]
    [row] = [line.split() for line in lines if line.startswith("transformer.h.0.attn.c_attn.weight ")]
    assert " ".join(row[1:6]) == "F32 [768, 2304] [768, 2304]"  # a Conv1D: in, out
    assert row[-1] == "0.02"
    assert len(lines) == 1 + 148 + 1 + 4
    assert lines[-4:-2] == [
        "148 tensors, 124,439,808 parameters, 497,759,232 bytes",
        f"rules   {GPT2}, layers = 12",
    ]
    assert lines[-1] == "files   model.safetensors"

    status, out, _ = run("generate", "--dry-run", "--json")
    plan = json.loads(out)
    assert lines[-2] == f"recipe  {plan['recipe_digest']}"
    assert (plan["files"], plan["layers"], plan["unused"]) == (["model.safetensors"], 12, [])
    assert len(plan["choices"]) == plan["tensors"] == 148
    assert plan["choices"][0].keys() == {"name", "dtype", "shape", "fans", "match", "init", "std"}


def test_a_dry_run_says_the_recipe_of_the_real_one(run, model, tmp_path):
    _, out, _ = run("generate", model, "--dry-run", "--json")
    _, real, _ = run("generate", model, "-o", tmp_path, "--json")
    assert json.loads(out)["recipe_digest"] == json.loads(real)["recipe_digest"]


def test_a_dry_run_checks_what_the_real_one_would(run, model, tmp_path):
    for wrong in (
        ["--threads", 0],
        ["--max-shard-size", "5 parsecs"],
        ["-o", tmp_path / "missing" / "folder"],
        ["-o", model],
        ["-o", "-"],
        ["-o", "/dev/full"],
    ):
        refusals = [run("generate", model, "--init", "he", *wrong, *dry) for dry in ([], ["--dry-run"])]
        assert [status for status, *_ in refusals] == [2, 2], wrong
        assert refusals[0][2] == refusals[1][2]
    _, out, _ = run("generate", model, "-o", tmp_path / "new", "--dry-run", "--max-shard-size", 1)
    assert out.splitlines()[-1] == f"files   {tmp_path}/new/model.safetensors.index.json, 3 shards"
    assert not (tmp_path / "new").exists()
    rules = tmp_path / "rules.toml"
    rules.write_text('extends = "he"\n[[rule]]\nmatch = "cf.*"\ninit = "zeros"\n')
    run("generate", model, "-o", tmp_path, "--init", rules)
    status, out, err = run("generate", model, "-o", tmp_path, "--init", rules, "--dry-run")
    assert (status, "exists; --force replaces it" in err) == (2, True)
    assert out.splitlines()[-2:] == [
        f"files   {tmp_path}/model.safetensors, which is there",
        "rules that made nothing: cf.*",
    ]


def test_a_dry_run_needs_room_and_a_folder_that_can_be_written(run, model, tmp_path, monkeypatch):
    command = ["generate", model, "-o", tmp_path / "new", "--init", "he"]
    for target in ("/proc/new", "/proc/new.safetensors"):  # whose permissions let root write
        refusals = [run("generate", model, "-o", target, "--init", "he", *dry) for dry in ([], ["--dry-run"])]
        assert [status for status, *_ in refusals] == [2, 2]
        assert ["cannot be written: No such file" in err for *_, err in refusals] == [True] * 2
    full = os.statvfs(tmp_path)
    few = os.statvfs_result((*full[:3], 1, 1, *full[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: few)
    refusals = [run(*command, *dry) for dry in ([], ["--dry-run"])]
    assert [status for status, *_ in refusals] == [2, 2]
    assert [f"needs 31.5 KB, {few.f_frsize / 1e3:.1f} KB are free" in err for *_, err in refusals] == [
        True
    ] * 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("model", manifest.MODELS)
def test_every_list_has_its_preset(model):
    presets = {
        "gpt2": "gpt2",
        "bert": "bert",
        "llama": "llama",
        "mixtral": "llama",
        "resnet50": "resnet",
        "vit": "vit",
    }
    assert plan(model).recipe.rules_from.startswith(presets[model.split("-")[0]] + ", picked by names")


@pytest.mark.parametrize(
    "argv",
    [
        ["missing.json"],
        ["model.json", "--init", "nonsense"],
        ["model.json", "--dtype", "F8"],
        ["model.json", "--only", "nothing"],
        ["model.json", "--init", "torch", "--seed", "-1"],
        ["model.json", "--init", "torch", "-o", "missing/folder"],
        ["model.json", "--init", "torch", "-o", "model.json"],
        ["cut.json"],
    ],
)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, model, argv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cut.json").write_text('{"x": {"dtype": "F32",')
    before = sorted(tmp_path.iterdir())
    status, out, err = run("generate", *argv)
    assert (status, out) == (2, "")
    assert err.startswith("fastinit: error: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "{file}: No space left on device"),
        (MemoryError(), 1, "MemoryError"),
        (KeyboardInterrupt(), 130, "interrupted; the same command with --resume goes on"),
    ],
)
def test_failures(run, model, tmp_path, monkeypatch, error, status, line):
    def fail(*_):
        raise error

    monkeypatch.setattr(os, "pwrite", fail)
    assert run("generate", model, "--init", "torch", "-o", tmp_path / "new") == (
        status,
        "",
        f"fastinit: error: {line.format(file=tmp_path / 'new' / 'model.safetensors')}\n",
    )
    assert not (tmp_path / "new").exists()


def test_a_doubt_is_told_even_if_quiet(run, model, tmp_path):
    status, out, err = run("generate", model, "-o", tmp_path / "new", "--quiet")
    assert (status, out) == (0, "")
    assert err.startswith("fastinit: warning: the names are of no known family: preset torch may be wrong")
    assert "config.json" in err
    assert err.count("\n") == 1


NO_RULE = "he: no rule matches tensor 'layers.0.odd', F32 [4, 4] and 3 more"


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "odd.json"
    names = {f"layers.{n}.odd": [4, 4] for n in range(3)} | {"fc.weight": [4, 5], "codes": [7]}
    path.write_text(json.dumps({name: {"dtype": "F32", "shape": shape} for name, shape in names.items()}))
    return path


def test_all_tensors_without_a_rule_are_listed_with_rules_to_paste(run, odd, tmp_path):
    status, out, err = run("generate", odd, "-o", tmp_path / "new", "--init", "he")
    assert (status, out) == (2, "")
    first, _, rules = err.partition("\n")
    assert first == f"fastinit: error: {NO_RULE}"
    assert "# 3: layers.0.odd, F32 [4, 4]" in rules
    assert not (tmp_path / "new").exists()
    mine = tmp_path / "mine.toml"
    mine.write_text(rules.partition("\n")[2])
    status, out, _ = run("generate", odd, "-o", tmp_path / "new", "--init", mine, "--dry-run", "--json")
    assert status == 0
    stds = {choice["name"]: choice["std"] for choice in json.loads(out)["choices"]}
    assert (stds["layers.2.odd"], stds["codes"]) == (0.02, 0)


def test_a_dry_run_marks_tensors_without_a_rule(run, odd):
    status, out, err = run("generate", odd, "--init", "he", "--dry-run")
    assert (status, err) == (2, f"fastinit: error: {NO_RULE}\n")
    marked = [line.split()[0] for line in out.splitlines() if "(no rule)" in line]
    assert marked == ["layers.0.odd", "layers.1.odd", "layers.2.odd", "codes"]
    assert "[[rule]]" in out
    status, out, _ = run("generate", odd, "--init", "he", "--dry-run", "--json")
    assert (status, json.loads(out)["unmatched"]) == (2, marked)


def test_any_list_can_be_dummy(run, odd, tmp_path):
    assert run("generate", odd, "-o", tmp_path / "new", "--init", "dummy", "--quiet") == (0, "", "")
