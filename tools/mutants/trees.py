"""Copies of the tree in which mutants are made, built and tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import Mutant

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds for the tests of a mutant


class Unfit(Exception):
    """A mutant's text is not in its file, or its tests don't run."""


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a tree, whose package is the one that it imports."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), "FASTINIT_NUM_THREADS": "2", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def arguments(tests: str) -> list[str]:
    """Arguments of pytest. What follows -k is one."""
    files, _, chosen = tests.partition(" -k ")
    return [*files.split(), *(["-k", chosen] if chosen else [])]


def built_files(root: Path) -> list[Path]:
    """What the build has made in a tree: Cython's C, objects and modules."""
    patterns = ("fastinit/*.so", "build/fastinit/*.c", "build/objects-*/**/*.[od]")
    return [path.relative_to(root) for each in patterns for path in root.glob(each)]


class Tree:
    """A copy of the tree with what is built in it.

    Parameters
    ----------
    folder : Path
        Made anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
        self._built = built_files(ROOT)
        for name in [*filter(None, listed.split("\0")), *self._built]:
            self._fetch(name)

    def _fetch(self, name: str | Path) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, self.folder / name)

    def change(self, mutant: Mutant) -> None:
        """Make the mutant. Unfit if the file has its text not once."""
        path = self.folder / mutant.file
        text = path.read_text()
        if text.count(mutant.before) != 1:
            raise Unfit(f"{mutant.file} has this text {text.count(mutant.before)} times, not once")
        path.write_text(text.replace(mutant.before, mutant.after))

    def restore(self, mutant: Mutant) -> None:
        """Undo it, and what was built of it."""
        self._fetch(mutant.file)
        for name in self._built:
            if (self.folder / name).stat().st_mtime != (ROOT / name).stat().st_mtime:
                self._fetch(name)

    def build(self) -> None:
        """Build what is older than its sources. Unfit if it doesn't compile."""
        done = run(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", cwd=self.folder)
        if done.returncode:
            raise Unfit(f"does not compile: {done.stderr[-300:]}")

    def failure(self, tests: str) -> str:
        """Run tests up to the first that fails. Return what it is, or nothing if all pass."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments(tests)]
        try:
            done = run(*command, cwd=self.folder)
        except subprocess.TimeoutExpired:
            return f"no end within {PATIENCE} s"
        if done.returncode in (4, 5):
            raise Unfit(f"no tests: {done.stdout[-300:]}{done.stderr[-300:]}")
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if done.returncode:
            return failed[0].partition(" - ")[0] if failed else f"status {done.returncode}"
        return ""
