"""Checkpoints while calls to the system fail: faults.py, with the seventh part of all faults."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkkernels import ROOT

PROGRAM = Path(__file__).with_name("faults.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux's preloaded libraries")
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    source = ROOT / "tests" / "c" / "faults.c"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *warnings, "-O1", "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return path


@pytest.mark.parametrize("part", range(4))
def test_no_fault_loses_what_is_good(library, part, monkeypatch):
    """`make test-long` has them all."""
    monkeypatch.setenv("LD_PRELOAD", str(library))
    command = [sys.executable, PROGRAM, library, "28", str(7 * part)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs, nothing lost" in done.stdout
