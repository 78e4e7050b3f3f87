"""Digests of each function over all its inputs: `python tests/digests.py` compares them with the file's.

A float32 function has 2^32 inputs, a float64 function 10^7. The digests don't depend on the machine: they are
those of any instruction set. `--write` writes tests/digests.json, from this CPU's fastest instruction set.
"""

import argparse
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # the tests' own modules, if pytest imports this one

from checkkernels import ROOT, build, run

PATH = ROOT / "tests" / "digests.json"
#: What takes milliseconds: a part of the inputs, and those next to where a formula gives way to another.
FEW = ["1/4096", "edges"]
#: Part i of all inputs has every 64th, from the i-th on.
PARTS = [f"{i}/64" for i in range(64)]
#: The baseline takes 50 to 500 seconds for all 2^32 inputs of one function, so that it makes two parts.
SLOW = {"baseline": [5, 42]}


def functions(program, runner=()):
    """Names of the functions."""
    return [line.partition(":")[0] for line in run(*runner, program, "--list").splitlines()]


def made(program, isa, name, what, runner=()):
    """Digests of parts of one function's values."""
    return run(*runner, program, isa, name, *what).split()


def expected(name, what):
    """Digests that the file has of these parts."""
    row = json.loads(PATH.read_text())[name]
    return [row[each] if each in FEW else row["parts"][PARTS.index(each)] for each in what]


def differing(program, isa, name):
    """Parts of all inputs of a function whose digests differ from the file's."""
    what = [PARTS[i] for i in SLOW.get(isa, range(len(PARTS)))]
    pairs = zip(what, made(program, isa, name, what), expected(name, what), strict=True)
    return [part for part, got, wanted in pairs if got != wanted]


def supported(folder):
    """The instruction sets of this build and CPU, slowest first."""
    return run(folder / "golden", "--list").split()


def row_of(program, isa, name):
    few, parts = (made(program, isa, name, what) for what in (FEW, PARTS))
    return {**dict(zip(FEW, few, strict=True)), "parts": parts}


def write(program, isa):
    names = functions(program)
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda name: row_of(program, isa, name), names))
    PATH.write_text(json.dumps(dict(zip(names, rows, strict=True)), indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write tests/digests.json")
    options, bad = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), ["digests", "golden"])
        program, isas = Path(folder) / "digests", supported(Path(folder))
        if options.write:
            return write(program, isas[-1])
        for isa in isas:
            for name in functions(program):
                parts = differing(program, isa, name)
                bad += bool(parts)
                print(f"{isa:<12} {name:<24} {' '.join(parts) or 'ok'}", flush=True)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
