"""Checkpoints while calls to the system fail and while signals come, by faults.py: a part, or all."""

import os
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


def lose_nothing(library, monkeypatch, *arguments):
    others = os.environ.get("LD_PRELOAD", "")  # a sanitizer's must come first
    monkeypatch.setenv("LD_PRELOAD", f"{others} {library}")
    command = [sys.executable, PROGRAM, library, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs, nothing lost" in done.stdout


@pytest.mark.parametrize("part", range(4))
def test_no_fault_loses_what_is_good(library, part, monkeypatch):
    lose_nothing(library, monkeypatch, 28, 7 * part)


@pytest.mark.parametrize("count", [30, pytest.param(600, marks=pytest.mark.long)])
def test_no_signal_at_a_random_moment_does(library, count, monkeypatch):
    lose_nothing(library, monkeypatch, "signals", count)


@pytest.mark.long
@pytest.mark.parametrize("part", range(7))
def test_no_fault_at_all_does(library, part, monkeypatch):
    lose_nothing(library, monkeypatch, 7, part)
