"""What no fill can be faster than: memory, and the clock of the CPU."""

from __future__ import annotations

import ctypes
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None)
_libc.memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_libc.memset.restype = ctypes.c_void_p
_libc.memcpy.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
_libc.memcpy.restype = ctypes.c_void_p


def memset(out: np.ndarray) -> None:
    """Write zeros, the C library's way."""
    _libc.memset(out.ctypes.data, 0, out.nbytes)


def copy(out: np.ndarray, source: np.ndarray) -> None:
    """Write one array into another, as STREAM's copy does, the C library's way."""
    _libc.memcpy(out.ctypes.data, source.ctypes.data, out.nbytes)


def memset_by(pool: ThreadPoolExecutor, out: np.ndarray, threads: int) -> None:
    """Write zeros from so many threads."""
    list(pool.map(memset, np.array_split(out, threads)))


CYCLES = 1 << 22
"""How many cycles a call of what `clock` returns takes."""

# An addition takes one cycle and waits for the one before. Its operands are registers: some CPUs add
# constants in no time at all. The loop's own instructions run beside it.
_CHAIN = r"""
void chain(long n)
{
    long sum = 0, one = 1;
    for (; n > 0; n -= 64)
        __asm__ volatile(".rept 64\n\t"
#if defined(__x86_64__)
                         "add %1, %0\n\t"
#elif defined(__aarch64__)
                         "add %0, %0, %1\n\t"
#else
#error "no such chain for this CPU"
#endif
                         ".endr" : "+r"(sum) : "r"(one));
}
"""


def clock() -> Callable[[], object] | None:
    """A call that takes `CYCLES` cycles of the CPU; None where there's no compiler that makes it."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "chain.so")
        command = [*compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        try:
            subprocess.run(command, input=_CHAIN, text=True, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        chain = ctypes.CDLL(str(library)).chain
    chain.argtypes = (ctypes.c_long,)
    chain.restype = None
    return lambda: chain(CYCLES)
