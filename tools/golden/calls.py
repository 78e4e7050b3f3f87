"""Calls of methods: what they use of the stream, array parameters, keys and seeds."""

import numpy as np

from fastinit import random

from .common import BIT_GENERATORS, TAGS, bits, empty, f64, numpy_dtype, place, seeded

METHODS = [("random", ()), ("standard_normal", ()), ("truncated_normal", (-2.0, 2.0))]
FOREIGN = ["MT19937", "Philox", "SFC64"]


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
            values = np.asarray(getattr(rng, method)(size, dtype=numpy_dtype(tag)), numpy_dtype(tag))
            done.append({"method": method, "dtype": tag, "size": size, "values": bits(values)})
        yield {"bit_generator": bit_generator, "seed": "42", "calls": done, **place(rng)}


ARRAYS = {
    "uniform": {"low": [[-1.0], [0.5]], "high": [1.0, 2.0, 3.0]},
    "normal": {"loc": [[-1.0], [0.5]], "scale": [1.0, 0.02, 3.0]},
    "truncated_normal": {
        "low": [[-1.0], [0.5]],
        "high": [1.0, 2.0, 3.0],
        "loc": [0.0, 0.1, -0.2],
        "scale": [0.5, 0.5, 0.5],
    },
}


def of_each(bit_generator, method, *arguments, **keywords):
    """The values in each dtype, each from the seed's beginning."""
    return {
        tag: bits(
            getattr(random.Generator(getattr(random, bit_generator)(7)), method)(
                *arguments, **keywords, dtype=numpy_dtype(tag)
            )
        )
        for tag in TAGS
    }


def broadcasts():
    for bit_generator in [*BIT_GENERATORS, *FOREIGN]:
        for distribution, parameters in ARRAYS.items():
            each = [np.broadcast_to(value, (2, 3)).ravel().tolist() for value in parameters.values()]
            yield {
                "bit_generator": bit_generator,
                "seed": "7",
                "distribution": distribution,
                "parameters": [[f64(value) for value in column] for column in each],
                "values": of_each(bit_generator, distribution, **parameters),
            }


def foreign():
    """Fills from other bit generators."""
    for bit_generator in FOREIGN:
        for method, arguments in METHODS:
            values = of_each(bit_generator, method, *arguments, size=5)
            yield {"bit_generator": bit_generator, "seed": "7", "method": method, "values": values}


def fortran():
    """out= in Fortran order is filled in memory order; an odd number of normals ends each call."""
    for method, arguments in METHODS:
        for tag in ["f32", "f64"]:
            out = empty((2, 3), tag, "F")
            getattr(seeded(), method)(*arguments, dtype=numpy_dtype(tag), out=out)
            yield {
                "bit_generator": "PCG64",
                "seed": "7",
                "method": method,
                "dtype": tag,
                "shape": [2, 3],
                "in_memory": bits(out.ravel("K")),
            }


KEYS = ["", "wte.weight", "h.0.attn.c_attn.weight", "größe", 0, 1, -1, 127, 128, -128, -129, 2**70]


def folds():
    for bit_generator in BIT_GENERATORS:
        for keys in [*([key] for key in KEYS), ["a", 3], [3, "a"]]:
            rng = seeded(bit_generator)
            for key in keys:
                rng = rng.fold_in(key)
            yield {
                "bit_generator": bit_generator,
                "seed": "7",
                "keys": [f"s{key}" if isinstance(key, str) else f"i{key}" for key in keys],
                "spawn_key": [f"{int(word):08x}" for word in rng.bit_generator.seed_seq.spawn_key],
                **place(rng),
                "draws": bits(rng.bit_generator.random_raw(2)),
            }


SEEDS = [
    ([0], [], 4),
    ([2**32], [], 4),
    ([2**64], [], 4),
    ([2**130 + 3], [], 4),
    ([2**300 - 1], [], 4),
    ([1, 2, 3], [], 4),
    ([2**40, 0, 5], [], 4),
    (list(range(20)), [], 4),
    ([7], [0], 4),
    ([7], [2**33, 5], 4),
    ([2**200], [1], 4),
    ([7], [], 8),
    (list(range(12)), [3], 8),
]


def seeds():
    for entropy, spawn_key, pool_size in SEEDS:
        sequence = np.random.SeedSequence(
            entropy if len(entropy) > 1 else entropy[0], spawn_key=spawn_key, pool_size=pool_size
        )
        yield {
            "entropy": list(map(str, entropy)),
            "spawn_key": list(map(str, spawn_key)),
            "pool_size": pool_size,
            "words": [f"{word:08x}" for word in sequence.generate_state(8).tolist()],
            **{
                kind: {
                    key: place(random.Generator(getattr(random, kind)(sequence)))[key]
                    for key in ("state", "inc")
                }
                for kind in BIT_GENERATORS
            },
        }
