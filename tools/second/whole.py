"""Compare whole ranges of fastinit's values with the second implementation's.

    python -m tools.second.whole [--stride N] [--only NAME]

float32 fills see each of the 2^32 words, or each block of 2^24 words whose number N divides. The others see
draws of a seed. A run without a stride takes about an hour on two CPUs. Exit status 1 if a bit differs.
"""

import argparse
import ctypes
import math
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastinit
from fastinit import _sampling, random

from . import seeding
from .native import Native, Position

BLOCK = 2**24
INF = math.inf
UNIFORM = [("uniform", each) for each in [(0, 1), (-0.5, 0.5), (0.1, 0.7), (-3, 1e-3)]]
NORMAL = [("normal", each) for each in [(0, 1), (0.5, 0.02)]]
TRUNCATED = [
    ("truncated_normal", (low, high, loc, scale))
    for low, high, loc, scale in [
        (-2, 2, 0, 1),
        (-INF, INF, 0, 1),
        (-2, 2, 0.1, 0.02),
        (1, 2, 0, 1),
        (-9, -1, 0.5, 3),
        (-1, 4, 0, 1),
        (3, INF, 0, 1),
        (8, 9, -8, 1),
        (-INF, -50, 0, 1),
    ]
]
# (name, where words come from, distributions, dtype, blocks)
RANGES = [
    ("uniform f32", "counted", UNIFORM, "f32", 256),
    ("normal f32", "mixed", NORMAL, "f32", 512),
    ("truncated_normal f32", "counted", TRUNCATED, "f32", 256),
    *(
        (f"{kind[0][0]} {tag}", generator, kind, tag, blocks)
        for tag, blocks in [("f16", 16), ("bf16", 16), ("f64", 64)]
        for kind in [UNIFORM, NORMAL, TRUNCATED]
        for generator in ["PCG64", "PCG64DXSM"]
    ),
]


class _Bitgen(ctypes.Structure):
    """NumPy's bitgen_t."""

    _fields_ = (("state", ctypes.c_void_p), *((f"next_{each}", ctypes.c_void_p) for each in range(4)))


class Listed:
    """A bit generator of NumPy's interface that gives the second implementation's draws from a position."""

    def __init__(self, native, at):
        self.lock = threading.Lock()
        self._stream = native.stream(at)
        next_word, next_draw = (
            ctypes.cast(function, ctypes.c_void_p)
            for function in (native.library.next_word, native.library.next_draw)
        )
        self._bitgen = _Bitgen(ctypes.addressof(self._stream), next_draw, next_word, None, next_draw)
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype = ctypes.py_object
        capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = capsule(ctypes.addressof(self._bitgen), b"BitGenerator", None)


def by_fastinit(native, at, distribution, tag, own, start, n):
    """The bits of values [start, start + n), by fastinit."""
    out = np.empty(n, f"u{2 if 'f16' in tag else 4 if tag == 'f32' else 8}")
    storage = out if "b" in tag else out.view(f"f{out.itemsize}")
    if at.kind.startswith("PCG"):
        _sampling.fill_at(generator(at), storage, start, distribution, tag, *own)
    else:
        after = native.after_draws if distribution == "normal" else native.after_words
        moved = after(at, start // 2 if distribution == "normal" else start)
        rng = random.Generator(Listed(native, moved))
        _sampling.fill(rng, storage, distribution, tag, *own)
    return out


def generator(at):
    rng = random.Generator(getattr(random, at.kind)(0))
    state = {"state": at.s, "inc": at.c}
    rng.bit_generator.state = {
        "bit_generator": at.kind,
        "state": state,
        "has_uint32": at.held,
        "uinteger": at.half,
    }
    return rng


def compare(native, at, distribution, own, tag, start, n=BLOCK):
    """Return a line about the first value that differs, or None."""
    ours = by_fastinit(native, at, distribution, tag, own, start, n)
    second = native.fill(at, distribution, tag, (*own, 0, 0)[:4], start, n)
    if np.array_equal(ours, second):
        return None
    first = int(np.flatnonzero(ours != second)[0])
    return (
        f"{distribution}{own} {tag} {at.kind}: value {start + first} is {ours[first]:x} by fastinit, "
        f"{second[first]:x} by the page"
    )


def position(kind):
    return Position(kind, *(seeding.seeded(kind, [2026]) if kind.startswith("PCG") else (0, 0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stride", type=int, default=1, help="compare every N-th block of 2^24 values")
    parser.add_argument("--only", default="", help="a part of the name, such as 'normal f32'")
    parser.add_argument("--threads", type=int, default=fastinit.get_num_threads())
    options = parser.parse_args()
    fastinit.set_num_threads(1)
    native, bad, total = Native(optimise="-O3"), 0, 0
    with ThreadPoolExecutor(options.threads) as pool:
        for name, kind, cases, tag, blocks in RANGES:
            if options.only not in name:
                continue
            for distribution, own in cases:
                began, at = time.monotonic(), position(kind)
                starts = range(0, blocks * BLOCK, options.stride * BLOCK)
                found = pool.map(lambda start: compare(native, at, distribution, own, tag, start), starts)  # noqa: B023
                lines = [line for line in found if line]
                bad, total = bad + len(lines), total + len(starts) * BLOCK
                took = f"{time.monotonic() - began:.0f} s"
                print(
                    f"{name} {own} {kind}: {len(starts) * BLOCK:,} values, {took}",
                    *lines[:3],
                    sep="\n  ",
                    flush=True,
                )
    print(f"{total:,} values, {bad} blocks differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
