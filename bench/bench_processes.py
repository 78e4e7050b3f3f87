"""Processes: the import, and the command that writes checkpoints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

IN_MEMORY = Path("/dev/shm")

# The peak of this process. getrusage's includes that of the process that started it.
SAY_PEAK = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        print(line.split()[1])
"""

# If this is set, every process compiles the package from source, unlike an installed one.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def python(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True).stdout


def dd(path, size, *more):
    zeros = "if=/dev/zero", "bs=1M", f"count={size}", "iflag=count_bytes", "status=none"
    subprocess.run(["dd", *zeros, f"of={path}", *more], check=True)


@pytest.mark.parametrize("statement", ["import fastinit", "from fastinit import random"])
def test_import(race, statement):
    milliseconds = []
    code = f"import time, numpy; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    run = {statement: lambda: milliseconds.append(1000 * float(python("-c", code)))}
    race.run(run, rounds=15)  # a new process each
    bound = 20 if statement == "import fastinit" else None
    race.record(statement, "", "after import numpy", milliseconds[1:], unit=" ms", at_most=bound)


def test_generate(race, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    if IN_MEMORY.is_dir():
        folder = IN_MEMORY / f"fastinit-bench-{os.getpid()}"
        folder.mkdir()
    file, copy = folder / "model.safetensors", folder / "zeros"

    def generate():
        python("-m", "fastinit", "generate", "-o", file, "--quiet")

    def remove():
        for each in (file, copy):
            each.unlink(missing_ok=True)

    try:
        generate()
        python("-m", "fastinit", "verify", file)
        size = file.stat().st_size
        race.run(
            {"generate": generate, "dd": lambda: dd(copy, size), "python": lambda: python("-c", "")}, remove
        )
    finally:
        remove()
        if folder.parent == IN_MEMORY:
            folder.rmdir()
    own = race.times["generate"] - race.times["python"]
    line = "generate GPT-2 in memory, all threads", f"{np.median(own):.2f} s"
    race.record(*line, "dd, time", own / race.times["dd"], at_most=1.5)
    race.record(*line, "bytes written", size / own / 1e9, unit=" GB/s")


def test_generate_large(race, request, tmp_path):
    if not request.config.getoption("slow"):
        pytest.skip("writes 54 GB, 13.5 at a time: --slow")
    model, zeros = tmp_path / "model", tmp_path / "zeros"
    arguments = ["llama-7b", "-o", model, "--dtype", "BF16"]
    dry = python("-m", "fastinit", "generate", *arguments, "--dry-run", "--json")
    size = json.loads(dry)["bytes"]
    main = "import sys, fastinit.cli; fastinit.cli.main(['generate', *sys.argv[1:], '--quiet'])"
    peaks = []

    def generate():
        peaks.append(int(python("-c", f"{main}\n{SAY_PEAK}", *arguments)))

    def remove():
        for each in (*model.glob("*"), zeros):
            each.unlink(missing_ok=True)

    bare = int(python("-c", f"import fastinit\n{SAY_PEAK}"))
    try:
        race.run({"generate": generate, "dd": lambda: dd(zeros, size, "conv=fsync")}, remove, rounds=1)
        assert sum(each.stat().st_size for each in model.glob("*.safetensors")) >= size
        python("-m", "fastinit", "verify", model)
    finally:
        remove()
    line = "generate llama-7b bf16 to disk", f"{np.median(race.times['generate']):.1f} s"
    memory = (np.array(peaks) - bare) * 1024 / 1e6  # /proc counts in KiB
    race.record(*line, "memory above import fastinit", memory, unit=" MB", at_most=200)
    race.record(*line, "dd conv=fsync, time", race.ratio("generate", "dd"))
    race.record(*line, "bytes written", size / race.times["generate"] / 1e9, unit=" GB/s")
