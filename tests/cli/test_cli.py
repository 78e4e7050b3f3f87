"""The command: its output, its error output and its exit status."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command import FASTINIT, MODEL, shell
from safetensors.numpy import load_file

import fastinit
from fastinit.checkpoint import sources
from fastinit.cli import main, terminal


def test_version_and_info(run, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fastinit {fastinit.__version__}\n"
    assert (
        subprocess.check_output([*FASTINIT, "--version"], text=True) == f"fastinit {fastinit.__version__}\n"
    )
    status, out, _ = run("info")
    fastinit.show_config()
    assert (status, out) == (0, capsys.readouterr().out)


def test_the_script_is_the_command(monkeypatch, capsys):
    project = tomllib.loads((Path(fastinit.__file__).parents[1] / "pyproject.toml").read_text())
    module, name = project["project"]["scripts"]["fastinit"].split(":")
    monkeypatch.setattr(sys, "argv", ["fastinit", "--version"])
    with pytest.raises(SystemExit):
        getattr(importlib.import_module(module), name)()
    assert capsys.readouterr().out.startswith("fastinit ")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    commands = ("generate", "verify", "inspect", "models", "propagate", "rules", "info")
    assert all(command in out for command in commands)


def helped(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_words_that_people_try_first(capsys):
    assert helped(capsys) == helped(capsys, "help") == helped(capsys, "--help")
    assert helped(capsys, "help", "verify") == helped(capsys, "verify", "--help")
    assert helped(capsys, "version") == helped(capsys, "-V") == helped(capsys, "--version")


def test_the_help_of_generate_has_presets_and_examples(capsys):
    out = helped(capsys, "generate", "--help")
    assert all(preset in out for preset in sources.PRESETS)
    assert out.count("\n  fastinit generate ") == 4
    assert max(map(len, out.partition("presets:")[2].splitlines())) <= 100


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["generat"], "generate"),
        (["verfy", "x"], "verify"),
        (["hlep"], "help"),
        (["generate", "--forse"], "--force"),
        (["inspect", "x", "--onyl=y"], "--only"),
        (["info", "--jsn"], "--json"),
    ],
)
def test_a_misspelt_word_is_guessed(capsys, argv, meant):
    with pytest.raises(SystemExit):
        main(argv)
    assert capsys.readouterr().err.endswith(f"; did you mean {meant}?\n")


def test_an_argument_is_printed_without_its_control_characters(capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "a", "b", "\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_completion(capsys, name):
    assert main(["completion", name]) == 0
    script = capsys.readouterr().out
    assert "--max-shard-size" in script
    if found := shutil.which(name):
        subprocess.run([found, "-n"], input=script, text=True, check=True)


def test_bash_completes(capsys):
    main(["completion", "bash"])
    line = 'COMP_WORDS=(fastinit verify --se); COMP_CWORD=2; _shtab_fastinit; echo "${COMPREPLY[@]}"'
    script = f"{capsys.readouterr().out}\n{line}"
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout == "--seed\n"


def test_completion_needs_shtab(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "needs shtab: pip install 'fastinit-engine[cli]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["generate"],
        ["generate", "--dry-run", "--force"],
        ["generate", "--dry-run", "--force", "--init", "missing"],
        ["inspect", "model.safetensors"],
        ["inspect", "model.safetensors", "model.safetensors"],
        ["verify", "model.safetensors"],
        ["verify", "cut.safetensors"],
        ["models"],
        ["propagate", "--depth", "2", "--width", "4", "--seeds", "1"],
        ["rules"],
        ["rules", "he"],
        ["info"],
    ],
)
def test_the_json_of_each_verb_is_one_object_that_the_page_has(capsys, monkeypatch, tmp_path, argv):
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text('{"a.weight": {"dtype": "F32", "shape": [3, 2]}}')
    Path("missing").write_text('extends = "base"')
    Path("missing.toml").write_text('[[rule]]\nmatch = "b"\ninit = "zeros"')
    main(["generate", "list.json", "--init", "he", "--quiet"])
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:-1])
    given = [each.replace("missing", "missing.toml") for each in argv]
    extra = ["list.json", "-o", "new"] if argv[0] == "generate" else []
    main([*given, *extra, *(["--init", "he"] if extra and "--init" not in argv else []), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == terminal.SCHEMA
    page = (Path(__file__).parents[2] / "docs" / "generate.md").read_text().partition("## JSON")[2]
    known = set(re.findall(r"`(\w+)`", page.partition("\n## ")[0]))
    keys = set(found)
    for each in found.values():
        records = each if isinstance(each, list) else []
        keys |= {key for record in records if isinstance(record, dict) for key in record}
    assert keys <= known


@pytest.mark.parametrize("argv", [["nonsense"], ["generate", "--nonsense"], ["generate", "--seed", "x"]])
def test_bad_arguments(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("fastinit: error: ")
    assert error.count("\n") == 1


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [*FASTINIT, "generate", "--dry-run"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_closed_streams(model, tmp_path):
    for number, closed in enumerate(["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]):
        folder = tmp_path / str(number)
        done = shell(f'"$@" {closed}', "generate", "--quiet", "--init", "torch", model, "-o", folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert load_file(folder / "model.safetensors").keys() == MODEL.keys()
    done = shell('"$@" <&-', "generate", "-", "-o", tmp_path / "new")
    assert (done.returncode, done.stderr) == (2, "fastinit: error: standard input: is closed\n")
    assert shell('"$@" 2>&-', "generate", "missing.json").returncode == 2


def test_a_full_disk_behind_standard_output(model, tmp_path):
    for arguments in (["generate", "--dry-run"], ["inspect", tmp_path]):
        shell('"$@"', "generate", model, "-o", tmp_path, "--force")
        done = shell('"$@" > /dev/full', *arguments)
        assert done.returncode == 1
        assert done.stderr == "fastinit: error: standard output: No space left on device\n"
