"""Compare the rows of tests/vectors.json with the second implementation: ``python -m tools.second.rows``."""

import hashlib
import json
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from .native import SOURCES, TAGS, Native, Position

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "tests" / "vectors.json"
METHODS = {
    "random": ("uniform", (0.0, 1.0)),
    "standard_normal": ("normal", (0.0, 1.0)),
    "truncated_normal": ("truncated_normal", (-2.0, 2.0, 0.0, 1.0)),
}


class Second:
    """The second implementation.

    Parameters
    ----------
    changes : dict of str to str
        The text of each file that is not that of the folder.
    """

    def __init__(self, changes=None, native=None):
        changes = changes or {}
        if native is None or any(name in SOURCES for name in changes):
            native = Native({name: changes[name] for name in SOURCES if name in changes})
        self.native = native
        self.seeding = module("seeding", changes)
        self.initialisers = module("initialisers", changes)
        self.checkpoint = module("checkpoint", changes, seeding=self.seeding, initialisers=self.initialisers)

    def at(self, row):
        """The position of a row that has its state."""
        state = [int(row[key], 16) for key in ("state", "inc")]
        return Position(row["bit_generator"], *state, row["has_uint32"], int(row["uinteger"], 16))

    def seeded(self, row, **how):
        kind = row["bit_generator"]
        return Position(kind, *self.seeding.seeded(kind, [int(row["seed"])], **how))


def module(name, changes, **imports):
    """A module of this folder, with other text and other imports."""
    text = changes.get(f"{name}.py") or (HERE / f"{name}.py").read_text()
    made = ModuleType(name)
    made.__package__ = __package__
    exec(compile(text, name, "exec"), vars(made))
    vars(made).update(imports)
    return made


def number(digits):
    return struct.unpack(">d", bytes.fromhex(digits))[0]


def numbers(row):
    return tuple(map(number, row["parameters"]))


def four(parameters):
    return (*parameters, 0.0, 0.0)[:4]


def bits(values):
    return [f"{int(value):0{2 * values.itemsize}x}" for value in values]


def digest(values):
    return hashlib.blake2b(np.ascontiguousarray(values), digest_size=16).hexdigest()


def same_place(at, row):
    found = (f"{at.s:032x}", f"{at.c:032x}", at.held, f"{at.half:08x}")
    return found == tuple(row[key] for key in ("state", "inc", "has_uint32", "uinteger"))


# ---- one function for each table: whether a row is what the second implementation gives ----


def positions(second, row, vectors):
    if row["seed"] is None:
        return f"{second.native.draws(second.at(row), 1)[0]:016x}" == row["name"]
    return same_place(second.native.after_words(second.seeded(row), row["words_before"]), row)


def position(second, name, vectors):
    return second.at(next(row for row in vectors["positions"] if row["name"] == name))


def filled(second, row, name, vectors, start, n):
    at = position(second, name, vectors)
    return second.native.fill(at, row["distribution"], row["dtype"], four(numbers(row)), start, n)


def parts(second, row, vectors):
    values = filled(second, row, row["position"], vectors, 0, 4099)
    return bits(values[:4]) == row["values"] and digest(values) == row["part"]


def fills(second, row, vectors):
    return digest(filled(second, row, row["position"], vectors, 0, row["n"])) == row["all"]


def starts(second, row, vectors):
    found = [bits(filled(second, row, row["position"], vectors, int(start), 2)) for start in row["starts"]]
    return found == row["values"]


def extremes(second, row, vectors):
    return [bits(filled(second, row, name, vectors, 0, 2)) for name in row["positions"]] == row["values"]


def sequences(second, row, vectors):
    at = second.seeded(row)
    for call in row["calls"]:
        distribution, parameters = METHODS[call["method"]]
        n = 1 if call["size"] is None else call["size"]
        if (
            bits(second.native.fill(at, distribution, call["dtype"], four(parameters), 0, n))
            != call["values"]
        ):
            return False
        at = second.native.after(at, distribution, call["dtype"], n)
    return same_place(at, row)


def foreign_generator(row):
    return getattr(np.random, row["bit_generator"])(int(row["seed"]))


def foreign_source(row, distribution, tag, n):
    """A position that lists what another bit generator gives, and what keeps the list alive."""
    generator = foreign_generator(row)
    made = generator.ctypes
    if tag == "f64" or distribution == "normal":
        draws = np.array([made.next_uint64(made.state) for _ in range(n + 1)], np.uint64)
    else:
        words = [made.next_uint32(made.state) for _ in range(n + n % 2)]
        draws = np.array(
            [low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)], np.uint64
        )
    return Position("listed", 0, draws.ctypes.data), draws


def foreign_values(second, row, distribution, tag, parameters):
    """The bits of values with these parameters each."""
    n = len(parameters)
    if distribution == "uniform" and tag == "f64":
        generator = foreign_generator(row)
        made = generator.ctypes
        values = [low + (high - low) * made.next_double(made.state) for low, high in parameters]
        return bits(np.array(values).view(np.uint64))
    at, draws = foreign_source(row, distribution, tag, n)
    found = [second.native.fill(at, distribution, tag, four(own), i, 1) for i, own in enumerate(parameters)]
    assert draws.size
    return bits(np.concatenate(found))


def broadcasts(second, row, vectors):
    parameters = [tuple(map(number, own)) for own in zip(*row["parameters"], strict=True)]
    distribution = row["distribution"]
    for tag in TAGS:
        if not row["bit_generator"].startswith("PCG"):
            found = foreign_values(second, row, distribution, tag, parameters)
        else:
            at = second.seeded(row)
            each = [
                second.native.fill(at, distribution, tag, four(own), i, 1) for i, own in enumerate(parameters)
            ]
            found = bits(np.concatenate(each))
        if found != row["values"][tag]:
            return False
    return True


def foreign(second, row, vectors):
    distribution, parameters = METHODS[row["method"]]
    found = {tag: foreign_values(second, row, distribution, tag, [parameters] * 5) for tag in TAGS}
    return found == row["values"]


def fortran(second, row, vectors):
    distribution, parameters = METHODS[row["method"]]
    values = second.native.fill(second.seeded(row), distribution, row["dtype"], four(parameters), 0, 6)
    return bits(values) == row["in_memory"]


def fold_in(second, row, vectors):
    words = []
    for key in row["keys"]:
        words += second.seeding.key_words(key[1:] if key[0] == "s" else int(key[1:]))
    at = second.seeded(row, spawn_key=words)
    draws = [f"{draw:016x}" for draw in second.native.draws(at, 2)]
    return (
        [f"{word:08x}" for word in words] == row["spawn_key"]
        and same_place(at, row)
        and draws == row["draws"]
    )


def seeds(second, row, vectors):
    sequence = (list(map(int, row["entropy"])), list(map(int, row["spawn_key"])), row["pool_size"])
    if [f"{word:08x}" for word in second.seeding.seed_words(*sequence)] != row["words"]:
        return False
    made = {kind: second.seeding.seeded(kind, *sequence) for kind in ("PCG64", "PCG64DXSM")}
    return all({"state": f"{s:032x}", "inc": f"{c:032x}"} == row[kind] for kind, (s, c) in made.items())


def initialisers(second, row, vectors):
    own, shape, layout = second.initialisers, tuple(row["shape"]), row["layout"]
    if own.spelled(row["given"]) != row["spelled"]:
        return False
    name, arguments = own.parsed(row["given"])
    if row["distribution"] in METHODS or row["distribution"] in ("uniform", "normal"):
        distribution, parameters = own.parameters(name, arguments, shape, layout)
        if (distribution, parameters) != (row["distribution"], numbers(row)):
            return False
    for tag in TAGS:
        values = own.values(second.native, row["given"], shape, tag, second.seeded(row), layout)
        if digest(values) != row["all"][tag]:
            return False
    return True


def spellings(second, row, vectors):
    return second.initialisers.spelled(row["given"]) == row["spelled"]


def gains(second, row, vectors):
    square = second.initialisers.square(row["nonlinearity"], number(row["slope"]))
    return square**0.5 == number(row["gain"])


def dropouts(second, row, vectors):
    limit = second.initialisers.dropped_words(number(row["p"]))
    mask = (second.native.words(second.seeded(row), row["n"]) < limit).astype(np.uint8)
    return (str(limit), int(mask.sum()), digest(mask)) == (row["words"], row["dropped"], row["mask"])


def checkpoints(second, row, vectors):
    own, seed = second.checkpoint, int(row["seed"])
    tensors = [tuple(each) for each in row["tensors"]]
    files, data = own.files(second.native, tensors, row["rules"], seed, "0", most=int(row["max_bytes"]))
    labels = {name: own.label(own.rule_of(row["rules"], name, shape), name) for name, _, shape in tensors}
    digests = {name: hashlib.blake2b(content, digest_size=16).hexdigest() for name, content in files.items()}
    found = (labels, own.recipe(tensors, row["rules"], seed), data, digests)
    return found == (row["labels"], row["recipe"], row["data"], row["files"])


#: The cheap ones first. `parts` is the beginning of each fill.
CHECKS = (
    spellings, gains, seeds, fold_in, positions, starts, extremes, sequences, fortran, broadcasts, foreign,
    initialisers, dropouts, checkpoints, parts, fills,
)  # fmt: skip


def differences(second, vectors, wanted=lambda table, row: True, checks=CHECKS):
    """Yield (table, number of the row) of each row that differs."""
    for check in checks:
        table = "fills" if check is parts else check.__name__
        for number, row in enumerate(vectors[table]):
            if wanted(table, row) and not check(second, row, vectors):
                yield table, number


def main():
    vectors = json.loads(VECTORS.read_text())
    found = list(differences(Second(), vectors))
    for table, number in found:
        print(f"{table}, row {number} differs: {vectors[table][number]}")
    count = sum(len(rows) for table, rows in vectors.items() if table != "about")
    print(f"{count} rows, {len(found)} differ")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
