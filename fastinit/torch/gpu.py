"""Fills of tensors on an NVIDIA GPU by the GPU itself, with the bits of the CPU's.

The kernels are ``src_c/gpu.cu``, which uses the formulas of the C core as they are. NVRTC, which torch's CUDA
wheels bring, compiles them for the GPU at hand at the first fill; the result is kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastinit
from fastinit import _sampling
from fastinit._arrays import check_storage
from fastinit._dispatch import group_of, prepared
from fastinit.init.plans import Sampled
from fastinit.random import PCG64DXSM

__all__ = ["Fill", "Unavailable", "compiled", "described", "fill", "fills", "sources"]

_MULTIPLIER, _MULTIPLIER_OF_DXSM = 0x2360ED051FC65DA44385DF649FCCF645, 0xDA942042E4DD58B5
_DXSM = PCG64DXSM, np.random.PCG64DXSM  # a subclass has another name in its state
_MODULUS = 1 << 128
_POWERS = 40
_BLOCK = 256  # threads
_BLOCKS_OF_A_UNIT = 8  # enough to hide the latency of stores

#: Multiplications and additions must not fuse, and all must round once.
_OPTIONS = (
    "-default-device",
    "-fmad=false",
    "-prec-sqrt=true",
    "-prec-div=true",
    "-ftz=false",
    "--device-int128",
    "-std=c++17",
)

#: The standard headers that the sources include, of which NVRTC has none.
_STANDARD = {
    "stdint.h": "typedef signed char int8_t; typedef unsigned char uint8_t; typedef unsigned short uint16_t;"
    "typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t;"
    "typedef unsigned long long uint64_t; typedef unsigned long long uintptr_t;",
    "stddef.h": "",
    "string.h": "",
}


_NO_NVRTC = "fills on a GPU need NVRTC, which torch's CUDA wheels bring: libnvrtc.so is not found"


class Unavailable(RuntimeError):
    """A library that fills on a GPU need is missing, or refuses."""


class _Steps(ctypes.Structure):
    _fields_ = (("multiplier", ctypes.c_uint64 * 2), ("increment", ctypes.c_uint64 * 2))


class Fill(ctypes.Structure):
    """``fi_gpu_fill`` of gpu.cu."""

    _fields_ = (
        ("out", ctypes.c_void_p),
        ("n", ctypes.c_uint64),
        ("groups", ctypes.c_uint64),
        ("skip", ctypes.c_uint64),
        ("state", ctypes.c_uint64 * 2),
        ("draw", _Steps),
        ("sweep", _Steps),
        ("power", _Steps * _POWERS),
        ("buffered", ctypes.c_uint64),
        ("has_buffered", ctypes.c_int),
        ("dxsm", ctypes.c_int),
        ("params", ctypes.c_uint64 * (len(prepared("uniform", "f32", 0.0, 1.0)) // 8)),
    )


def fills(tensor: torch.Tensor, plan: Any) -> bool:
    """Whether a GPU makes a tensor's values: it is on one, and they are draws of one distribution."""
    return tensor.is_cuda and isinstance(plan, Sampled) and plan.dtype.made is plan.dtype


def fill(tensor: torch.Tensor, plan: Sampled, rng: Any, start: int = 0) -> None:
    """Write elements [start, start + tensor.numel()) of a plan, on torch's current stream. `rng` stays.

    Raises
    ------
    ValueError
        The tensor's storage has been freed.
    Unavailable
        NVRTC or the driver is missing, or refuses. Nothing has been written.
    """
    if not (n := tensor.numel()):
        return
    check_storage(tensor)  # a kernel that is given address 0 ends the process's use of the GPU
    with torch.cuda.device(tensor.device), torch.no_grad():
        _enter(tensor.device.index)
        kernel = _kernel(tensor.device.index, f"{plan.distribution}_{plan.dtype.tag}")
        ordered = tensor.is_contiguous()
        target = tensor if ordered else torch.empty_like(tensor, memory_format=torch.contiguous_format)
        units = torch.cuda.get_device_properties(tensor.device).multi_processor_count
        blocks = min(units * _BLOCKS_OF_A_UNIT, n // _BLOCK + 1)
        job = described(plan, rng, start, n, blocks * _BLOCK)
        job.out = target.data_ptr()
        _launch(kernel, blocks, torch.cuda.current_stream().cuda_stream, job)
        if not ordered:
            tensor.detach().copy_(target)


def described(plan: Sampled, rng: Any, start: int, n: int, threads: int) -> Fill:
    """Return the fill of elements [start, start + n), but for its memory."""
    law = plan.distribution, plan.dtype.tag
    _sampling.fill_at(rng, np.empty(0, plan.dtype.storage), 0, *law, *plan.parameters)  # raises its errors
    position = rng.bit_generator.state
    dxsm = isinstance(rng.bit_generator, _DXSM)
    draw = _MULTIPLIER_OF_DXSM if dxsm else _MULTIPLIER, position["state"]["inc"]
    draws, values, takes_buffered = group_of(*law)
    # A buffered half is the second value of the draw before the stream.
    buffered = int(takes_buffered and position["has_uint32"])
    first, skip = divmod(start + buffered, values)
    ahead = (first - buffered) * draws + (not dxsm)  # XSL-RR steps first
    multiplier, increment = _power(draw, ahead % _MODULUS)
    # A thread begins with its own number of groups.
    powers = itertools.islice(_doublings(_power(draw, draws)), threads.bit_length())
    job = Fill(
        n=n,
        groups=-(-(skip + n) // values),
        skip=skip,
        state=_halves(position["state"]["state"] * multiplier + increment),
        draw=_steps(draw),
        sweep=_steps(_power(draw, draws * threads)),
        power=(_Steps * _POWERS)(*map(_steps, powers)),
        buffered=position["uinteger"] << 32,
        has_buffered=int(buffered and first == 0),
        dxsm=int(dxsm),
    )
    made = prepared(*law, *plan.parameters)
    ctypes.memmove(job.params, made, len(made))
    return job


_Step = tuple[int, int]


def _power(step: _Step, n: int) -> _Step:
    """Return n steps as one: state -> multiplier * state + increment, modulo 2^128 (Brown 1994)."""
    multiplier, increment = 1, 0
    for k, (a, c) in zip(range(n.bit_length()), _doublings(step), strict=False):
        if n >> k & 1:
            multiplier, increment = multiplier * a % _MODULUS, (increment * a + c) % _MODULUS
    return multiplier, increment


def _doublings(step: _Step) -> Iterator[_Step]:
    """Yield 1, 2, 4, ... steps, each as one."""
    a, c = step
    while True:
        yield a, c
        a, c = a * a % _MODULUS, (a + 1) * c % _MODULUS


def _halves(x: int) -> Any:
    return (ctypes.c_uint64 * 2)(x & 0xFFFFFFFFFFFFFFFF, x >> 64 & 0xFFFFFFFFFFFFFFFF)


def _steps(step: _Step) -> _Steps:
    return _Steps(*map(_halves, step))


@functools.cache
def sources() -> dict[str, str]:
    """Return the texts of gpu.cu and what it includes: from the package, or in a source tree from src_c."""
    package = Path(fastinit.__file__).parent
    inside = package / "src_c"
    folder = inside if inside.is_dir() else package.parent / "src_c"
    texts: dict[str, str] = {}
    wanted = ["gpu.cu"]
    for name in wanted:
        if name not in texts and (folder / name).is_file():
            texts[name] = (folder / name).read_text()
            wanted += re.findall(r'^#include "(.+)"', texts[name], re.MULTILINE)
    return texts


def compiled(architecture: str, what: str = "CUBIN", library: Any = None) -> bytes:
    """Return the kernels for an architecture such as ``"sm_90"``, as its binary or as PTX, by an NVRTC.

    Raises
    ------
    Unavailable
        NVRTC is missing, or does not know the architecture.
    """
    if library is None and (library := next(_nvrtcs(), None)) is None:
        raise Unavailable(_NO_NVRTC)
    headers = sources() | _STANDARD
    try:
        source = headers.pop("gpu.cu")
    except KeyError:
        raise Unavailable("fills on a GPU need src_c/gpu.cu, which this installation lacks") from None
    options = [f"-arch={architecture}", *_OPTIONS]
    program = ctypes.c_void_p()

    def texts(values: Any) -> Any:
        return (ctypes.c_char_p * len(values))(*[each.encode() for each in values])

    def call(name: str, *arguments: Any) -> None:
        if status := getattr(library, name)(*arguments):
            raise Unavailable(f"{name} failed with status {status}{log()}")

    def log() -> str:
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, text)
        return f": {text.value.decode()}" if text.value else ""

    call(
        "nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"gpu.cu",
        len(headers), texts([*headers.values()]), texts([*headers]),
    )  # fmt: skip
    try:
        call("nvrtcCompileProgram", program, len(options), texts(options))
        size = ctypes.c_size_t()
        call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        result = ctypes.create_string_buffer(size.value)
        call(f"nvrtcGet{what}", program, result)
        return result.raw
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtcs() -> Iterator[ctypes.CDLL]:
    """Yield each NVRTC, of wheels and of the system: those of torch's version of CUDA first."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [str(path) for folder in folders for path in Path(folder).glob("*/lib/libnvrtc.so.*")]
    names = [*sorted(found, reverse=True), "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]
    major = f".so.{(torch.version.cuda or '').split('.')[0]}"
    for name in sorted(names, key=lambda name: not name.endswith(major)):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        yield library


def _file(architecture: str, library: Any) -> Path | None:
    """Return where the user's cache keeps a binary, or None for a user without a home."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    text = repr((sources(), _OPTIONS, major.value, minor.value)).encode()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    name = f"gpu-{architecture}-{hashlib.blake2b(text, digest_size=16).hexdigest()}.cubin"
    return cache / "fastinit" / name


def _keep(file: Path, binary: bytes) -> None:
    """Write a file as a whole, if it can be written. If not, the next start takes a second longer."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent)
        try:
            with open(handle, "wb") as out:
                out.write(binary)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise


@functools.cache
def _cuda() -> Any:
    """Load the driver."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise Unavailable(f"fills on a GPU need NVIDIA's driver: {error}") from None


def _driver(name: str, *arguments: Any) -> None:
    if status := getattr(_cuda(), name)(*arguments):
        text = ctypes.c_char_p()
        _cuda().cuGetErrorString(status, ctypes.byref(text))
        raise Unavailable(f"{name}: {(text.value or b'unknown error').decode()} ({status})")


@functools.cache
def _primary(device: int) -> tuple[ctypes.c_int, ctypes.c_void_p]:
    """Return the driver's handle of a device, and its context, which torch works in."""
    handle, context = ctypes.c_int(), ctypes.c_void_p()
    _driver("cuDeviceGet", ctypes.byref(handle), ctypes.c_int(device))
    _driver("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    return handle, context


def _enter(device: int) -> None:
    """Give the thread a context of the device. A new thread has none until it calls CUDA's runtime."""
    handle, primary = _primary(device)
    context, current = ctypes.c_void_p(), ctypes.c_int(-1)
    _driver("cuCtxGetCurrent", ctypes.byref(context))
    if context.value:
        _driver("cuCtxGetDevice", ctypes.byref(current))
    if current.value != handle.value:
        _driver("cuCtxSetCurrent", primary)


@functools.cache
def _loaded(device: int) -> ctypes.c_void_p | Unavailable:
    """Load the kernels: kept ones, or by the first NVRTC whose kernels the driver takes."""
    architecture = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    module, error = ctypes.c_void_p(), Unavailable(_NO_NVRTC)

    def load(binary: bytes) -> ctypes.c_void_p:
        _driver("cuModuleLoadData", ctypes.byref(module), binary)
        return module

    for library in _nvrtcs():
        file = _file(architecture, library)
        if file is not None:
            with contextlib.suppress(OSError, Unavailable):  # a broken file is made anew
                return load(file.read_bytes())
        try:
            binary = compiled(architecture, library=library)
            load(binary)
        except Unavailable as refusal:
            error = refusal
            continue
        if file is not None:
            _keep(file, binary)
        return module
    return error  # it is kept, too: to compile again for each tensor would take a second


@functools.cache
def _kernel(device: int, name: str) -> ctypes.c_void_p:
    kernel, module = ctypes.c_void_p(), _loaded(device)
    if isinstance(module, Unavailable):
        raise module
    _driver("cuModuleGetFunction", ctypes.byref(kernel), module, name.encode())
    return kernel


def _launch(kernel: ctypes.c_void_p, blocks: int, stream: int, job: Fill) -> None:
    """Launch a kernel, which reads its arguments before this returns."""
    arguments = (ctypes.c_void_p * 1)(ctypes.addressof(job))
    sizes = map(ctypes.c_uint, (blocks, 1, 1, _BLOCK, 1, 1, 0))
    _driver("cuLaunchKernel", kernel, *sizes, ctypes.c_void_p(stream), arguments, None)
