"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from pathlib import Path

from .errors import BadInput

# Bytes set aside at a time. A memory file system takes 60 ms for them and lets no one write to the file
# meanwhile. Smaller steps cost more: before each, this thread waits 5 ms for the one that imports modules.
_STEP = 1 << 28


class NewFile:
    """A file under a temporary name beside its own; it gets its own by `finish`, and vanishes without it.

    The temporary name follows from the file's, so that what a kill left behind is used up by the next
    attempt; a lock, which a kill does release, keeps two attempts at once apart.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = part_of(path)
        self._fd = -1
        self._reserving: threading.Thread | None = None
        self._stop = False

    # Opened here and not above: a signal's exception may come between a constructor and its `with`.
    def __enter__(self) -> NewFile:
        try:
            while not self._lock():
                self._close()
            os.ftruncate(self._fd, 0)
        except BaseException:
            self._close()
            raise
        return self

    def _lock(self) -> bool:
        self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock another attempt may have finished, and this be its result.
            return os.path.samestat(os.fstat(self._fd), os.lstat(self._part))
        except BlockingIOError:
            raise BadInput(f"{self.path}: is being written by another process") from None
        except FileNotFoundError:
            return False

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            try:
                os.unlink(self._part)
            finally:
                self._close()

    def _close(self) -> None:
        self._stop_reserving()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _stop_reserving(self) -> None:
        self._stop = True
        if self._reserving is not None:
            self._reserving.join()

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; any thread may."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, offset)
            rest = rest[written:]
            offset += written

    def reserve(self, size: int) -> None:
        """Have the file system set space aside, in the background.

        In a memory file system that is most of the work of writing. Where it fails, so will a write.
        """
        self._reserving = threading.Thread(target=self._reserve, args=(size,))
        self._reserving.start()

    def _reserve(self, size: int) -> None:
        # The C library's posix_fallocate writes zeros where a file system has no such call, and would write
        # them over what is written meanwhile. Here it is the size that is kept: FALLOC_FL_KEEP_SIZE is 1.
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
        fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        for offset in range(0, size, _STEP):
            if self._stop or fallocate(self._fd, 1, offset, min(_STEP, size - offset)):
                break

    def finish(self) -> None:
        """Make the file durable and give it its name."""
        self._stop_reserving()
        os.fsync(self._fd)
        os.replace(self._part, self.path)
        sync_folder(self.path.parent)
        self._close()


def part_of(path: Path) -> Path:
    """The name that a file has while it is written."""
    return path.with_name(f".{path.name}.part")


def discard(path: Path) -> None:
    """Remove what an attempt at a file left, unless another process is at it."""
    if part_of(path).exists():
        with contextlib.suppress(OSError, BadInput), NewFile(path):
            pass


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset`, fewer only where the file ends."""
    parts = []
    while size and (part := os.pread(fd, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)
