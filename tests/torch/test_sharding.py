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

from fastinit.torch import fill_
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
