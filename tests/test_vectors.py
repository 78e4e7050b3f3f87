"""tests/vectors.json equals values computed without fastinit's code, and fastinit's on every instruction set.

Uniforms come from plain NumPy. Normals are made in exact rational arithmetic with the formulas and the tables
of docs/stream.md, so that page and code cannot part, and from mpmath, so that neither can be wrong. Truncated
normals come from mpmath, keys from hashlib. test_second.py compares the digests and the other tables. The
rows of the activations are fastinit's own; tests/nn proves the operations.
"""

import hashlib
import json
import math
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import mpmath
import numpy as np
import pytest
from exact import FORMATS, PAGE, fl, inverse, pair_f32, pair_f64, true_pair

from fastinit import init

ROOT = Path(__file__).parents[1]
VECTORS = json.loads((ROOT / "tests" / "vectors.json").read_text())
DTYPES = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
WORKING = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}


POSITIONS = {row["name"]: row for row in VECTORS["positions"]}


def cases():
    """Yield each fill that rows list: its parameters, where it begins, and its first values."""
    for row in VECTORS["fills"]:
        yield {**row, **POSITIONS[row["position"]], "start": 0}
    for row in VECTORS["starts"]:
        for start, values in zip(row["starts"], row["values"], strict=True):
            yield {**row, **POSITIONS[row["position"]], "start": int(start), "values": values, "n": 2}
    for row in VECTORS["extremes"]:
        for name, values in zip(row["positions"], row["values"], strict=True):
            yield {**row, **POSITIONS[name], "position": name, "start": 0, "values": values, "n": 2}


def rows(distribution):
    return [
        pytest.param(row, id=f"{number}-{row['dtype']}")
        for number, row in enumerate(cases())
        if row["distribution"] == distribution
    ]


def number(digits):
    return struct.unpack(">d", bytes.fromhex(digits))[0]


NAMES = {
    "uniform": ("low", "high"),
    "normal": ("loc", "scale"),
    "truncated_normal": ("low", "high", "loc", "scale"),
}


def parameters(row):
    return dict(zip(NAMES[row["distribution"]], map(number, row["parameters"]), strict=True))


def from_bits(digits, tag):
    unsigned = np.dtype(f"u{DTYPES[tag].itemsize}")
    return np.array([int(value, 16) for value in digits], unsigned).view(DTYPES[tag])


def bit_generator(row):
    """Return NumPy's generator at the start of the row."""
    generator = getattr(np.random, row["bit_generator"])(0)
    if "state" in row:
        generator.state = {
            "bit_generator": row["bit_generator"],
            "state": {"state": int(row["state"], 16), "inc": int(row["inc"], 16)},
            "has_uint32": row["has_uint32"],
            "uinteger": int(row["uinteger"], 16),
        }
    return generator


def draws(row, start, n):
    return bit_generator(row).advance(start).random_raw(n)


def words(row, start, n):
    """Return words [start, start + n), a buffered half first."""
    held = row["has_uint32"]
    first = max(start - held, 0) // 2
    d = draws(row, first, n // 2 + 2)
    halves = np.stack([d & 0xFFFFFFFF, d >> 32], axis=1).ravel()
    if held and start == 0:
        halves = np.concatenate([np.array([int(row["uinteger"], 16)], np.uint64), halves])
    else:
        halves = halves[start - held - 2 * first :]
    return halves[:n]


# ---- uniform ----


def clamped(v, low, high):
    """Move values outside [low, high) to the dtype's nearest value inside, or to low if it has none."""
    dtype = v.dtype
    up, down = dtype.type(math.inf), dtype.type(-math.inf)
    most, least = dtype.type(high), dtype.type(low)
    while float(most) >= high:
        most = np.nextafter(most, down)
    while float(least) < low:
        least = np.nextafter(least, up)
    while float(following := np.nextafter(most, up)) < high:
        most = following
    if least > most:
        least = most = dtype.type(np.float32(low))
    return np.where(v > most, most, np.where(v < least, least, v))


def uniform(row, low, high, dtype):
    if dtype == np.float64:
        return low + (high - low) * ((draws(row, row["start"], row["n"]) >> 11) * 2.0**-53)
    u = (words(row, row["start"], row["n"]) >> 8).astype(np.float32) * np.float32(2**-24)
    x = np.float32(low) + np.float32(high - low) * u
    return clamped(x.astype(dtype), low, high)


@pytest.mark.parametrize("row", rows("uniform"))
def test_uniform_is_what_numpy_computes(row):
    expected = uniform(row, **parameters(row), dtype=DTYPES[row["dtype"]])
    np.testing.assert_array_equal(from_bits(row["values"], row["dtype"]), expected[: len(row["values"])])
    if "all" in row:
        assert hashlib.blake2b(expected.tobytes(), digest_size=16).hexdigest() == row["all"]


# ---- normal ----


def normals(row, tag, start, n):
    """Return standard normals [start, start + n) in exact working precision, and by mpmath."""
    each = 2 if tag == "f64" else 1
    first = start // 2
    d = [int(draw) for draw in draws(row, first * each, ((start + n + 1) // 2 - first) * each)]
    exact, true = [], []
    for i in range(0, len(d), each):
        if tag == "f64":
            exact += pair_f64(d[i], d[i + 1])
            true += true_pair(d[i] >> 12, d[i + 1] >> 11, (52, 53))
        else:
            exact += pair_f32(d[i])
            true += true_pair(d[i] & 0xFFFFFFFF, d[i] >> 32, (32, 32))
    skip = start - 2 * first
    return exact[skip : skip + n], true[skip : skip + n]


def scaled(z, loc, scale, tag):
    """fl(loc + fl(scale * z)), rounded to the dtype at the end."""
    working = WORKING[tag]
    loc, scale = fl(loc, working), fl(scale, working)
    return float(fl(fl(loc + fl(scale * z, working), working), tag))


@pytest.mark.parametrize("row", rows("normal"))
def test_normal_is_what_the_page_says(row):
    exact, true = normals(row, row["dtype"], row["start"], len(row["values"]))
    expected = [scaled(z, **parameters(row), tag=row["dtype"]) for z in exact]
    assert from_bits(row["values"], row["dtype"]).astype(np.float64).tolist() == expected
    unit = 2.0 ** -FORMATS[WORKING[row["dtype"]]][0]
    for z, t in zip(exact, true, strict=True):
        assert abs(float(z) - t) < 4 * unit * max(1, abs(t))


# ---- truncated normal ----


def truncated_normals(row, tag, start, n, low, high):
    if tag == "f64":
        ranks, bits = draws(row, start, n) >> 12, 52
    else:
        ranks, bits = words(row, start, n), 32
    low, high = np.broadcast_to(low, n), np.broadcast_to(high, n)
    with mpmath.workdps(40):
        return [
            mpmath.mpf(a)
            if a == b or a > 2.0**60  # t - a is below 1 / a
            else inverse((mpmath.mpf(int(k)) + 0.5) / 2**bits, mpmath.mpf(a), mpmath.mpf(b))
            for k, a, b in zip(ranks, low.tolist(), high.tolist(), strict=True)
        ]


def check_truncated(got, row, tag, true, loc, scale):
    """Values are within a few units of the working precision plus half a unit of the dtype."""
    bits, _, _ = FORMATS[WORKING[tag]]
    own_bits, own_least, own_most = FORMATS[tag]
    loc, scale = np.broadcast_to(loc, len(true)).tolist(), np.broadcast_to(scale, len(true)).tolist()
    for v, t, a, b in zip(got.astype(np.float64).tolist(), true, loc, scale, strict=True):
        with mpmath.workdps(40):
            exact = a + b * t
        allowed = (
            4 * 2.0**-bits * (abs(a) + abs(b) * max(1, abs(t))) + 2.0**-own_bits * abs(exact) + 2.0**own_least
        )
        if math.isinf(v):
            assert abs(exact) + allowed >= (2 - 2.0**-own_bits) * 2.0**own_most
            continue
        assert abs(v - exact) <= allowed, (row, v, exact, float(abs(v - exact) / allowed))


@pytest.mark.parametrize("row", rows("truncated_normal"))
def test_truncated_normal_is_the_inverse_distribution(row):
    tag, p, got = row["dtype"], parameters(row), from_bits(row["values"], row["dtype"])
    true = truncated_normals(row, tag, row["start"], len(got), p["low"], p["high"])
    check_truncated(got, row, tag, true, p["loc"], p["scale"])


# ---- what is not one fill ----


@pytest.mark.parametrize("row", VECTORS["positions"], ids=lambda row: row["name"])
def test_positions_are_where_numpy_stands(row):
    if row["seed"] is None:
        assert f"{int(draws(row, 0, 1)[0]):016x}" == row["name"]
        return
    generator = getattr(np.random, row["bit_generator"])(int(row["seed"]))
    np.random.Generator(generator).random(row["words_before"], dtype=np.float32)
    assert place(generator) == {key: row[key] for key in place(generator)}


@pytest.mark.parametrize("row", VECTORS["sequences"], ids=lambda row: row["bit_generator"])
def test_calls_follow_one_another_as_numpys_do(row):
    numpy_rng = np.random.Generator(getattr(np.random, row["bit_generator"])(int(row["seed"])))
    for call in row["calls"]:
        tag, n = call["dtype"], 1 if call["size"] is None else call["size"]
        got = from_bits(call["values"], tag)
        assert len(got) == n
        if call["method"] == "random":
            expected = numpy_rng.random(n, dtype=WORKING[tag].replace("f", "float"))
            np.testing.assert_array_equal(got, clamped(expected.astype(DTYPES[tag]), 0.0, 1.0))
        else:
            here = {"bit_generator": row["bit_generator"], **place(numpy_rng.bit_generator)}
            exact, _ = normals(here, tag, 0, n)
            assert got.astype(np.float64).tolist() == [scaled(z, 0, 1, tag) for z in exact]
            numpy_rng.bit_generator.random_raw((n + 1) // 2 * (2 if tag == "f64" else 1))
    assert place(numpy_rng.bit_generator)["state"] == row["state"]


def place(generator):
    state = generator.state
    return {
        "state": f"{state['state']['state']:032x}",
        "inc": f"{state['state']['inc']:032x}",
        "has_uint32": state["has_uint32"],
        "uinteger": f"{state['uinteger']:08x}",
    }


OWN_BROADCASTS = [row for row in VECTORS["broadcasts"] if row["bit_generator"].startswith("PCG")]


@pytest.mark.parametrize("tag", DTYPES)
@pytest.mark.parametrize(
    "row", OWN_BROADCASTS, ids=lambda row: f"{row['bit_generator']}-{row['distribution']}"
)
def test_array_parameters_meet_the_values_of_their_index(row, tag):
    columns = [np.array([number(each) for each in column]) for column in row["parameters"]]
    p = dict(zip(NAMES[row["distribution"]], columns, strict=True))
    got = from_bits(row["values"][tag], tag)
    n = len(got)
    here = row | place(getattr(np.random, row["bit_generator"])(int(row["seed"])))
    if row["distribution"] == "uniform":
        each = [
            uniform(here | {"start": i, "n": 1}, low, high, DTYPES[tag])[0]
            for i, (low, high) in enumerate(zip(p["low"].tolist(), p["high"].tolist(), strict=True))
        ]
        np.testing.assert_array_equal(got, np.array(each))
    elif row["distribution"] == "normal":
        exact, _ = normals(here, tag, 0, n)
        expected = [
            scaled(z, *own, tag=tag)
            for z, *own in zip(exact, p["loc"].tolist(), p["scale"].tolist(), strict=True)
        ]
        assert got.astype(np.float64).tolist() == expected
    else:
        check_truncated(
            got, row, tag, truncated_normals(here, tag, 0, n, p["low"], p["high"]), p["loc"], p["scale"]
        )


@pytest.mark.parametrize("row", VECTORS["fold_in"], ids=lambda row: f"{row['bit_generator']}-{row['keys']}")
def test_fold_in_is_a_hash_of_the_key(row):
    spawn_key = []
    for written in row["keys"]:
        kind, key = written[0], written[1:]
        if kind == "s":
            data = b"s" + key.encode()
        else:
            key = int(key)
            size = next(size for size in range(1, 99) if -(1 << 8 * size - 1) <= key < 1 << 8 * size - 1)
            data = b"i" + key.to_bytes(size, "little", signed=True)
        digest = hashlib.blake2b(data, digest_size=16, person=b"fastinit-v1").digest()
        spawn_key += np.frombuffer(digest, "<u4").tolist()
    assert row["spawn_key"] == [f"{word:08x}" for word in spawn_key]
    generator = getattr(np.random, row["bit_generator"])(
        np.random.SeedSequence(int(row["seed"]), spawn_key=spawn_key)
    )
    assert place(generator) == {name: row[name] for name in ["state", "inc", "has_uint32", "uinteger"]}
    assert [f"{d:016x}" for d in generator.random_raw(2).tolist()] == row["draws"]


SPARSE = [row for row in VECTORS["initialisers"] if row["spelled"].startswith("sparse")]


@pytest.mark.parametrize("tag", ["f32", "f64"])
@pytest.mark.parametrize("row", SPARSE, ids=lambda row: row["spelled"])
def test_sparse_zeroes_the_smallest_words_of_each_column(row, tag):
    height, width = row["shape"]
    n = height * width
    arguments = init.get(row["spelled"]).arguments
    here = row | place(getattr(np.random, row["bit_generator"])(int(row["seed"])))
    exact, _ = normals(here, tag, 0, n)
    expected = np.array([scaled(z, 0, arguments["std"], tag) for z in exact], DTYPES[tag]).reshape(
        height, width
    )
    w = words(here, (n + 1) // 2 * 2 * (2 if tag == "f64" else 1), n).reshape(height, width)
    order = np.argsort(w, axis=0, kind="stable")[: math.ceil(arguments["sparsity"] * height)]
    np.put_along_axis(expected, order, 0, axis=0)
    assert hashlib.blake2b(expected.tobytes(), digest_size=16).hexdigest() == row["all"][tag]


@pytest.mark.parametrize("row", VECTORS["seeds"], ids=lambda row: "-".join(row["entropy"])[:20])
def test_seeds_are_numpys(row):
    sequence = np.random.SeedSequence(
        [int(each) for each in row["entropy"]] if len(row["entropy"]) > 1 else int(row["entropy"][0]),
        spawn_key=[int(each) for each in row["spawn_key"]],
        pool_size=row["pool_size"],
    )
    assert [f"{word:08x}" for word in sequence.generate_state(8).tolist()] == row["words"]
    for kind in ["PCG64", "PCG64DXSM"]:
        assert row[kind].items() <= place(getattr(np.random, kind)(sequence)).items()


def test_the_pages_example_is_in_the_file():
    page = PAGE.read_text()
    first = {
        (row["distribution"], row["dtype"], *parameters(row).values()): row
        for row in cases()
        if row["position"] == "PCG64, seed 7, 0 words" and "all" in row
    }
    names = {"random": ("uniform", 0, 1), "standard_normal": ("normal", 0, 1)}
    names |= {
        "normal(0.5, 0.02)": ("normal", 0.5, 0.02),
        "truncated_normal(-2, 2)": ("truncated_normal", -2, 2, 0, 1),
    }
    rows = re.findall(r"\| `([^`]+)` (\w+) \| `([0-9a-f ]+)` \|", page)
    assert len(rows) == 6
    for name, tag, digits in rows:
        distribution, *own = names[name]
        row = first[distribution, tag, *own]
        assert row["values"][:4] == digits.split()
        assert f"0x{row['state']}" in page
        assert f"0x{row['inc']}" in page


# ---- fastinit itself ----


def test_fastinit_gives_the_file_again(isa):
    done = subprocess.run(
        [sys.executable, "-m", "tools.vectors", "--check"],
        cwd=ROOT,
        env={**os.environ, "FASTINIT_ISA": isa},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
