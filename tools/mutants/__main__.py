"""Make each mutant, build it and run its tests: ``python -m tools.mutants [PATTERN]``.

The tree must be built. Two mutants are tested at a time, in copies of the tree under build/mutants. Exit
status 1 if a mutant survives, if one that is said to be equivalent doesn't, or if one can't be made.
"""

from __future__ import annotations

import argparse
import queue
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from . import Mutant, kernels, modules
from .programs import Programs
from .trees import ROOT, Tree, Unfit

FOLDER = ROOT / "build" / "mutants"
ALL: Sequence[Mutant] = [*kernels.MUTANTS, *modules.MUTANTS]


def failure(mutant: Mutant, tree: Tree, programs: Programs) -> str:
    """Return what notices a mutant, or nothing."""
    tree.change(mutant)
    try:
        if not mutant.tests.startswith("tests/"):
            return programs.failure(tree, mutant.file, mutant.tests)
        compiled = mutant.file.endswith(".pyx") or mutant.file.startswith("src_c/")
        if compiled and "test_dispatch" not in mutant.tests:  # that compiles dispatch.c itself
            tree.build()
        return tree.failure(mutant.tests)
    finally:
        tree.restore(mutant)


def verdict(mutant: Mutant, trees: queue.Queue[Tree], programs: Programs) -> tuple[bool, str]:
    """Return whether a mutant's end is the right one, and a line about it."""
    tree, began = trees.get(), time.monotonic()
    try:
        by = failure(mutant, tree, programs)
    except Unfit as error:
        return False, f"unfit       {mutant.name}\n            {error}"
    finally:
        trees.put(tree)
    took = f"{time.monotonic() - began:.0f} s"
    if by and mutant.equivalent:
        return False, f"NOTICED     {mutant.name}\n            by {by}, {took}, but: {mutant.equivalent}"
    if by:
        return True, f"killed      {mutant.name}\n            by {by}, {took}"
    if mutant.equivalent:
        return True, f"equivalent  {mutant.name}\n            {mutant.equivalent}"
    return False, f"SURVIVED    {mutant.name}\n            {mutant.tests}, {took}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="", help="a part of the mutants' lines")
    parser.add_argument("--list", action="store_true", help="name them")
    options = parser.parse_args()
    chosen = [mutant for mutant in ALL if options.pattern in mutant.name]
    if options.list:
        print(*(mutant.name for mutant in chosen), sep="\n")
        return 0
    trees: queue.Queue[Tree] = queue.Queue()
    for number in range(2):
        trees.put(Tree(FOLDER / str(number)))
    programs = Programs(FOLDER / "objects")
    good = 0
    with ThreadPoolExecutor(2) as pool:
        for done in as_completed(pool.submit(verdict, mutant, trees, programs) for mutant in chosen):
            right, line = done.result()
            good += right
            print(line, flush=True)
    print(f"{len(chosen)} mutants, {len(chosen) - good} not as they should be")
    return good < len(chosen)


if __name__ == "__main__":
    sys.exit(main())
