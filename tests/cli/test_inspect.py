"""``fastinit inspect``: what it prints, and its exit status."""

import json
import subprocess

import numpy as np
import pytest
from checkpoints import altered
from command import FASTINIT

from fastinit.checkpoint import generate, inspect


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("generated") / "model.safetensors"
    model = {
        "fc.weight": {"dtype": "F32", "shape": [600, 700]},
        "fc.bias": {"dtype": "BF16", "shape": [600]},
        "half.weight": {"dtype": "BF16", "shape": [600, 700]},
        "norm.weight": {"dtype": "F16", "shape": [600]},
        "token_embed.weight": {"dtype": "F32", "shape": [600, 100]},
        "position_ids": {"dtype": "I64", "shape": [1, 600]},
        "one.weight": {"dtype": "F32", "shape": [1, 1]},
    }
    generate(model, path, init="torch", seed=4)
    return path


def command(*arguments):
    line = [*FASTINIT, "inspect", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_json_has_all(checkpoint):
    done = command(checkpoint, "--json", "--threads", 2)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = [each._asdict() | {"shape": list(each.shape)} for each in inspect(checkpoint)]
    found = json.loads(done.stdout)
    assert found == {"schema": 1, "parameters": 901801, "marked": 0, "tensors": wanted}


def test_some_tensors(checkpoint):
    done = command(checkpoint, "--only", "*.bias", "--only", "norm.*", "--json")
    wanted = [each._asdict() | {"shape": list(each.shape)} for each in inspect(checkpoint)]
    named = [each for each in wanted if each["name"] in ("fc.bias", "norm.weight")]
    assert json.loads(done.stdout)["tensors"] == named
    assert command(checkpoint, "--only", "nothing").returncode == 2


@pytest.mark.parametrize(("value", "status"), [(np.nan, 1), (np.inf, 1), (1e9, 0)])
def test_the_exit_status(checkpoint, tmp_path, value, status):
    path = tmp_path / "a.safetensors"
    altered(checkpoint, path, {"fc.weight": {(7, 1): np.asarray(np.float32(value))}})
    done = command(path, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert command(path, "--only", "fc.bias").returncode == 0


def test_an_infinity_that_the_rules_give(tmp_path):
    model = {"mask": {"dtype": "F32", "shape": [4]}}
    generate(model, tmp_path / "a.safetensors", init=[{"match": "*", "init": "constant(value=-inf)"}])
    assert command(tmp_path / "a.safetensors").returncode == 0


def test_a_table(checkpoint, tmp_path):
    path = tmp_path / "a.safetensors"
    altered(checkpoint, path, {"fc.bias": {(7,): np.asarray(np.uint16(0x7FC0))}})  # a NaN
    lines = command(path).stdout.splitlines()
    assert lines[0].split() == "name dtype shape mean std expected min max zeros nan inf".split()
    assert [line.split()[1] for line in lines if line.startswith("!")] == ["fc.bias"]
    assert lines[-1] == "7 tensors, 901,801 parameters, 1 marked !"


def test_bad_input(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    done = command(tmp_path / "a.safetensors")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
