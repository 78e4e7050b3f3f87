"""Runs the suite and stores the results."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

from . import TrackError, history


def record(repository: Path, suite: str, storage: Path, arguments: list[str]) -> int:
    """Append a line for each benchmark to the history. Return their number.

    pytest-benchmark saves the run in the same folder, where its own `--benchmark-compare` finds it.
    """
    run = uuid.uuid4().hex  # two concurrent recorders may get the same number from pytest-benchmark
    command = [
        sys.executable,
        "-m",
        "pytest",
        suite,
        *arguments,
        "--benchmark-only",
        f"--benchmark-save={run}",
    ]
    status = subprocess.run([*command, f"--benchmark-storage=file://{storage}"], cwd=repository).returncode
    if status:
        raise TrackError(f"the suite failed (pytest's exit status is {status}): nothing was recorded")
    saved = [*storage.glob(f"*/*_{run}.json")]
    if not saved:
        raise TrackError("the suite has no benchmark: nothing was recorded")
    lines = history.documents(json.loads(saved[0].read_text()), run)
    history.append(storage / "history.jsonl", lines)
    return len(lines)
