"""Lower limits of the time of a fill: memory, and the clock of the CPU."""

from __future__ import annotations

import ctypes
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None)
_libc.memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_libc.memset.restype = ctypes.c_void_p
_libc.memcpy.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
_libc.memcpy.restype = ctypes.c_void_p


def memset(out: np.ndarray) -> None:
    """Write zeros with the C library."""
    _libc.memset(out.ctypes.data, 0, out.nbytes)


def stream() -> Callable[[np.ndarray], object] | None:
    """Return a function that writes zeros past the cache, or None if no compiler makes it."""
    library = _nontemporal()
    return library and (lambda out: library.stream(out.ctypes.data, out.nbytes))


def copy(out: np.ndarray, source: np.ndarray) -> None:
    """Copy an array as STREAM does: for 8 MB or more it bypasses the cache, if there is a compiler."""
    library = _nontemporal() if out.nbytes >= 8 << 20 else None
    (library.copy if library else _libc.memcpy)(out.ctypes.data, source.ctypes.data, out.nbytes)


def memset_by(pool: ThreadPoolExecutor, out: np.ndarray, threads: int) -> None:
    """Write zeros with `threads` threads."""
    list(pool.map(memset, np.array_split(out, threads)))


CYCLES = 1 << 22
"""The cycles that the function from `clock` takes."""

# An addition takes one cycle and waits for the one before. Its operands are registers, since some CPUs add
# constants in no time. The loop's other instructions run in parallel.
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

# Ordinary stores read memory before they write it, and take 1.5 times as long.
_NONTEMPORAL = r"""
#include <emmintrin.h>
void stream(char *out, unsigned long n)
{
    const __m128i zero = _mm_setzero_si128();
    for (unsigned long i = 0; i + 16 <= n; i += 16) _mm_stream_si128((__m128i *)(out + i), zero);
    _mm_sfence();
}
void copy(char *out, const char *in, unsigned long n)
{
    for (unsigned long i = 0; i + 16 <= n; i += 16)
        _mm_stream_si128((__m128i *)(out + i), _mm_loadu_si128((const __m128i *)(in + i)));
    _mm_sfence();
}
"""


def clock() -> Callable[[], object] | None:
    """Return a function that takes `CYCLES` cycles of the CPU, or None if no compiler makes it."""
    library = _compiled(_CHAIN)
    if library is None:
        return None
    chain = library.chain
    chain.argtypes = (ctypes.c_long,)
    chain.restype = None
    return lambda: chain(CYCLES)


@cache
def _nontemporal() -> ctypes.CDLL | None:
    library = _compiled(_NONTEMPORAL)
    if library is None:
        return None
    library.copy.argtypes = _libc.memcpy.argtypes
    library.stream.argtypes = ctypes.c_void_p, ctypes.c_size_t
    library.copy.restype = library.stream.restype = None
    return library


def _compiled(source: str) -> ctypes.CDLL | None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "limits.so")
        command = [*compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        try:
            subprocess.run(command, input=source, text=True, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return ctypes.CDLL(str(library))
