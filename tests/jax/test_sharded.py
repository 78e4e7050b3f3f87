import subprocess
import sys
from pathlib import Path

import pytest

import fastinit

PROGRAM = Path(__file__).with_name("sharded.py")


@pytest.mark.parametrize(("devices", "cases"), [(1, 3), (2, 10), (8, 17)])
def test_parts_are_numpys_on_any_number_of_devices(devices, cases):
    done = subprocess.run(
        [sys.executable, PROGRAM, str(devices)],
        capture_output=True,
        text=True,
        cwd=Path(fastinit.__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == cases
