"""Runs the suite and stores the results, of the working tree or of each commit of a range."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import TrackError, history
from .builds import Builds, NotBuilt, Version, git, is_dirty
from .turns import Suite


class Recorded(NamedTuple):
    """What one run added to the history."""

    commit: str
    dirty: bool
    medians: dict[str, float]  # seconds of each benchmark


def record(repository: Path, suite: str, storage: Path, arguments: list[str]) -> Recorded:
    """Run the suite of the working tree, and append a line for each benchmark to the history."""
    return _run([sys.executable, "-m", "pytest", suite, *arguments], repository, storage)


def record_commits(
    repository: Path, commits: list[str], suite: str, storage: Path, arguments: list[str], folder: Path
) -> Iterator[Recorded | NotBuilt]:
    """Build each commit, and record the working tree's suite on it. Yield what can't be built, too."""
    dirty = is_dirty(repository, "--", suite)
    for number, commit in enumerate(commits):
        try:  # one at a time: a build beside a benchmark would slow it
            [python] = Builds(repository, folder / f"build{number}").pythons(Version(commit[:10], commit))
        except NotBuilt as error:
            yield error
            continue
        copied = Suite(repository, suite, folder / f"run{number}")
        time = git(repository, "show", "-s", "--format=%cI", commit)
        about = {"id": commit, "time": time, "dirty": dirty}
        command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *copied.arguments, *arguments]
        yield _run(command, copied.folder, storage, about)


def _run(command: list[str], folder: Path, storage: Path, commit: dict | None = None) -> Recorded:
    """Run pytest. Its own record, in which `--benchmark-compare` finds the run, gets this commit."""
    run = uuid.uuid4().hex  # two concurrent recorders may get the same number from pytest-benchmark
    saving = ["--benchmark-only", f"--benchmark-save={run}", f"--benchmark-storage=file://{storage}"]
    status = subprocess.run([*command, *saving], cwd=folder).returncode
    if status:
        raise TrackError(f"the suite failed (pytest's exit status is {status}): nothing was recorded")
    found = [*storage.glob(f"*/*_{run}.json")]
    if not found:
        raise TrackError("the suite has no benchmark: nothing was recorded")
    saved = json.loads(found[0].read_text())
    if commit:
        saved["commit_info"] |= commit
        found[0].write_text(json.dumps(saved, indent=4))
    history.append(storage / "history.jsonl", history.documents(saved, run))
    medians = {each["fullname"]: each["stats"]["median"] for each in saved["benchmarks"]}
    return Recorded(saved["commit_info"]["id"], bool(saved["commit_info"].get("dirty")), medians)
