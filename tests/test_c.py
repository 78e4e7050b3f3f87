"""The C core alone, from several compilers: golden values, and every kernel against the baseline's.

``python tests/test_c.py --bench`` builds the harness with gcc and passes its arguments on to checkkernels.
"""

import ast
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HARNESS = ROOT / "tests" / "c"
VECTORS = json.loads((ROOT / "tests" / "vectors.json").read_text())
SANITIZERS = os.environ.get("FASTINIT_SANITIZE") or "address,undefined"


def setup_flags(*names):
    """The flags that setup.py builds the core with, read from its text: importing it would run it."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return [ast.literal_eval(values[name]) for name in names]


FLAGS, SAFE_MATH, ISA_FLAGS = setup_flags("FLAGS", "SAFE_MATH", "ISA_FLAGS")

# name: compiler, what it adds to setup.py's flags, what runs the result
BUILDS = {
    "gcc": ("gcc", [], []),
    "gcc-11": ("gcc-11", [], []),  # the oldest that will do
    "gcc-O0": ("gcc", ["-O0"], []),
    "clang": ("clang", [], []),
    "aarch64": ("aarch64-linux-gnu-gcc", ["-static"], ["qemu-aarch64-static"]),
    "sanitize": ("gcc", [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", "-g", "-O1"], []),
}


def run(*command, **kwargs):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def build(name, folder):
    """The harness's programs in the folder, from the flags of setup.py and this build's own."""
    compiler, extra, _ = BUILDS[name]
    common = [*FLAGS, "-Wall", "-Wextra", "-Werror", *SAFE_MATH, *extra]
    x86 = run(compiler, "-dumpmachine").startswith("x86_64")

    def compile_one(source):
        isa = ISA_FLAGS.get(source.stem, []) if x86 else []
        run(compiler, *isa, *common, "-c", source, "-o", folder / f"{source.stem}.o")
        return folder / f"{source.stem}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sorted((ROOT / "src_c").glob("*.c"))))
    for program in ["golden", "checkkernels"]:
        source, options = HARNESS / f"{program}.c", ["-D_GNU_SOURCE", "-I", ROOT / "src_c"]
        run(compiler, *common, *options, source, *objects, "-lm", "-o", folder / program)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A function from a build's name to the folder of its programs and the command that runs them."""

    @functools.cache
    def once(name):
        compiler, _, runner = BUILDS[name]
        for tool in [compiler, *runner]:
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed")
        folder = tmp_path_factory.mktemp(name)
        build(name, folder)
        return folder, runner

    return once


def case(row):
    """A row of vectors.json as a line for golden.c."""
    parameters = [*row["parameters"].values(), "0", "0"][:4]
    names = ["distribution", "dtype", "bit_generator", "state", "inc", "has_uint32", "uinteger"]
    return " ".join(map(str, [*(row[name] for name in names), *parameters, row["start"], row["n"]])) + "\n"


def check_golden(program, isa, runner=(), **kwargs):
    rows = VECTORS["fills"]
    lines = run(*runner, program, isa, input="".join(map(case, rows)), **kwargs).splitlines()
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        values = line.split()
        assert values[: len(row["values"])] == row["values"], (isa, row)
        data = b"".join(bytes.fromhex(value)[::-1] for value in values)
        assert hashlib.blake2b(data, digest_size=16).hexdigest() == row["blake2b"], (isa, row)


@pytest.mark.parametrize("name", BUILDS)
def test_golden_values(built, name):
    folder, runner = built(name)
    isas = run(*runner, folder / "golden", "--list").split()
    assert "baseline" in isas
    for isa in isas:
        check_golden(folder / "golden", isa, runner)


def test_golden_values_without_fma_in_libm(built):
    folder, _ = built("gcc")
    hidden = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX2_Usable"}
    check_golden(folder / "golden", "baseline", env=hidden)


ROUNDS = {"gcc": 100, "gcc-11": 10, "gcc-O0": 5, "clang": 50, "aarch64": 3, "sanitize": 10}


@pytest.mark.parametrize("name", BUILDS)
def test_every_kernel_against_the_baseline(built, name):
    folder, runner = built(name)
    assert "baseline     ok" in run(*runner, folder / "checkkernels", "--rounds", ROUNDS[name])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        build("gcc", Path(folder))
        sys.exit(subprocess.call([Path(folder) / "checkkernels", *sys.argv[1:]]))
