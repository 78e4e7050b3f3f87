"""A wheel, installed where there is no compiler: what is in it, and the commands of docs/generate.md."""

import json
import re
import shlex
import zipfile

import pytest
from installed import ROOT, Environment, wheel

from fastinit.checkpoint.manifest import MODELS

PAGE = (ROOT / "docs" / "generate.md").read_text()
# The commands at the top of the page, without their comments.
COMMANDS = [
    line.partition("#")[0].strip()
    for line in re.findall(r"(?m)^    (fastinit .*)$", PAGE.partition("```")[0])
]
# Some tensors of each list stand for all, which would be gigabytes.
SOME = ["--only", "*norm.weight", "--only", "*.ln_f.*", "--only", "head.*"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("environment"), built)


def test_a_wheel_has_its_lists_rules_types_and_sources_for_the_gpu(built):
    names = set(zipfile.ZipFile(built).namelist())
    tree = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "fastinit").rglob("*")
        if path.suffix in (".json", ".toml", ".pyi", ".py", ".typed")
    }
    assert tree <= names
    assert {"fastinit/src_c/gpu.cu", "fastinit/src_c/fastinit.h"} <= names
    assert not [name for name in names if name.endswith((".c", ".o", ".d"))]


def test_the_commands_of_the_page(environment, tmp_path):
    assert len(COMMANDS) == 5
    small = {"head.weight": {"dtype": "F32", "shape": [10, 64]}, "head.bias": {"dtype": "F32", "shape": [10]}}
    (tmp_path / "list.json").write_text(json.dumps(small))
    before = environment.run(
        "fastinit", "generate", "list.json", "-o", "checkpoint", "--init", "he", cwd=tmp_path
    )
    assert before.returncode == 0, before.stderr
    for command in COMMANDS:
        words = shlex.split(command)
        done = environment.run(*words, *(SOME if words[1] == "generate" else []), cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (tmp_path / "llama" / "model.safetensors").stat().st_size > 4096 * 2
    assert (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "fresh" / "model.safetensors").exists()


def test_every_list_comes_with_it(environment, tmp_path):
    done = environment.run("fastinit", "models", "--json", cwd=tmp_path)
    assert {each["name"] for each in json.loads(done.stdout)["models"]} == {*MODELS}
    done = environment.run("fastinit", "info", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["package"].startswith(str(environment.folder))
