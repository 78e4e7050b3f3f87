"""The C core of a mutant, built with the programs of tests/c for one instruction set and the baseline."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from pathlib import Path

from .trees import PATIENCE, ROOT, Tree, Unfit

sys.path.append(str(ROOT / "tests"))  # whose modules these are

import digests
from checkkernels import FLAGS, ISA_FLAGS, SAFE_MATH, run
from test_c import check_golden, test_fma_rounds_once

PROGRAMS = ("golden", "digests", "checkkernels")
#: -O1 compiles in half the time. The bits don't depend on it (tests/test_c.py).
COMMON = [*[flag for flag in FLAGS if flag != "-O3"], "-O1", *SAFE_MATH, "-D_GNU_SOURCE"]
ROUNDS = 4  # of checkkernels

_lock = threading.Lock()


def compiled(source: Path, isa: str, to: Path) -> Path:
    """Compile a file of the core, with the flags of its instruction set if it is the one that is wanted."""
    own = ISA_FLAGS.get(source.stem, []) if source.stem == f"isa_{isa}" else []
    to.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", *own, *COMMON, "-I", ROOT / "src_c", "-c", source, "-o", to]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise Unfit(f"does not compile: {done.stderr[-300:]}")
    return to


@functools.cache
def included(source: Path, isa: str) -> frozenset[str]:
    """The names of the core's files that a file includes, and its own."""
    own = ISA_FLAGS.get(source.stem, []) if source.stem == f"isa_{isa}" else []
    made = subprocess.check_output(["gcc", *own, "-MM", str(source)], text=True)
    return frozenset(Path(word).name for word in made.replace("\\\n", " ").split()[1:])


class Programs:
    """The programs of one instruction set. What no mutant changes is compiled once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[tuple[str, str], Path] = {}

    def _unchanged(self, source: Path, isa: str) -> Path:
        isa = isa if source.stem == f"isa_{isa}" else ""
        with _lock:
            key = source.stem, isa
            if key not in self._objects:
                self._objects[key] = compiled(source, isa, self._folder / f"{source.stem}-{isa}.o")
            return self._objects[key]

    def failure(self, tree: Tree, file: str, isa: str) -> str:
        """Return what notices the change of a file, or nothing."""
        folder = tree.folder / "build" / "programs"
        objects = []
        for source in sorted((ROOT / "src_c").glob("*.c")):
            if Path(file).name in included(source, isa):
                objects.append(
                    compiled(tree.folder / "src_c" / source.name, isa, folder / f"{source.stem}.o")
                )
            else:
                objects.append(self._unchanged(source, isa))
        for name in PROGRAMS:
            main = self._unchanged(ROOT / "tests" / "c" / f"{name}.c", isa)
            run("gcc", main, *objects, "-lm", "-o", folder / name)
        include = ["-I", tree.folder / "src_c"]  # fma.c is of what vmath.inc.h has
        run("gcc", *COMMON, *include, ROOT / "tests" / "c" / "fma.c", "-lm", "-o", folder / "fma")
        return noticed(folder, isa) or tree.failure("tests/test_constants.py")


def noticed(folder: Path, isa: str) -> str:
    """Return the first of the programs' checks that fails."""
    isas = [*dict.fromkeys([isa, "baseline"])]
    try:
        test_fma_rounds_once(("fma", folder, []))
    except AssertionError:
        return "tests/test_c.py::test_fma_rounds_once"
    try:
        for each in isas:
            check_golden(folder / "golden", each, timeout=PATIENCE)
    except AssertionError:
        return "tests/vectors.json"
    for each in isas:
        for name in digests.functions(folder / "digests"):
            what = digests.FEW
            if digests.made(folder / "digests", each, name, what) != digests.expected(name, what):
                return f"tests/digests.json, {name}"
    try:
        run(folder / "checkkernels", "--seed", 1, "--rounds", ROUNDS, timeout=PATIENCE)
    except AssertionError:
        return "tests/c/checkkernels.c"
    return ""
