"""stream.c and truncated.c, compiled and called."""

from __future__ import annotations

import ctypes
import functools
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent
SOURCES = ["stream.c", "truncated.c"]
FLAGS = ["-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fPIC"]
KINDS = {"PCG64": 0, "PCG64DXSM": 1, "counted": 2, "mixed": 3, "listed": 4}
DISTRIBUTIONS = {"uniform": 0, "normal": 1, "truncated_normal": 2}
TAGS = {"f16": 0, "bf16": 1, "f32": 2, "f64": 3}
UNSIGNED = {"f16": np.dtype("<u2"), "bf16": np.dtype("<u2"), "f32": np.dtype("<u4"), "f64": np.dtype("<u8")}
LOW = 2**64 - 1


class Position(NamedTuple):
    """A generator's place in its stream: `held` says whether `half` is a buffered half."""

    kind: str
    s: int
    c: int
    held: int = 0
    half: int = 0


class _Stream(ctypes.Structure):
    _fields_ = (
        ("s", ctypes.c_uint64 * 2),
        ("c", ctypes.c_uint64 * 2),
        ("kind", ctypes.c_int),
        ("held", ctypes.c_int),
        ("half", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    )


_folder = tempfile.TemporaryDirectory()


@functools.cache
def compiled(name, text, optimise):
    """The object file of a source with this text."""
    folder = Path(tempfile.mkdtemp(dir=_folder.name))
    (folder / name).write_text(text)
    fma = ["-march=native"] if platform.machine() == "x86_64" else []  # fma is an instruction
    command = ["cc", "-c", *FLAGS, optimise, *fma, "-I", HERE, "-o", folder / "object.o", folder / name]
    subprocess.run(command, check=True)
    return folder / "object.o"


class Native:
    """The compiled library.

    Parameters
    ----------
    sources : dict of str to str, optional
        The text of each C file, if it is not that of the folder.
    optimise : str
        The compiler's option. -O1 takes half the time to compile, and the values twice the time.
    """

    def __init__(self, sources: dict[str, str] | None = None, optimise: str = "-O1") -> None:
        texts = {name: (HERE / name).read_text() for name in SOURCES} | (sources or {})
        objects = [compiled(name, text, optimise) for name, text in texts.items()]
        library = Path(tempfile.mkdtemp(dir=_folder.name)) / "second.so"
        subprocess.run(["cc", "-shared", "-o", library, *objects, "-lm"], check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.next_draw.restype = ctypes.c_uint64

    def stream(self, at: Position) -> _Stream:
        """Return the C struct of a position."""
        halves = [(number & LOW, number >> 64) for number in (at.s, at.c)]
        return _Stream(*halves, KINDS[at.kind], at.held, at.half, 0)

    def fill(self, at, distribution, tag, parameters, start, n):
        """Return the bits of values [start, start + n) of a fill, as unsigned integers."""
        out = np.empty(n, UNSIGNED[tag])
        self.library.fill(
            ctypes.byref(self.stream(at)),
            DISTRIBUTIONS[distribution],
            TAGS[tag],
            (ctypes.c_double * 4)(*parameters),
            ctypes.c_uint64(start),
            ctypes.c_uint64(n),
            out.ctypes.data_as(ctypes.c_void_p),
        )
        return out

    def draws(self, at, n):
        """Return the next n draws."""
        stream = self.stream(at)
        return [self.library.next_draw(ctypes.byref(stream)) for _ in range(n)]

    def words(self, at, n):
        """Return the next n words, a buffered half first."""
        out = np.empty(n, np.uint32)
        self.library.words(
            ctypes.byref(self.stream(at)), ctypes.c_uint64(n), out.ctypes.data_as(ctypes.c_void_p)
        )
        return out

    def after_draws(self, at, n):
        """Return the position n draws further. A buffered half stays."""
        stream = self.stream(at)
        self.library.skip_draws(ctypes.byref(stream), ctypes.c_uint64(n), ctypes.c_uint64(0))
        return self._position(at, stream)

    def after_words(self, at, n):
        """Return the position n words further."""
        stream = self.stream(at)
        self.library.skip_words(ctypes.byref(stream), ctypes.c_uint64(n), ctypes.c_uint64(0))
        return self._position(at, stream)

    def after(self, at, distribution, tag, n):
        """Return the position after a fill of n values."""
        stream = self.stream(at)
        kinds = DISTRIBUTIONS[distribution], TAGS[tag]
        self.library.skip_fill(ctypes.byref(stream), *kinds, ctypes.c_uint64(n))
        return self._position(at, stream)

    def _position(self, at, stream):
        return at._replace(s=stream.s[0] | stream.s[1] << 64, held=stream.held, half=stream.half)
