"""Kernels for a GPU, without one: run on the CPU as C++, and compiled by NVRTC."""

import contextlib
import ctypes
import functools
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

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

    write.run = run
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


class Driver:
    """NVIDIA's driver. The CPU runs the kernels, in a thread that has a context."""

    def __init__(self, run):
        self.run, self.images, self.names = run, [], []
        self.current, self.log = threading.local(), []

    def cuGetErrorString(self, status, text):
        return 1

    def cuDeviceGet(self, handle, device):
        handle._obj.value = 40 + device.value

    def cuDevicePrimaryCtxRetain(self, context, handle):
        context._obj.value = 100 + handle.value

    def cuCtxGetCurrent(self, context):
        context._obj.value = getattr(self.current, "context", None)

    def cuCtxGetDevice(self, handle):
        handle._obj.value = self.current.context - 100

    def cuCtxSetCurrent(self, context):
        self.current.context = context.value
        self.log.append((threading.get_ident(), context.value))

    def cuModuleLoadData(self, module, image):
        self.images.append(image)
        return 0 if image.startswith(b"\x7fELF") else 200

    def cuModuleGetFunction(self, kernel, module, name):
        self.names.append(name.decode())
        kernel._obj.value = len(self.names)

    def cuLaunchKernel(self, kernel, blocks, *rest):
        if getattr(self.current, "context", None) is None:
            return 201
        law, tag = self.names[kernel.value - 1].rsplit("_", 1)
        self.run(DISTRIBUTIONS[law], DTYPES[tag], rest[-2][0], blocks.value * 256)


@functools.cache
def compiled_once(architecture):
    return gpu.compiled(architecture)


@pytest.fixture
def driver(monkeypatch, tmp_path, on_cpu):
    """A stand-in for a GPU and its driver."""
    made = Driver(on_cpu.run)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gpu, "_cuda", lambda: made)
    binary = compiled_once("sm_90")  # takes seconds
    monkeypatch.setattr(gpu, "compiled", lambda architecture, library: binary)
    for name in ("_primary", "_loaded", "_kernel"):  # each with a table of its own
        monkeypatch.setattr(gpu, name, functools.cache(getattr(gpu, name).__wrapped__))
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=4)
    )
    return made


class OnDevice(torch.Tensor):
    """A tensor that says it is on a GPU with a number."""

    is_cuda = True
    number = 0
    device = property(lambda self: SimpleNamespace(type="cuda", index=self.number))


def filled(number=0):
    tensor = torch.zeros(4, 5).as_subclass(OnDevice)
    tensor.number = number
    gpu.fill(tensor, Sampled((4, 5), of("float32"), "normal", (0.0, 1.0)), Generator(PCG64(7)))
    return torch.equal(tensor.as_subclass(torch.Tensor), fill_(torch.empty(4, 5), "normal", 7))


def test_each_thread_gets_a_context_of_the_device(driver):
    """CUDA's runtime binds one at its first call in a thread. The driver doesn't."""
    assert filled()
    assert filled()
    assert [context for _, context in driver.log] == [140]
    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(filled).result() for _ in range(2)] == [True, True]
    assert [context for _, context in driver.log] == [140, 140]
    driver.current.context = 141  # as torch.cuda.device leaves it
    assert filled()
    assert filled(1)
    assert [context for _, context in driver.log[2:]] == [140, 141]


def kept(tmp_path):
    [file] = (tmp_path / "fastinit").iterdir()
    return file


def begin_anew():
    gpu._loaded.cache_clear()
    gpu._kernel.cache_clear()


@pytest.mark.parametrize("content", [b"", b"not ELF"])
def test_a_binary_is_kept_and_a_broken_one_made_anew(driver, tmp_path, content):
    assert filled()
    [binary] = driver.images
    assert kept(tmp_path).read_bytes() == binary
    begin_anew()
    assert filled()
    kept(tmp_path).write_bytes(content)
    begin_anew()
    assert filled()
    assert driver.images == [binary, binary, content, binary]
    assert kept(tmp_path).read_bytes() == binary


def test_a_binary_is_of_one_architecture_and_version():
    class Nvrtc:
        def __init__(self, *version):
            self.version = version

        def nvrtcVersion(self, *places):
            for place, number in zip(places, self.version, strict=True):
                place._obj.value = number

    files = {
        gpu._file(each, Nvrtc(*version)) for each in ("sm_80", "sm_90") for version in ((12, 8), (13, 0))
    }
    assert len(files) == 4
    assert gpu._file("sm_80", Nvrtc(12, 8)) in files


def test_a_cache_that_cannot_be_written_is_done_without(driver, monkeypatch, tmp_path):
    def refuse(*arguments):
        raise OSError(28, "no space")

    with monkeypatch.context() as changed:
        changed.setattr(gpu.os, "replace", refuse)
        assert filled()
        assert [*(tmp_path / "fastinit").iterdir()] == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made in it
    begin_anew()
    assert filled()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(gpu.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    begin_anew()
    assert filled()


def test_the_next_nvrtc_is_asked_if_one_fails(driver, monkeypatch, tmp_path):
    [library, *_] = gpu._nvrtcs()
    asked = []

    def compile_by(architecture, library):
        asked.append(library)
        if isinstance(library, Old):
            raise gpu.Unavailable("old")
        return compiled_once(architecture)

    class Old:
        nvrtcVersion = library.nvrtcVersion

    monkeypatch.setattr(gpu, "compiled", compile_by)
    monkeypatch.setattr(gpu, "_nvrtcs", lambda: iter([Old(), library]))
    assert filled()
    assert asked[1:] == [library]
    monkeypatch.setattr(gpu, "_nvrtcs", lambda: iter([Old()]))
    asked.clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    begin_anew()
    for _ in range(3):  # the reason stays
        with pytest.raises(gpu.Unavailable, match="old"):
            filled()
    assert len(asked) == 1


@pytest.mark.parametrize(("version", "first"), [("12.9", "cuda_nvrtc"), ("13.0", "cu13"), (None, None)])
def test_the_nvrtc_of_torch_s_version_comes_first(monkeypatch, tmp_path, version, first):
    for folder, number in (("cuda_nvrtc", 12), ("cu13", 13), ("cu14", 14)):
        library = tmp_path / folder / "lib" / f"libnvrtc.so.{number}"
        library.parent.mkdir(parents=True)
        library.write_text("")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(gpu.ctypes, "CDLL", str)
    names = [*gpu._nvrtcs()]
    assert len(names) == len(set(names)) == 6
    assert first is None or f"/{first}/" in names[0]


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(gpu.Unavailable, match=r"nvrtcCompileProgram failed.*invalid value"):
        gpu.compiled("sm_1")
    monkeypatch.setattr(gpu, "sources", dict)
    with pytest.raises(gpu.Unavailable, match=r"need src_c/gpu\.cu"):
        gpu.compiled("sm_90")
    if not torch.cuda.is_available():
        with pytest.raises(gpu.Unavailable, match="need NVIDIA's driver"):
            gpu._driver("cuInit", 0)
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
