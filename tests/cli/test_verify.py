"""``fastinit verify``: what it prints, and its exit status."""

import json
import subprocess

import numpy as np
import pytest
from checkpoints import MODEL, altered
from command import FASTINIT

from fastinit.checkpoint import generate


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    generate(MODEL, path, seed=11, init="he")
    return path


def command(*arguments):
    line = [*FASTINIT, "verify", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_same(checkpoint):
    done = command(checkpoint)
    assert done.returncode == 0
    assert done.stdout.startswith(f"the same: {len(MODEL)} tensors")
    assert "seed 11, rules as recorded" in done.stdout


def test_a_difference(checkpoint, tmp_path):
    change = {"F32.weight": {(2, 5): np.asarray(np.float32(0.5))}}
    path = altered(checkpoint, tmp_path / "altered.safetensors", change)
    done = command(path)
    assert done.returncode == 1
    assert "F32.weight: 1 of 1,052,902 elements differ, first [2, 5]: expected " in done.stdout
    assert "found 0.5" in done.stdout
    report = json.loads(command(path, "--json", "--threads", 2).stdout)
    assert report["same"] is False
    assert report["differences"][0]["index"] == [2, 5]
    odd = altered(
        checkpoint, tmp_path / "odd.safetensors", {"F32.weight": {(2, 5): np.asarray(np.float32(np.nan))}}
    )
    report = json.loads(command(odd, "--json").stdout, parse_constant=pytest.fail)
    assert report["differences"][0]["actual"] == "nan"
    quiet = command(path, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "the seed must not be negative"),
        (["--init", "nonsense"], "unknown preset 'nonsense'"),
    ],
)
def test_bad_input(checkpoint, arguments, message):
    done = command(checkpoint, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cut_file(checkpoint, tmp_path):
    path = tmp_path / "cut.safetensors"
    for size in (0, 5, 20, -1):
        path.write_bytes(checkpoint.read_bytes()[:size])
        done = command(path)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.startswith(f"damaged: {path}: ")
    report = json.loads(command(path, "--json").stdout)
    assert report == {"schema": 1, "same": False, "damage": report["damage"]}
    assert command(path, "--quiet").stdout == ""


def test_a_tensor_that_was_added(checkpoint, tmp_path):
    import ml_dtypes  # noqa: F401  which gives NumPy the name bfloat16
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(checkpoint, "numpy") as file:
        metadata = file.metadata()
    tensors = {name: array for name, array in load_file(checkpoint).items() if array.dtype == np.float32}
    save_file({**tensors, "zz": np.zeros(64, np.float32)}, tmp_path / "more.safetensors", metadata)
    done = command(tmp_path / "more.safetensors")
    assert (done.returncode, done.stderr) == (1, "")
    assert "its recorded rules: no rule matches tensor 'zz'" in done.stdout


def test_a_damaged_shard(tmp_path):
    generate(MODEL, tmp_path, init="he", max_shard_size="9MB")
    index, shard = tmp_path / "model.safetensors.index.json", tmp_path / "model-00002-of-00004.safetensors"
    content = shard.read_bytes()
    for damage in (
        lambda: shard.write_bytes(content[:-9]),
        lambda: shard.write_bytes(b"x" * 99),
        shard.unlink,
    ):
        damage()
        for path in (tmp_path, index):
            done = command(path)
            assert (done.returncode, done.stderr) == (1, "")
            assert done.stdout.startswith(f"damaged: {shard}: ")
    index.unlink()
    assert "unfinished" in command(tmp_path).stdout


def test_no_file(tmp_path):
    done = command(tmp_path / "none.safetensors")
    assert done.returncode == 2
    assert "none.safetensors: No such file" in done.stderr


def test_a_shard_of_another_seed(tmp_path):
    for seed in (1, 2):
        generate(MODEL, tmp_path / str(seed), init="he", seed=seed, max_shard_size="9MB")
    shard = "model-00002-of-00004.safetensors"
    (tmp_path / "1" / shard).write_bytes((tmp_path / "2" / shard).read_bytes())
    done = command(tmp_path / "1")
    assert done.returncode == 1
    assert f"{shard}: was made with seed 2, its metadata says\n" in done.stdout
