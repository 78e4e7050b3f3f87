"""DTensors in real groups of processes, by gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from fastinit.torch import fill_, filling, gpu, sharding, staging
from fastinit.torch.sharding import runs

PROGRAM = Path(__file__).with_name("ranks.py")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_each_rank_has_its_part_of_the_whole_tensor(world):
    port = free_port()
    ranks = [
        subprocess.Popen(
            [sys.executable, PROGRAM, str(rank), str(world), str(port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for rank in range(world)
    ]  # fmt: skip
    said = [rank.communicate(timeout=600)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * world, "\n".join(said)
    assert [text.split("\n")[-2] for text in said] == ["all equal"] * world


@pytest.mark.parametrize("seed", range(30))
def test_runs_are_the_held_places_in_order(seed):
    pick = np.random.default_rng(seed)
    shape = tuple(pick.integers(1, 7, pick.integers(1, 5)).tolist())
    held = [np.flatnonzero(pick.random(size) < pick.choice([0.3, 0.8, 1])) for size in shape]
    places = np.arange(np.prod(shape)).reshape(shape)[np.ix_(*held)].reshape(-1)
    found = [np.arange(start, start + length) for start, length in runs(shape, held)]
    assert np.concatenate([np.empty(0, int), *found]).tolist() == places.tolist()
    if all(len(axis) == size for axis, size in zip(held, shape, strict=True)):
        assert len(found) == 1


@pytest.fixture
def mesh():
    """A mesh of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_the_default_device_is_of_no_account(mesh):
    tensor = distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)])
    with torch.device("meta"):
        fill_(tensor, "normal", 7)
    assert torch.equal(tensor.to_local(), fill_(torch.empty(6, 4), "normal", 7))


def test_freed_storage_is_refused(mesh):
    tensor = distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)])
    tensor.to_local().untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage has been freed"):
        fill_(tensor, "normal", 7)


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.fixture
def launches(monkeypatch):
    """The (start, length) of each fill that a GPU is asked for. The CPU stands for the GPU."""
    asked = []

    def fill(tensor, plan, rng, start):
        values = np.empty(tensor.numel(), plan.dtype.storage)
        plan.fill(values, rng, start)
        tensor.copy_(torch.from_numpy(values).view(tensor.shape))
        asked.append((start, tensor.numel()))

    monkeypatch.setattr(gpu, "fill", fill)
    monkeypatch.setattr(staging, "page_locked", lambda: torch.zeros(24, dtype=torch.uint8))
    return asked


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [2], [1, 3], [0, 3], []])
@pytest.mark.parametrize(("least", "most"), [(8, 2), (1 << 16, 1)])
@pytest.mark.parametrize("spec", ["normal", "eye", "orthogonal"])
def test_a_gpu_makes_the_runs_of_its_part(mesh, launches, monkeypatch, rows, least, most, spec):
    """If these are few. The CPU makes others, through the buffer."""
    monkeypatch.setattr(filling, "LEAST", least)
    tensor = distribute_tensor(torch.zeros(4, 8), mesh, [Shard(0)])
    for each in (filling, sharding):
        monkeypatch.setattr(each, "indices", lambda _: [np.array(rows, np.int64), np.arange(8)])
    tensor._local_tensor = torch.zeros(len(rows), 8).as_subclass(OnGpu)
    fill_(tensor, spec, 7)
    full = fill_(torch.empty(4, 8), spec, 7)
    assert torch.equal(tensor._local_tensor.as_subclass(torch.Tensor), full[rows])
    runs = {4: [(0, 32)], 1: [(16, 8)], 2: [(8 * row, 8) for row in rows], 0: []}[len(rows)]
    assert launches == (runs if spec == "normal" and len(runs) <= most else [])


@pytest.mark.parametrize(
    ("block", "asked"),
    [
        ((slice(0, 2),), [(0, 16)]),
        ((slice(1, 3), slice(0, 8)), [(8, 16)]),
        ((slice(None), slice(4)), [(0, 4), (8, 4), (16, 4), (24, 4)]),
        ((slice(2), slice(1)), []),  # too short
        ((slice(None, None, -1),), []),
        ((slice(None, None, 2),), []),
    ],
)
def test_a_gpu_makes_the_runs_of_a_block(launches, monkeypatch, block, asked):
    monkeypatch.setattr(filling, "LEAST", 4)
    full = fill_(torch.empty(4, 8), "normal", 7)
    part = torch.from_numpy(full.numpy()[block].copy())
    tensor = torch.zeros(part.shape).as_subclass(OnGpu)
    fill_(tensor, "normal", 7, shape=(4, 8), block=block)
    assert torch.equal(tensor.as_subclass(torch.Tensor), part)
    assert launches == asked
    strided = torch.zeros(part.shape[::-1]).t().as_subclass(OnGpu)
    fill_(strided, "normal", 7, shape=(4, 8), block=block)
    assert torch.equal(strided.as_subclass(torch.Tensor), part)
