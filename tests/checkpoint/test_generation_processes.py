"""``fastinit generate`` as a process: kills, signals, limits and memory."""

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from generated import MODEL, OTHER, names

from fastinit.checkpoint import generate

COMMAND = [sys.executable, "-m", "fastinit", "generate", "--quiet"]
SPLIT = ["--threads", "2", "--max-shard-size", "60MB"]


def slow(folder, tensors):
    """A command that writes little for a long time: on a busy machine a signal may come late.

    It writes to `folder`, a megabyte in every 20 ms or more.
    """
    listed, rules = (folder.with_suffix(suffix) for suffix in (".json", ".toml"))
    listed.write_text(json.dumps({f"{i}": {"dtype": "F32", "shape": [500, 500]} for i in range(tensors)}))
    rules.write_text('[[rule]]\nmatch = "*"\ninit = "orthogonal"\n')
    # LAPACK's threads would spin while they wait for a busy CPU.
    return ["env", "OPENBLAS_NUM_THREADS=1", *COMMAND, *SPLIT, listed, "--init", rules, "-o", folder]


def wait_for_part(process, folder, size):
    while not any(path.stat().st_size >= size for path in folder.glob(".*.part")):
        assert process.poll() is None
        time.sleep(0.001)


def test_a_kill_leaves_nothing_that_looks_whole_and_resume_finishes(tmp_path):
    """The kills come at nine moments, from before the first byte to the last shard."""
    command = [*COMMAND, *SPLIT, "--resume", "-o", os.fspath(tmp_path)]
    began = time.monotonic()
    whole = tmp_path / "whole"
    subprocess.run([*COMMAND, *SPLIT, "-o", whole], check=True)
    lasts = time.monotonic() - began
    rng = random.Random(0)
    for _ in range(9):
        with subprocess.Popen(command) as process:
            time.sleep(rng.random() * lasts)
            process.kill()
        for path in tmp_path.glob("*.safetensors"):
            assert path.read_bytes() == (whole / path.name).read_bytes()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    subprocess.run(command, check=True)
    assert names(tmp_path) == sorted([*names(whole), "whole"])
    for path in whole.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_what_a_kill_left_goes_whatever_the_next_run_cuts(tmp_path):
    folder = tmp_path / "model"
    with subprocess.Popen(slow(folder, 300)) as process:
        wait_for_part(process, folder, 1_000_000)
        process.kill()
    assert any(name.startswith(".") for name in names(folder))
    generate(MODEL, folder, init=OTHER, force=True)
    assert names(folder) == ["model.safetensors"]


@pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")  # JAX's, if it is loaded
@pytest.mark.parametrize("written", [0, 2_000_000])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_no_unfinished_file(tmp_path, number, status, written):
    folder = tmp_path / "model"
    heard = functools.partial(signal.signal, number, signal.SIG_DFL)  # though these tests run under nohup
    command = slow(folder, 300)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        wait_for_part(process, folder, written)
        process.send_signal(number)
        error = process.stderr.read()
    assert process.returncode == status
    assert "Traceback" not in error
    left = names(folder) if folder.exists() else []
    assert not [name for name in left if name.startswith(".") or name.endswith(".json")]


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path):
    """SIGHUP is ignored, as under nohup."""
    folder = tmp_path / "model"
    script = "trap '' HUP; exec \"$@\""
    with subprocess.Popen(["sh", "-c", script, "sh", *slow(folder, 60)]) as process:
        wait_for_part(process, folder, 1_000_000)
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0
    assert names(folder) == ["model.safetensors"]


def test_a_limit_on_file_size_is_a_failure_in_one_line(tmp_path):
    """EFBIG from the system acts on the process like a full disk."""
    limit = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**7, 10**7));"
        "from fastinit.cli import main; sys.exit(main(['generate', '--quiet', '-o', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", limit, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"fastinit: error: {tmp_path / 'model.safetensors'}: File too large\n"
    assert names(tmp_path) == []


def test_memory_does_not_grow_with_the_model(tmp_path):
    """The limit is 200 MB above a bare import. The model has 800 MB, most of it in one tensor."""
    model = {
        "big.weight": {"dtype": "BF16", "shape": [350_000, 1000]},
        "small.weight": {"dtype": "F32", "shape": [5000, 5000]},
    }
    script = (
        "import json, resource, sys, fastinit;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak();"
        "model = json.loads(sys.argv[1]);"
        "fastinit.checkpoint.generate(model, sys.argv[2], init='he', threads=4, digest=True);"
        "print(1024 * (peak() - before))"  # Linux counts in kilobytes
    )
    output = subprocess.check_output([sys.executable, "-c", script, json.dumps(model), tmp_path])
    assert int(output) < 200e6


def test_a_bad_number_of_threads_in_the_environment(tmp_path):
    command = [*COMMAND, "-o", tmp_path / "new"]
    environment = {**os.environ, "FASTINIT_NUM_THREADS": "many"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "FASTINIT_NUM_THREADS" in done.stderr
    assert names(tmp_path) == []
