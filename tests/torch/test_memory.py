"""Large pages under new tensors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fastinit.torch import initialize, skip_init

LINUX = Path("/sys/kernel/mm/transparent_hugepage")


def advised(tensor):
    """Whether large pages were asked for, for the middle of a tensor's memory."""
    middle = tensor.data_ptr() + tensor.nbytes // 2
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found = int(bounds[1], 16) <= middle < int(bounds[2], 16)
        elif found and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError


def look():
    plain, meta = nn.Linear(4096, 4096), nn.Linear(4096, 4096, device="meta")  # 64 MiB, so malloc maps each
    with skip_init():
        skipped = nn.Linear(4096, 4096)
    assert not advised(plain.weight)
    assert advised(skipped.weight)
    assert advised(initialize(meta, 7).weight)


@pytest.mark.skipif(not LINUX.is_dir(), reason="this kernel has no large pages")
def test_new_parameters_have_large_pages():
    """In a new process: malloc may give memory again for which NumPy has asked."""
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    program += "; import test_memory; test_memory.look()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_small_and_other_tensors_are_left_alone():
    with skip_init():
        modules = nn.Linear(2, 2), nn.BatchNorm1d(0), nn.Linear(4096, 4096, device="meta")
    assert [each.weight.numel() for each in modules] == [4, 0, 4096 * 4096]
    assert bool(torch.isfinite(initialize(modules[0], 7).weight).all())
