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
    assert json.loads(done.stdout) == wanted


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
