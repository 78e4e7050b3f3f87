import mmap
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastinit
from fastinit import _dispatch
from fastinit.random import default_rng

ROOT = Path(__file__).parents[1]
CONFIG = fastinit.show_config(mode="dicts")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """tests/c/isas.c, which prints the instruction sets that dispatch.c finds."""
    if platform.machine() != "x86_64":
        pytest.skip("these CPUs are x86-64's")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path_factory.mktemp("isas") / "isas"
    source = ROOT / "tests" / "c" / "isas.c"
    subprocess.run(["gcc", "-static", "-I", ROOT / "src_c", source, "-o", program], check=True)
    return program


@pytest.fixture(scope="module")
def isas(program):
    """A function from the name of a QEMU CPU to the instruction sets that dispatch.c finds on it."""
    if shutil.which("qemu-x86_64-static") is None:
        pytest.skip("qemu-x86_64-static is not installed")

    def run(cpu):
        return subprocess.check_output(["qemu-x86_64-static", "-cpu", cpu, program], text=True).split()

    return run


@pytest.mark.parametrize("cpu", ["Nehalem", "SandyBridge"])
def test_a_cpu_before_avx2_has_the_baseline(isas, cpu):
    assert isas(cpu) == ["baseline"]


def test_haswell_has_avx2(isas):
    assert isas("Haswell") == ["baseline", "avx2"]


FEATURES = ["abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "popcnt", "sse4.2", "xsave"]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_level_needs_each_of_its_features(isas, feature):
    assert isas(f"Haswell,-{feature}") == ["baseline"]


#: What each level adds, of Intel's manual (volume 2, CPUID; volume 1, 13.3): the name, the word and the bit.
#: The words are leaf 1 ECX, leaf 7 EBX, leaf 7.1 EAX, leaf 0x80000001 ECX and XCR0.
LEVELS = {
    "avx2": [
        *(("SSE3", 0, 0), ("SSSE3", 0, 9), ("FMA", 0, 12), ("CMPXCHG16B", 0, 13), ("SSE4.1", 0, 19)),
        *(("SSE4.2", 0, 20), ("MOVBE", 0, 22), ("POPCNT", 0, 23), ("OSXSAVE", 0, 27), ("AVX", 0, 28)),
        *(("F16C", 0, 29), ("BMI1", 1, 3), ("AVX2", 1, 5), ("BMI2", 1, 8), ("LAHF", 3, 0), ("LZCNT", 3, 5)),
        *(("xmm", 4, 1), ("ymm", 4, 2)),
    ],
    "avx512": [
        *(("AVX512F", 1, 16), ("AVX512DQ", 1, 17), ("AVX512CD", 1, 28), ("AVX512BW", 1, 30)),
        *(("AVX512VL", 1, 31), ("masks", 4, 5), ("zmm0 to zmm15", 4, 6), ("zmm16 to zmm31", 4, 7)),
    ],
    "avx512ifma": [("AVX512IFMA", 1, 21)],
    "avx512bf16": [("AVX512_BF16", 2, 5)],
}
ALL_BITS = [feature for features in LEVELS.values() for feature in features]


@pytest.fixture(scope="module")
def isas_with(program):
    """A function from features to the instruction sets that dispatch.c finds on a CPU of these alone."""

    def run(features):
        words = [0] * 5
        for _, word, bit in features:
            words[word] |= 1 << bit
        return subprocess.check_output([program, *map(hex, words)], text=True).split()

    return run


def test_a_cpu_with_the_features_of_all_levels_has_all(isas_with):
    assert isas_with(ALL_BITS) == ["baseline", *LEVELS]
    assert isas_with([]) == ["baseline"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_needs_no_feature_of_those_above(level, isas_with):
    below = [*LEVELS][: [*LEVELS].index(level) + 1]
    assert isas_with([each for name in below for each in LEVELS[name]]) == ["baseline", *below]


@pytest.mark.parametrize(("level", "missing"), [(level, each) for level in LEVELS for each in LEVELS[level]])
def test_a_level_and_those_above_need_each_of_its_features(level, missing, isas_with):
    below = [*LEVELS][: [*LEVELS].index(level)]
    assert isas_with([each for each in ALL_BITS if each != missing]) == ["baseline", *below]


@pytest.mark.parametrize("level", LEVELS)
def test_the_features_of_one_level_are_not_enough_without_those_below(level, isas_with):
    assert isas_with(LEVELS[level]) == (["baseline", "avx2"] if level == "avx2" else ["baseline"])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux names the flags")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are x86-64's")
def test_the_instruction_sets_beyond_a_level_are_those_of_cpuinfo():
    flags = {*Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()}
    v4 = "avx512" in CONFIG["supported"]
    assert ("avx512ifma" in CONFIG["supported"]) == (v4 and "avx512ifma" in flags)
    assert ("avx512bf16" in CONFIG["supported"]) == (v4 and {"avx512ifma", "avx512_bf16"} <= flags)


def test_config_and_select_agree():
    assert CONFIG["supported"][0] == CONFIG["built"][0] == "baseline"
    assert CONFIG["isa"] in {*CONFIG["built"]} & {*CONFIG["supported"]}


def test_each_instruction_set_of_this_architecture_was_built():
    """Without its flags in setup.py, a file compiles to no kernels."""
    files = {path.stem.removeprefix("isa_"): path.read_text() for path in (ROOT / "src_c").glob("isa_*.c")}
    arm = platform.machine() == "aarch64"
    here = {name for name, text in files.items() if name == "baseline" or ("__aarch64__" in text) == arm}
    assert {*CONFIG["built"]} == here


def test_select_changes_the_kernels_and_returns_the_name_before(isa):
    assert _dispatch.config()["isa"] == isa
    assert _dispatch.select("baseline") == isa
    assert _dispatch.select(isa) == "baseline"


def picked(**environment):
    program = "import fastinit\nfastinit.random; print(fastinit.show_config(mode='dicts')['isa'])"
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)


def test_the_environment_picks(isa):
    assert picked(FASTINIT_ISA=isa).stdout.strip() == isa


@pytest.mark.parametrize("name", ["sse9", "AVX2", "neon" if platform.machine() == "x86_64" else "avx2"])
def test_an_isa_that_is_not_there_is_an_import_error_that_lists_what_is(name):
    done = picked(FASTINIT_ISA=name)
    assert 'File "<string>", line 1' in done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: ")
    assert name in error
    assert all(supported in error for supported in CONFIG["supported"])


def test_show_config_prints_what_it_returns(capsys):
    assert fastinit.show_config() is None
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["isa"] == CONFIG["isa"]
    assert printed["built"].split() == CONFIG["built"]
    assert printed["numpy"] == np.__version__
    assert printed["contract"] == "1"
    assert {*printed} == {*CONFIG}


def test_show_config_refuses_another_mode():
    with pytest.raises(ValueError, match="'stdout' or 'dicts', not 'dict'"):
        fastinit.show_config(mode="dict")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, new memory is not told from other")
def test_large_fills_bypass_the_cache_unless_their_memory_is_new():
    size = 64 << 20
    memory = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    address = memory.ctypes.data
    assert not _dispatch.bypasses_cache(address, size)
    memory[: size // 2] = 1
    assert _dispatch.bypasses_cache(address, size // 2)
    assert not _dispatch.bypasses_cache(address + size // 2, size // 2)
    memory[:] = 1
    assert _dispatch.bypasses_cache(address, size)
    assert not _dispatch.bypasses_cache(address, 1 << 20)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("method", ["random", "standard_normal"])
@pytest.mark.parametrize("more", [-1, 0, 3])
def test_new_and_other_memory_get_the_same_values(method, dtype, more):
    n = (4 << 20) // np.dtype(dtype).itemsize + more
    new = getattr(default_rng(7), method)(n, dtype)
    other = np.ones(n + 1, dtype)
    for part in (other[:-1], other[1:]):
        assert np.array_equal(getattr(default_rng(7), method)(dtype=dtype, out=part), new)
