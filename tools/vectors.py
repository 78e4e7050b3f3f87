"""Golden values that fastinit itself writes: ``python tools/vectors.py [--check]``.

tests/vectors.json is for whoever implements docs/stream.md; the tests compute it again in other ways.
``--check`` writes nothing and fails if the file differs from what fastinit gives now, under the
instruction set that FASTINIT_ISA names.
"""

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np

import fastinit
from fastinit import _activations, _fused_bias, _sampling, init, random
from fastinit._dispatch import ACTIVATIONS
from fastinit._dtypes import DTYPES

PATH = Path(__file__).parents[1] / "tests" / "vectors.json"
MODULUS = 1 << 128
MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
BIT_GENERATORS = ["PCG64", "PCG64DXSM"]
TAGS = ["f16", "bf16", "f32", "f64"]
SHOWN = 12
LONG = 20_003
WORDS, BIAS = 1, 2  # of enum fi_extra

HEADER = {
    "what": "Golden values of fastinit's stream; docs/stream.md defines it.",
    "contract": fastinit.CONTRACT,
    "numbers": "Values are their bits in hexadecimal, most significant digit first. state and inc are "
    "128-bit numbers in hexadecimal, parameters of fills C99 hexadecimal floats, inf or -inf. A seed is what "
    "SeedSequence takes.",
    "fills": "n values from index start on of what the generator fills from that state. values: the first of "
    "them; blake2b: the 16-byte digest of them all, each in little-endian order. The state is where "
    "words_before 32-bit words lead from the seed; a row without a seed has a state that makes its first "
    "draw an extreme one. random is uniform(0, 1), standard_normal is normal(0, 1).",
    "sequences": "Calls one after another on one generator, and where it then stands; size null is a scalar.",
    "broadcasts": "Array parameters: values in C order of the broadcast shape.",
    "fold_in": "Keys folded in one after another, their spawn_key, and the first draws from there.",
    "sparse": "init.sparse(shape, sparsity, std) in float32, values in C order.",
    "activations": "Each operation of src_c/activations.def, with negative_slope 0.3, or p 0.4 and PCG64(7). "
    "Operand i has shape (130, 33), a bias (33,). Its values are normals, normal(0, 3) of PCG64(i), or have "
    "random bits, the low ones of the draws of PCG64(i). values: the first of the result. blake2b: a digest "
    "of the result, and of the bias's gradient if there is one. The bits of a NaN are all ones.",
}


def digits(number):
    return f"{number:032x}"


def bits(values):
    """Hexadecimal digits of each value's bits."""
    values = np.ravel(np.asarray(values))
    return [f"{int(v):0{2 * values.itemsize}x}" for v in values.view(f"u{values.itemsize}")]


def digest(values):
    return hashlib.blake2b(values.astype(values.dtype.newbyteorder("<")), digest_size=16).hexdigest()


def position(rng):
    """A generator's place in the stream, as the rows have it."""
    state = rng.bit_generator.state
    return {
        "state": digits(state["state"]["state"]),
        "inc": digits(state["state"]["inc"]),
        "has_uint32": state["has_uint32"],
        "uinteger": state["uinteger"],
    }


def seeded(bit_generator, seed):
    return random.Generator(getattr(random, bit_generator)(seed))


def fill(rng, head, distribution, tag, parameters, start=0, n=SHOWN):
    values = np.empty(n, DTYPES[tag].storage)
    _sampling.fill_at(rng, values, start, distribution, tag, *parameters.values())
    return {
        **head,
        **position(rng),
        "distribution": distribution,
        "dtype": tag,
        "parameters": {name: float(value).hex() for name, value in parameters.items()},
        "start": start,
        "n": n,
        "values": bits(values[:SHOWN]),
        "blake2b": digest(values),
    }


def uniform(low=0.0, high=1.0):
    return "uniform", {"low": low, "high": high}


def normal(loc=0.0, scale=1.0):
    return "normal", {"loc": loc, "scale": scale}


def truncated(low, high, loc=0.0, scale=1.0):
    return "truncated_normal", {"low": low, "high": high, "loc": loc, "scale": scale}


ANY = [
    uniform(),
    uniform(-0.5, 0.5),
    uniform(1.0, 1.01),  # a few float16 and bfloat16 values wide: many draws are clamped
    uniform(-3.0, -0.0),
    uniform(1.0, 1.0),
    uniform(0.0, 1e-6),  # subnormal in float16
    uniform(-65504.0, 65504.0),
    normal(),
    normal(0.5, 0.02),
    normal(0.0, 1e-6),
    normal(0.0, 40000.0),  # infinite in float16
    normal(3.0, 0.0),
    truncated(-2.0, 2.0),
    truncated(-2.0, 2.0, 0.1, 0.02),
    truncated(8.0, 9.0),
    truncated(-9.0, -8.0),
    truncated(-math.inf, 3.0),
    truncated(-math.inf, math.inf),
    truncated(0.0, math.inf),
    truncated(3.0, 3.0000001),
    truncated(30.0, math.inf),
    truncated(-0.01, 0.02),
    truncated(1.0, 1.0),
]
BY_DTYPE = {
    "f16": [uniform(1.0, 1.0004)],  # no value between: low, rounded
    "bf16": [uniform(0.0, 1e-39), normal(0.0, 1e-39)],
    "f32": [uniform(0.0, 1e-40), uniform(0.1, 0.7), uniform(0.0, 3e38), normal(0.0, 1e-40)],
    "f64": [uniform(0.1, 0.7), uniform(1.0, 1.0 + 2**-52), uniform(0.0, 1e-310), normal(0.0, 1e-310)],
}


def fills():
    for bit_generator in BIT_GENERATORS:
        head = {"bit_generator": bit_generator, "seed": 7, "words_before": 0}
        for tag in TAGS:
            for distribution, parameters in ANY + BY_DTYPE[tag]:
                yield fill(seeded(bit_generator, 7), head, distribution, tag, parameters)
            for distribution, parameters in [uniform(), normal(), truncated(-2.0, 2.0)]:
                yield from places(bit_generator, distribution, tag, parameters)
    head = {"bit_generator": "PCG64", "seed": None, "words_before": 0}
    plain = [uniform(), normal(), truncated(-2.0, 2.0), truncated(-math.inf, math.inf)]
    for draw in EXTREME_DRAWS:
        for tag in TAGS:
            for distribution, parameters in plain:
                yield fill(at_draw(draw), head, distribution, tag, parameters, n=2)


def places(bit_generator, distribution, tag, parameters):
    """Other seeds, a buffered half, odd and far starts, and a fill of many blocks."""
    for seed in [0, 2**40 + 5, [1, 2, 3]]:
        head = {"bit_generator": bit_generator, "seed": seed, "words_before": 0}
        yield fill(seeded(bit_generator, seed), head, distribution, tag, parameters, n=4)
    pieces = [(0, 0, LONG), (5, 0, LONG), (1, 0, 7), (1, 1, 7), (5, 4, 6), (2, 3, 7), (0, 10**12 + 1, 5)]
    for words, start, n in pieces:
        rng = seeded(bit_generator, 7)
        rng.random(words, dtype=np.float32)
        head = {"bit_generator": bit_generator, "seed": 7, "words_before": words}
        yield fill(rng, head, distribution, tag, parameters, start, n)


# Low half the radius or the first word, high half the angle or the second: the ends of the range, the border
# of ln's exponent split, the ends of each quadrant.
SPLIT = 0xB504F333
EXTREME_DRAWS = [
    0x00000000_00000000,
    0xFFFFFFFF_FFFFFFFF,
    0xFFFFFFFF_00000000,
    0x00000000_FFFFFFFF,
    0x1FFFFFFF_00000001,
    0x20000000_FFFFFFFE,
    0x3FFFFFFF_FFFFFF7F,
    0x40000000_FFFFFF80,
    0x5FFFFFFF_7FFFFFFF,
    0x60000000_80000000,
    0x7FFFFFFF_00000000 | SPLIT,
    0x80000000_00000000 | SPLIT - 128,
    0x9FFFFFFF_00000000 | SPLIT + 128,
    0xA0000000_FFFF0000,
    0xBFFFFFFF_0000FFFF,
    0xC0000000_000000FF,
    0xDFFFFFFF_00000100,
    0xE0000000_55555555,
]


def at_draw(draw):
    """A generator whose next draw is this one: a state with high half 0 comes out as it is."""
    rng = seeded("PCG64", 7)
    state = rng.bit_generator.state
    state["state"]["state"] = (draw - state["state"]["inc"]) * pow(MULTIPLIER, -1, MODULUS) % MODULUS
    rng.bit_generator.state = state
    return rng


def sequences():
    """Odd sizes of everything after one another: what each call uses and leaves."""
    calls = [
        (method, tag, size)
        for size in [1, 3, None, 0, 2]
        for method in ["random", "standard_normal", "random"]
        for tag in ["f32", "f64", "bf16", "f16"]
    ]
    for bit_generator in BIT_GENERATORS:
        rng = seeded(bit_generator, 42)
        done = []
        for method, tag, size in calls:
            values = np.asarray(getattr(rng, method)(size, dtype=DTYPES[tag].numpy), DTYPES[tag].numpy)
            done.append({"method": method, "dtype": tag, "size": size, "values": bits(values)})
        yield {"bit_generator": bit_generator, "seed": 42, "calls": done, **position(rng)}


def broadcasts():
    arrays = {
        "uniform": {"low": [[-1.0], [0.5]], "high": [1.0, 2.0, 3.0]},
        "normal": {"loc": [[-1.0], [0.5]], "scale": [1.0, 0.02, 3.0]},
        "truncated_normal": {
            "low": [[-1.0], [0.5]],
            "high": [1.0, 2.0, 3.0],
            "loc": [0.0, 0.1, -0.2],
            "scale": 0.5,
        },
    }
    for distribution, parameters in arrays.items():
        for tag in TAGS:
            values = getattr(seeded("PCG64", 7), distribution)(**parameters, dtype=DTYPES[tag].numpy)
            yield {
                "bit_generator": "PCG64",
                "seed": 7,
                "distribution": distribution,
                "dtype": tag,
                "parameters": parameters,
                "shape": values.shape,
                "values": bits(values),
            }


def folds():
    one_key = ["", "wte.weight", "h.0.attn.c_attn.weight", "größe", 0, 1, -1, 127, 128, -128, -129, 2**70]
    paths = [[key] for key in one_key] + [["a", 3], [3, "a"]]
    for bit_generator in BIT_GENERATORS:
        for keys in paths:
            rng = seeded(bit_generator, 7)
            for key in keys:
                rng = rng.fold_in(key)
            yield {
                "bit_generator": bit_generator,
                "seed": 7,
                "keys": keys,
                "spawn_key": [int(word) for word in rng.bit_generator.seed_seq.spawn_key],
                **position(rng),
                "draws": bits(rng.bit_generator.random_raw(3)),
            }


def sparse():
    for shape, sparsity in [((6, 3), 0.4), ((5, 3), 0.1), ((2, 4), 0.9)]:
        values = init.sparse(shape, sparsity, std=0.01, dtype=np.float32, rng=seeded("PCG64", 7))
        yield {
            "bit_generator": "PCG64",
            "seed": 7,
            "shape": shape,
            "sparsity": sparsity,
            "std": 0.01,
            "values": bits(values),
        }


def operand(i, shape, tag, kind):
    rng, dtype = seeded("PCG64", i), DTYPES[tag].numpy
    if kind == "normals":
        return rng.normal(0, 3, shape, dtype)
    return rng.bit_generator.random_raw(shape).astype(f"u{dtype.itemsize}").view(dtype)


def operate(name, tag, kind):
    """Return the results, called by what the row in src_c/activations.def says."""
    op, count, extra, sums = ACTIVATIONS[name]
    tall = 1 if extra == BIAS else min(count, 2)
    operands = [operand(i, (130, 33) if i < tall else (33,), tag, kind) for i in range(count)]
    x, y, bias = [*operands, None, None][:3]
    if sums:
        return _fused_bias.with_bias_backward(op, x, y, bias, None, 0.3)
    if extra == BIAS:
        return [_fused_bias.with_bias(op, x, y, None, 0.3)]
    if extra == WORDS:
        return [_activations.dropout(op, x, y, None, 0.4, seeded("PCG64", 7), True)]
    return [_activations.elementwise(op, x, y, None, 0.3)]


def activations():
    for name in ACTIVATIONS:
        for tag in TAGS:
            for kind in ["normals", "bits"]:
                results = np.concatenate([each.ravel() for each in operate(name, tag, kind)])
                found = results.view(f"u{results.itemsize}").copy()
                found[np.isnan(results)] = np.iinfo(found.dtype).max
                yield {
                    "operation": name,
                    "dtype": tag,
                    "operands": kind,
                    "values": bits(found[:4]),
                    "blake2b": digest(found),
                }


def text():
    """The file: one row on each line, so that a difference can be read."""
    tables = {
        "fills": fills(),
        "sequences": sequences(),
        "broadcasts": broadcasts(),
        "fold_in": folds(),
        "sparse": sparse(),
        "activations": activations(),
    }
    parts = ['"about": ' + json.dumps(HEADER, indent=1)]
    parts += [f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in tables.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    new = text()
    if sys.argv[1:] == ["--check"]:
        old = PATH.read_text().splitlines()
        for number, (was, now) in enumerate(zip(old, new.splitlines(), strict=False), 1):
            if was != now:
                sys.exit(f"tests/vectors.json, line {number}: in the file, and now\n{was}\n{now}")
        if len(old) != len(new.splitlines()):
            sys.exit("tests/vectors.json has another number of rows than fastinit makes now")
    else:
        PATH.write_text(new)


if __name__ == "__main__":
    main()
