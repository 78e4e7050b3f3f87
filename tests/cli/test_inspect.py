"""``fastinit inspect``: what it prints, and its exit status."""

import json
import os
import subprocess
from array import array

import ml_dtypes  # noqa: F401  (safetensors finds bfloat16 by it)
import numpy as np
import pytest
from checkpoints import altered
from command import FASTINIT
from safetensors.numpy import load_file, save_file

from fastinit.checkpoint import Histogram, compare, formats, generate, inspect
from fastinit.cli.inspect import sparkline


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


def as_json(found):
    return json.loads(json.dumps([each.as_dict() for each in found]))


def test_json_has_all(checkpoint):
    done = command(checkpoint, "--json", "--threads", 2)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = as_json(inspect(checkpoint, histograms=True))
    assert wanted[1]["law"].startswith("uniform(low=-0.0377964,")
    assert len(wanted[1]["histogram"]["edges"]) == len(wanted[1]["histogram"]["counts"]) + 1
    found = json.loads(done.stdout)
    assert found == {"schema": 1, "parameters": 901801, "marked": 0, "tensors": wanted}


def test_some_tensors(checkpoint):
    done = command(checkpoint, "--only", "*.bias", "--only", "norm.*", "--json")
    wanted = as_json(inspect(checkpoint, histograms=True, only=["*.bias", "norm.*"]))
    assert json.loads(done.stdout)["tensors"] == wanted
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
    columns = "name dtype shape values p mean std expected min max zeros nan inf".split()
    assert lines[0].split() == columns
    assert [line.split()[1] for line in lines if line.startswith("!")] == ["fc.bias"]
    assert lines[-2] == "7 tensors, 901,801 parameters, 1 marked !"
    assert lines[-1].startswith("p: chance of a worse fit")
    lines = command(path, "--no-histograms").stdout.splitlines()
    assert lines[0].split() == [column for column in columns if column not in ("values", "p")]
    assert lines[-1] == "7 tensors, 901,801 parameters, 1 marked !"


def test_bad_input(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    done = command(tmp_path / "a.safetensors")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_what_is_off_its_law_is_marked(checkpoint, tmp_path):
    """By less than its moments show: uniform values in the place of normal ones."""
    path = tmp_path / "a.safetensors"
    values = np.random.default_rng(0).uniform(-(3**0.5), 3**0.5, (600, 100)).astype(np.float32)
    save_file(load_file(checkpoint) | {"token_embed.weight": values}, path, formats.read(checkpoint)[1])
    done = command(path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("!")] == ["token_embed.weight"]
    (right,) = [line.split() for line in lines if " half.weight" in line]
    assert float(right[5]) > 1e-3
    assert set(right[4]) <= set("▇█")
    done = command(path, "--no-histograms")
    assert not any(line.startswith("!") for line in done.stdout.splitlines())


def test_sparklines_are_ascii_if_they_must(checkpoint):
    line = [*FASTINIT, "inspect", str(checkpoint), "--only", "half.weight"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
    assert "#" * 16 in done.stdout
    assert done.stdout.isascii()


def test_a_sparkline_is_the_histogram():
    counts = np.bincount(np.arange(32) // 2, minlength=32)
    histogram = Histogram(array("d", range(33)), array("q", [*counts[:8], *[0] * 16, *[8] * 8]), 0, 0)
    assert sparkline(histogram) == "▃▃▃▃        ████"


def test_rules_for_others_files(checkpoint, tmp_path):
    save_file(load_file(checkpoint), tmp_path / "a.safetensors")  # without metadata
    assert "uniform" not in command(tmp_path / "a.safetensors", "--json").stdout
    found, wanted = (
        {each["name"]: each for each in json.loads(command(*line, "--json").stdout)["tensors"]}
        for line in ([tmp_path / "a.safetensors", "--init", "torch"], [checkpoint])
    )
    assert found == wanted
    assert command(tmp_path / "a.safetensors", "--init", "nonsense").returncode == 2


def test_two_checkpoints(checkpoint, tmp_path):
    path = tmp_path / "a.safetensors"
    altered(checkpoint, path, {"fc.weight": {(7, 1): np.asarray(np.float32(3))}})
    done = command(checkpoint, path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == "name dtype shape equal std std ratio KS note".split()
    (line,) = [line.split() for line in lines if "fc.weight" in line]
    assert line[4] == "99.999%"
    assert float(line[6]) == pytest.approx(3 / 0.02182 / 2 * 3 / 0.02182 / 420_000 + 1, abs=0.01)
    assert lines[-1] == "7 tensors: 6 with equal bits, 1 that differ"
    assert command(checkpoint, path, "--exit-code", "--quiet").returncode == 1
    assert command(checkpoint, checkpoint, "--exit-code", "--quiet").returncode == 0
    found = json.loads(command(checkpoint, path, "--json").stdout)
    wanted = json.loads(json.dumps([each.as_dict() for each in compare(checkpoint, path, histograms=True)]))
    assert found == {"schema": 1, "same": False, "tensors": wanted}


def test_names_and_shapes_that_differ(tmp_path):
    values = np.ones((3, 4), np.float32)
    save_file({"a": values, "b": values, "c": values}, tmp_path / "1.safetensors")
    save_file(
        {"b": values[:2].copy(), "c": values.astype(np.float16), "d": values}, tmp_path / "2.safetensors"
    )
    lines = command(tmp_path / "1.safetensors", tmp_path / "2.safetensors").stdout.splitlines()
    notes = {line.split()[0]: line for line in lines[1:5]}
    assert notes["a"].endswith("only in the first")
    assert notes["b"].endswith("[3, 4] -> [2, 4]")
    assert notes["c"].endswith("F32 -> F16")
    assert notes["d"].endswith("only in the second")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "c"], "unrecognized arguments: c"),
        (["model.safetensors", "--exit-code"], "--exit-code is for two"),
        (["model.safetensors", "model.safetensors", "--init", "torch"], "--init is for one"),
        (["model.safetensors", "-o", "x.pdf"], "a report's name ends in .html"),
        (["model.safetensors", "-o", "missing/x.html"], "cannot be written"),
        (["model.safetensors", "other.safetensors"], "have no tensor of one name"),
    ],
)
def test_what_is_refused(checkpoint, tmp_path, arguments, said):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    line = [*FASTINIT, "inspect", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
