"""One list of tensors has one digest, however it is made.

DTensors, JAX and Keras need processes of their own: torch/ranks.py, jax/sharded.py and keras_program.py
compare with the same digests.
"""

import json
import tomllib

import numpy as np
import one_digest
import pytest
import torch
from dask.distributed import Client, LocalCluster
from torch import nn

from fastinit import checkpoint
from fastinit.cli import main
from fastinit.dask import random as lazy
from fastinit.random import PCG64, Generator
from fastinit.torch import by_name, initialize, manifest


def stored(tensor):
    """The memory of a tensor; NumPy has no bfloat16 of its own."""
    tensor = tensor.detach()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def module(device="cpu"):
    made = nn.Module()
    for name, dtype, shape, _ in one_digest.ROWS:
        dtype = getattr(torch, one_digest.DTYPES[dtype])
        made.register_parameter(name, nn.Parameter(torch.full(shape, 9.0, dtype=dtype, device=device)))
    return made


def of(module):
    return one_digest.digest({name: stored(tensor) for name, tensor in module.state_dict().items()})


def test_numpy():
    assert one_digest.digest(one_digest.of_init()) == one_digest.NAMED
    assert one_digest.of_seed(one_digest.by_init) == one_digest.SEEDED


def test_tensors_one_by_one():
    made = dict(checkpoint.tensors(one_digest.MANIFEST, init=one_digest.RULES, seed=7))
    assert one_digest.digest(made) == one_digest.NAMED


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_torch(device):
    made = module(device)
    assert manifest(made) == one_digest.MANIFEST
    assert of(initialize(made, 7, one_digest.RULES)) == one_digest.NAMED


def test_torch_by_a_module_s_own_code():
    made = module()
    with by_name(made, 7), torch.no_grad():
        for name, _, _, spec in one_digest.ROWS:
            tensor = getattr(made, name)
            law = {"uniform": tensor.uniform_, "normal": tensor.normal_}
            arguments = {"uniform": (-0.5, 2.0), "normal": (0.1, 0.02)}
            kind = spec.partition("(")[0]
            if kind in law:
                law[kind](*arguments[kind])
        made.normal_matrix_f32.mul_(0.5)[2].zero_()
        made.uniform_matrix_bf16[:, 3:6].zero_()
    expected = one_digest.of_init()
    for name, tensor in made.state_dict().items():
        if name.startswith(("uniform", "normal")):
            assert stored(tensor).tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("chunks", [3, (5, 4), -1])
def test_dask(chunks):
    expected = one_digest.of_init()
    for name in ("normal_matrix_bf16", "uniform_matrix_f32", "normal_wide_f32", "uniform_wide_bf16"):
        array = expected[name]
        rng = lazy.default_rng(Generator(PCG64(7)).fold_in(name))
        draw, parameters = (rng.normal, (0.1, 0.02)) if "normal" in name else (rng.uniform, (-0.5, 2.0))
        made = draw(*parameters, size=array.shape, dtype=array.dtype, chunks=chunks).compute()
        assert made.tobytes() == array.tobytes(), name


@pytest.mark.parametrize("size", ["1KB", "1GB"])
def test_the_command(tmp_path, size, capsys):
    (tmp_path / "model.json").write_text(json.dumps(one_digest.MANIFEST))
    rules = [
        {"match": rule.match, "init": rule.init} | ({"then": list(rule.then)} if rule.then else {})
        for rule in one_digest.RULES
    ]
    text = "\n".join(
        "[[rule]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        for rule in rules
    )
    assert tomllib.loads(text)["rule"] == rules
    (tmp_path / "rules.toml").write_text(text)
    out = tmp_path / "out"
    command = [
        "generate",
        tmp_path / "model.json",
        "-o",
        out,
        "--init",
        tmp_path / "rules.toml",
        "--seed",
        "7",
    ]
    assert main([*map(str, command), "--max-shard-size", size]) == 0, capsys.readouterr().err
    assert one_digest.digest(read(out)) == one_digest.NAMED


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks(tmp_path, world):
    how = {"init": one_digest.RULES, "seed": one_digest.SEED, "max_shard_size": "1KB", "world": world}
    for rank in reversed(range(world)):
        checkpoint.generate(one_digest.MANIFEST, tmp_path, **how, rank=rank)
    assert one_digest.digest(read(tmp_path)) == one_digest.NAMED


def test_the_workers_of_a_cluster(tmp_path):
    how = {"init": one_digest.RULES, "seed": one_digest.SEED, "max_shard_size": "1KB"}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, Client(cluster) as client:
        checkpoint.generate(one_digest.MANIFEST, tmp_path, **how, client=client)
    assert one_digest.digest(read(tmp_path)) == one_digest.NAMED


def read(folder):
    """The arrays of a checkpoint, by the safetensors package."""
    from safetensors.torch import load_file

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= {name: stored(tensor) for name, tensor in load_file(path).items()}
    return found


def test_another_value_is_another_digest():
    arrays = one_digest.of_init()
    arrays["ones_vector_f32"][3] = np.nextafter(np.float32(1), np.float32(2))
    assert one_digest.digest(arrays) != one_digest.NAMED
