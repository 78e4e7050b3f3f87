"""The C core alone, from several compilers: golden values, and every kernel against the baseline's."""

import hashlib
import json
import os
import re
import shutil
import struct
from fractions import Fraction

import numpy as np
import pytest
from checkkernels import ROOT, build, run
from digests import FEW, expected, functions, made
from exact import fl

VECTORS = json.loads((ROOT / "tests" / "vectors.json").read_text())
SANITIZERS = os.environ.get("FASTINIT_SANITIZE") or "address,undefined"


# name: compiler, what it adds to setup.py's flags, what runs the result
BUILDS = {
    "gcc": ("gcc", [], []),
    "gcc-11": ("gcc-11", [], []),  # the oldest that will do
    "gcc-O0": ("gcc", ["-O0"], []),
    "clang": ("clang", [], []),
    "aarch64": ("aarch64-linux-gnu-gcc", ["-static"], ["qemu-aarch64-static"]),
    "sanitize": ("gcc", [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", "-g1", "-O1"], []),
}


@pytest.fixture(scope="module", params=BUILDS)
def built(request, tmp_path_factory):
    """A build's name, the folder of its programs, and the command that runs them."""
    compiler, extra, runner = BUILDS[request.param]
    for tool in [compiler, *runner]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    build(folder, ["golden", "checkkernels", "digests", "fma"], compiler, extra)
    return request.param, folder, runner


built_by_gcc = pytest.mark.parametrize("built", ["gcc"], indirect=True)


def cases():
    """Yield the fills of vectors.json as lines for golden.c, their first values, and the digest of part."""
    positions = {row["name"]: row for row in VECTORS["positions"]}

    def line(row, position, start, n):
        numbers = [struct.unpack(">d", bytes.fromhex(each))[0].hex() for each in row["parameters"]]
        at = positions[position]
        names = ["bit_generator", "state", "inc", "has_uint32"]
        place = [*(at[name] for name in names), int(at["uinteger"], 16)]
        fields = [row["distribution"], row["dtype"], *place, *[*numbers, "0", "0"][:4], start, n]
        return " ".join(map(str, fields)) + "\n"

    for row in VECTORS["fills"]:
        yield line(row, row["position"], 0, 4099), row["values"], row["part"]
    for row in VECTORS["starts"]:
        for start, values in zip(row["starts"], row["values"], strict=True):
            yield line(row, row["position"], start, 2), values, None
    for row in VECTORS["extremes"]:
        for position, values in zip(row["positions"], row["values"], strict=True):
            yield line(row, position, 0, 2), values, None


def check_golden(program, isa, runner=(), **kwargs):
    inputs, firsts, parts = zip(*cases(), strict=True)
    lines = run(*runner, program, isa, input="".join(inputs), **kwargs).splitlines()
    assert len(lines) == len(inputs)
    for case, first, part, line in zip(inputs, firsts, parts, lines, strict=True):
        values = line.split()
        assert values[: len(first)] == first, (isa, case)
        data = b"".join(bytes.fromhex(value)[::-1] for value in values)
        assert part in (None, hashlib.blake2b(data, digest_size=16).hexdigest()), (isa, case)


def test_a_row_with_too_many_parameters_is_a_compile_error(tmp_path):
    for name in ["fastinit.h", "distributions.def", "activations.def"]:
        shutil.copy(ROOT / "src_c" / name, tmp_path)
    run("gcc", "-std=c11", "-fsyntax-only", "-x", "c", tmp_path / "fastinit.h")
    rows = tmp_path / "distributions.def"
    rows.write_text(rows.read_text().replace("normal, 4,", "normal, 9,"))
    with pytest.raises(AssertionError, match="truncated_normal"):
        run("gcc", "-std=c11", "-fsyntax-only", "-x", "c", tmp_path / "fastinit.h")


def test_golden_values(built):
    _, folder, runner = built
    isas = run(*runner, folder / "golden", "--list").split()
    assert "baseline" in isas
    for isa in isas:
        check_golden(folder / "golden", isa, runner)


@built_by_gcc
def test_golden_values_without_fma_in_libm(built):
    _, folder, _ = built
    hidden = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX2_Usable"}
    check_golden(folder / "golden", "baseline", env=hidden)


def near_ties():
    """Floats a, b and c whose a * b + c is so near the middle of two floats that float64 shows the middle."""
    pick = np.random.default_rng(7)
    a = pick.uniform(1, 2, 40_000).astype(np.float32)
    b = (1 / a).astype(np.float32)
    off = a.astype(np.float64) * b - 1  # exact
    few = (off != 0) & (abs(off) < 2.0**-28)
    c = 1 + pick.integers(0, 2**23, few.sum()) * np.float32(2.0**-23)
    signs = pick.choice([-1, 1], (2, few.sum())).astype(np.float32)
    return np.stack([a[few] * signs[0] * np.float32(2.0**-24), b[few], c.astype(np.float32) * signs[1]])


def test_fma_rounds_once(built):
    _, folder, runner = built
    triples = near_ties()
    lines = "".join(f"{a:08x} {b:08x} {c:08x}\n" for a, b, c in triples.view(np.uint32).T)
    got = [int(line, 16) for line in run(*runner, folder / "fma", input=lines).split()]
    wanted = [
        fl(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), "f32") for a, b, c in triples.T
    ]
    assert len(wanted) > 500
    assert got == np.array(wanted, np.float32).view(np.uint32).tolist()


def test_digests_of_some_inputs(built):
    _, folder, runner = built
    program = folder / "digests"
    for isa in run(*runner, folder / "golden", "--list").split():
        for name in functions(program, runner):
            assert made(program, isa, name, FEW, runner) == expected(name, FEW), (isa, name)


ROUNDS = {"gcc": 100, "gcc-11": 10, "gcc-O0": 3, "clang": 50, "aarch64": 3, "sanitize": 10}


def test_every_kernel_against_the_baseline(built):
    name, folder, runner = built
    assert "baseline     ok" in run(*runner, folder / "checkkernels", "--rounds", ROUNDS[name])


@built_by_gcc
def test_kernels_are_chosen_by_name_and_instruction_set(built):
    _, folder, _ = built
    said = run(folder / "checkkernels", "--isa", "baseline", "--kernel", "relu_*", "--rounds", 1, "--bench")
    timed = re.findall(r"^(\w+) +(\w+) +\d+\.\d+ ns/value$", said, re.MULTILINE)
    assert {kernel.partition("_")[0] for kernel, _ in timed} == {"relu"}
    assert {isa for _, isa in timed} == {"baseline"}
    with pytest.raises(AssertionError, match="no kernel's name is like gone"):
        run(folder / "checkkernels", "--kernel", "gone")
