"""The files and commands of the README's small project work as written."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
README = (PACKAGE / "README.md").read_text()
FILES = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
INSTALL, COMPARE, RECORD = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
[OUTPUT] = re.findall(r"^```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """A function that runs a block of commands in a folder: its exit status, its output.

    The commands find a new environment first: this one's packages less `trackbench`, and no network.
    """
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    [packages] = environment.glob("lib/python*/site-packages")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "trackbench" not in each.name and each.suffix != ".pth":
            (packages / each.name).symlink_to(each)
    pip = environment / "bin" / "pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    variables = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    variables |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0: no isolation
    for who in ("AUTHOR", "COMMITTER"):
        variables |= {f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test@localhost"}

    def run(commands, folder):
        done = subprocess.run(
            ["sh", "-ec", commands], cwd=folder, env=variables, stdout=-1, stderr=-2, text=True
        )
        return done.returncode, done.stdout

    return run


def test_the_readmes_commands_do_what_it_says(shell, tmp_path):
    copy = tmp_path / "bench" / "track"  # pip builds beside the source
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    status, said = shell(INSTALL, tmp_path)
    assert status == 0, said

    project = tmp_path / "project"
    for name, text in FILES:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    status, said = shell(COMPARE, project)
    assert status == 1, said
    for line in OUTPUT.splitlines():
        assert without_figures(line) in without_figures(said), said

    status, said = shell(RECORD, project)
    assert status == 0, said
    assert said.endswith(f"{project}/.benchmarks/history.html\n")
    assert "test_checksum" in (project / ".benchmarks" / "history.html").read_text()


def without_figures(text):
    return re.sub(r"\s+", " ", re.sub(r"\d\.\d+", "N", text))
