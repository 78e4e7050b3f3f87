"""DTensors in real groups of processes, by gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
