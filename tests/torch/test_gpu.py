"""Kernels for a GPU, without one: run on the CPU as C++, and compiled by NVRTC."""

import ctypes
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from checkkernels import ROOT

from fastinit._dispatch import DISTRIBUTIONS, DTYPES
from fastinit._dtypes import of
from fastinit.init.plans import Sampled
from fastinit.random import PCG64, PCG64DXSM, Generator
from fastinit.torch import fill_, filling, gpu, staging

INF = float("inf")
LAWS = [
    ("uniform", (0.0, 1.0)),
    ("uniform", (-3.0, 0.1)),
    ("normal", (0.0, 1.0)),
    ("normal", (-0.5, 0.02)),
    ("truncated_normal", (-2.0, 2.0, 0.0, 0.02)),  # centre
    ("truncated_normal", (-1.0, 4.0, 1.0, 2.0)),  # wide
    ("truncated_normal", (5.0, 9.0, 0.0, 1.0)),  # far
    ("truncated_normal", (-INF, -1.0, 0.0, 1.0)),  # mirrored
]
NAMES = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory):
    """A function that writes a fill's elements, made by the kernel's own source as so many threads."""
    library = tmp_path_factory.mktemp("gpu") / "gpu.so"
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC"]
    source = ["-x", "c++", f"-I{ROOT / 'src_c'}", str(ROOT / "src_c" / "gpu.cu")]
    subprocess.run([os.environ.get("CXX", "c++"), *flags, *source, "-o", str(library)], check=True)
    run = ctypes.CDLL(str(library)).fi_gpu_on_cpu
    run.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64)

    def write(out, plan, rng, start, threads):
        job = gpu.described(plan, rng, start, out.size, threads)
        job.out = out.ctypes.data
        run(DISTRIBUTIONS[plan.distribution], DTYPES[plan.dtype.tag], ctypes.addressof(job), threads)

    return write


class Own(PCG64):
    """A subclass, whose state has another name."""


class OwnDxsm(PCG64DXSM):
    """Another."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("law", "parameters"), LAWS)
@pytest.mark.parametrize("bits", [PCG64, PCG64DXSM, np.random.PCG64, np.random.PCG64DXSM, Own, OwnDxsm])
def test_the_values_are_the_cpus(on_cpu, bits, law, parameters, name):
    """At any start, of any length, by any number of threads, after a buffered half, into any alignment."""
    pick = np.random.default_rng(5)
    dtype = of(name)
    for place in (0, 1, 2, 3, 1000, 2**33 + 1, 2**40 + 7):
        rng = Generator(bits(int(pick.integers(1 << 30))))
        rng.integers(0, 9, pick.integers(1, 3), np.uint32)
        n, threads = int(pick.integers(1, 700)), int(pick.choice([1, 7, 256, 1000]))
        plan = Sampled((place + n + 1,), dtype, law, parameters)
        expected, padded = np.empty(n, dtype.storage), np.full(n + 3, 77, dtype.storage)
        plan.fill(expected, rng, place)
        before = rng.bit_generator.state
        on_cpu(padded[place % 2 :][:n], plan, rng, place, threads)
        values = padded[place % 2 :]
        assert values[:n].tobytes() == expected.tobytes()
        assert (values[n:] == 77).all()
        assert padded[: place % 2].tolist() == [77][: place % 2]
        assert rng.bit_generator.state == before


def test_each_power_is_that_of_so_many_groups():
    """As many as a thread's number needs: of 40, each takes the time of a small fill."""
    rng, plan = Generator(PCG64(7)), Sampled((9,), of("float64"), "normal", (0.0, 1.0))
    inc = rng.bit_generator.state["state"]["inc"]
    for threads, many in ((1, 1), (256, 9), (2**39, 40)):
        powers = gpu.described(plan, rng, 0, 9, threads).power
        for k, power in enumerate(powers):
            a, c = (gpu._power((gpu._MULTIPLIER, inc), 2 << k)) if k < many else (0, 0)
            assert [*power.multiplier] == [a % 2**64, a >> 64]
            assert [*power.increment] == [c % 2**64, c >> 64]


def test_large_fills_are_the_cpus(on_cpu):
    for seed in range(25):
        rng = Generator(PCG64(seed))
        for law, name in (("normal", "float32"), ("normal", "float64"), ("uniform", "float32")):
            plan = Sampled((200_000,), of(name), law, (0.0, 1.0))
            expected, values = np.empty(200_000, name), np.empty(200_000, name)
            plan.fill(expected, rng)
            on_cpu(values, plan, rng, 0, 33_792)
            assert values.tobytes() == expected.tobytes()


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_each_operation_rounds_once(architecture):
    ptx = gpu.compiled(architecture, "PTX").decode()
    bodies = dict(re.findall(r"\.entry (\w+)\(.*?\)(.*?)\n\}", ptx, re.DOTALL))
    assert sorted(bodies) == sorted(f"{law}_{tag}" for law in DISTRIBUTIONS for tag in DTYPES)
    arithmetic = re.findall(r"\b(?:add|sub|mul|fma|mad|div|sqrt|rcp)\S*\.f(?:32|64)\b", ptx)
    assert len(arithmetic) > 100
    assert {each for each in arithmetic if not re.match(r"\w+\.rn\.f(32|64)$", each)} == set()
    assert ".ftz" not in ptx
    for name, kind, count in (("normal_f32", "f32", 18), ("normal_f64", "f64", 22)):
        pairs = bodies[name].count(f"sqrt.rn.{kind}")  # a loop may be unrolled
        assert bodies[name].count(f"fma.rn.{kind}") == count * pairs > 0


def test_a_binary_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binary = gpu._kept("sm_90")
    [kept] = (tmp_path / "fastinit").iterdir()
    assert kept.read_bytes() == binary == gpu.compiled("sm_90")
    kept.write_bytes(b"kept")
    assert gpu._kept("sm_90") == b"kept"
    assert len(gpu._kept("sm_80")) > 1000
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made in it
    assert gpu._kept("sm_90") == binary


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(gpu.Unavailable, match=r"nvrtcCompileProgram failed.*invalid value"):
        gpu.compiled("sm_1")
    monkeypatch.setattr(gpu, "sources", dict)
    with pytest.raises(gpu.Unavailable, match=r"need src_c/gpu\.cu"):
        gpu.compiled("sm_90")
    if not torch.cuda.is_available():
        with pytest.raises(gpu.Unavailable, match="need NVIDIA's driver"):
            gpu._driver("cuInit", 0)
    monkeypatch.setattr(gpu, "_nvrtc", gpu._nvrtc.__wrapped__)
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    with pytest.raises(gpu.Unavailable, match="need NVRTC"):
        gpu.compiled("sm_90")


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch):
    """Page-locked memory needs a driver."""
    monkeypatch.setattr(staging, "page_locked", lambda: torch.zeros(24, dtype=torch.uint8))


@pytest.mark.parametrize("start", [None, 3])
def test_where_a_gpu_cannot_the_cpu_fills(monkeypatch, start):
    def refuse(*arguments):
        raise gpu.Unavailable("no driver")

    monkeypatch.setattr(gpu, "fill", refuse)
    tensor, expected = torch.empty(4, 5).as_subclass(OnGpu), torch.empty(4, 5)
    shape = (4, 5) if start is None else (30,)
    with pytest.warns(UserWarning, match="the CPU fills tensors on the GPU: no driver"):
        fill_(tensor, "normal", 7, shape=shape, start=start)
    fill_(expected, "normal", 7, shape=shape, start=start)
    assert torch.equal(tensor.as_subclass(torch.Tensor), expected)


def test_a_gpu_is_asked_for_what_it_can_make(monkeypatch):
    asked = []
    monkeypatch.setattr(
        gpu, "fill", lambda tensor, plan, rng, start: asked.append((plan.distribution, start))
    )
    tensor = torch.zeros(4, 5).as_subclass(OnGpu)
    for spec in ("normal", "kaiming_uniform", "zeros", "eye"):
        fill_(tensor, spec, 7)
    fill_(tensor, "truncated_normal", 7, shape=(9, 5), start=20)
    with pytest.raises(ValueError, match="outside"):
        fill_(tensor, "normal", 7, shape=(9, 5), start=26)
    half = tensor[:, :2]
    fill_(half.as_subclass(OnGpu), "normal", 7, shape=(4, 5), block=(slice(None), slice(2)))
    assert asked == [("normal", 0), ("uniform", 0), ("truncated_normal", 20)]
    rng, other = Generator(PCG64(3)), Generator(PCG64(3))
    fill_(tensor, "normal", rng)
    other.standard_normal(20, "f4")
    assert rng.bit_generator.state == other.bit_generator.state
    assert filling._filled_on_gpu(torch.zeros(3), None, None, 0) is False


def test_the_sources_are_in_packages(tmp_path):
    """What the GPU's compiler reads is in a wheel, and gpu.cu in a source distribution."""
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True)
    packed = {path.name for path in (tmp_path / "fastinit" / "src_c").iterdir()}
    assert {"gpu.cu", "fastinit.h", "values.inc.h"} <= gpu.sources().keys() <= packed
    assert "src_c/*.cu" in (ROOT / "MANIFEST.in").read_text()


def test_freed_storage_is_refused():
    tensor = torch.zeros(4, 5)
    tensor.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage has been freed"):
        gpu.fill(tensor, Sampled((4, 5), of("float32"), "normal", (0.0, 1.0)), Generator(PCG64(7)))
