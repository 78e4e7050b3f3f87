"""Golden values that fastinit itself writes: ``python -m tools.vectors [--check]``.

tests/vectors.json is for whoever implements the contract (docs/stream.md); the tests compute it again in
other ways. tests/nn/golden.json has the activations, which the contract leaves out. ``--check`` writes
nothing and fails if a file differs from what fastinit gives now, under the instruction set that FASTINIT_ISA
names.
"""

import json
import sys
from pathlib import Path

import fastinit

from .golden import calls, fills, initialisers
from .golden.activations import activations

TESTS = Path(__file__).parents[1] / "tests"

ABOUT = {
    "what": "Golden values of fastinit's contract, whose text is docs/stream.md and the pages that it names.",
    "contract": fastinit.CONTRACT,
    "numbers": "Values and parameters are their bits in hexadecimal, most significant digit first; parameters"
    " are float64. state, inc, uinteger and the words of seeds are hexadecimal, too. Integers that may be "
    "above 2^53 are decimal strings. Digests are BLAKE2b with 16 bytes, of values in little-endian order.",
    "positions": "Generators, by name. A row with a seed stands where words_before 32-bit words lead from it."
    " One without a seed has as its next draw the number that is its name.",
    "fills": "n values from a position, with the parameters in the order of the pages: low high, loc scale,"
    " or low high loc scale. values: the first. part: the digest of the first 4099. all: the digest of all.",
    "starts": "Values [start, start + 2) of such fills.",
    "extremes": "The first two values of such fills from each of the positions.",
    "sequences": "Calls one after another on one generator, and where it then stands; size null is a scalar.",
    "broadcasts": "Array parameters: those of each value, and the values.",
    "foreign": "Fills of five values from other bit generators of NumPy.",
    "fortran": "Fills of an array in Fortran order, as out=; values in the order of memory.",
    "fold_in": "Keys folded in one after another (s: a string, i: an integer), their spawn_key, and the"
    " first draws from there.",
    "seeds": "Seed sequences: eight words, and the state of each bit generator.",
    "initialisers": "Rows of docs/contract/initialisers.md: the spec as given and its canonical spelling, the"
    " distribution and its parameters, the first values and the digest of all.",
    "spellings": "More specs as given, and their canonical spelling.",
    "gains": "calculate_gain; only leaky_relu has a slope.",
    "dropouts": "Dropout with probability p drops an element if its word is below words. dropped: how many of"
    " n elements. mask: the digest of n bytes, 1 for a dropped element.",
    "checkpoints": "docs/contract/checkpoints.md: a list, rules and a seed; the label of each tensor, the"
    " digests, and the digest of each file, written as if the version of fastinit were 0.",
}
OF_ACTIVATIONS = {
    "what": "Golden values of fastinit's activations. They are outside the contract.",
    "activations": "Each operation of src_c/activations.def, with negative_slope 0.3, or p 0.4 and PCG64(7). "
    "Operand i has shape (130, 33), a bias (33,). Its values are normals, normal(0, 3) of PCG64(i), or have "
    "random bits, the low ones of the draws of PCG64(i). values: the first of the result. blake2b: a digest "
    "of the result, and of the bias's gradient if there is one. The bits of a NaN are all ones.",
}
TABLES = {
    "positions": fills.positions,
    "fills": fills.fills,
    "starts": fills.starts,
    "extremes": fills.extremes,
    "sequences": calls.sequences,
    "broadcasts": calls.broadcasts,
    "foreign": calls.foreign,
    "fortran": calls.fortran,
    "fold_in": calls.folds,
    "seeds": calls.seeds,
    "initialisers": initialisers.initialisers,
    "spellings": initialisers.spellings,
    "gains": initialisers.gains,
    "dropouts": initialisers.dropouts,
    "checkpoints": initialisers.checkpoints,
}
FILES = {
    TESTS / "vectors.json": (ABOUT, TABLES),
    TESTS / "nn" / "golden.json": (OF_ACTIVATIONS, {"activations": activations}),
}


def text(about, tables):
    """A file: one row on each line, so that a difference can be read."""
    parts = ['"about": ' + json.dumps(about, indent=1)]
    for name, rows in tables.items():
        lines = (json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows())
        parts.append(f'"{name}": [\n' + ",\n".join(lines) + "\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def check(path, new):
    old = path.read_text().splitlines()
    for number, (was, now) in enumerate(zip(old, new.splitlines(), strict=False), 1):
        if was != now:
            sys.exit(f"{path.name}, line {number}: in the file, and now\n{was}\n{now}")
    if len(old) != len(new.splitlines()):
        sys.exit(f"{path.name} has another number of rows than fastinit makes now")


def main():
    for path, content in FILES.items():
        if sys.argv[1:] == ["--check"]:
            check(path, text(*content))
        else:
            path.write_text(text(*content))


if __name__ == "__main__":
    main()
