"""The command: its output, its error output and its exit status."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command import FASTINIT, MODEL, shell
from safetensors.numpy import load_file

import fastinit
from fastinit.cli import main


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
    assert all(command in out for command in ("generate", "verify", "inspect", "rules", "info"))


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["generate", "--nonsense"], ["generate", "--seed", "x"]])
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
