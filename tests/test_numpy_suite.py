"""NumPy's random tests, from its wheel, pass on our classes, except the listed ones."""

import os
import subprocess
import sys
from pathlib import Path

import numpy.random.tests
import pytest
from numpy_suite import DIFFERENCES

HERE = Path(__file__).parent
FILES = sorted(Path(numpy.random.tests.__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_numpys_own_tests_pass_but_for_the_differences_listed(path, tmp_path):
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "numpy_suite",
            "-p",
            "no:cacheprovider",
            "-q",
            "--tb=short",
            path,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-10000:] + run.stderr


def test_the_page_for_readers_lists_every_difference():
    page = (HERE.parent / "docs" / "compatibility.md").read_text()
    for test, reason in DIFFERENCES.items():
        assert f"| `{test.partition('[')[0]}` | {reason} |" in page
