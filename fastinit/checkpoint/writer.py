"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from .errors import BadInput

# Bytes set aside ahead: a memory file system takes as long for them as NumPy takes to load, and lets no one
# write to the file meanwhile. In one call: between two, this thread would wait for the interpreter, and was
# seen to wait for 50 ms beside one that imports modules.
_AHEAD = 1 << 29


class Output:
    """The files of one checkpoint, written one after another; each gets its name when it is whole.

    Until then a file has a temporary name, the same for all, so that what a kill left behind is used up by
    the next attempt, whatever that cuts into which files. A lock, which a kill does release, keeps other runs
    away from the first file to the last. Whatever ends the context, nothing unfinished stays.

    Parameters
    ----------
    folder : Path
        Where the files go; made, and removed if nothing comes to be in it, where its parent is there.
    stem : str
        What the files' names begin with.

    Raises
    ------
    BadInput
        On entry: the folder cannot be written in, or another run has the lock.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder = folder
        self.stem = stem
        self.path: Path | None = None
        # No longer than the names that the files get.
        self._lockfile = folder / f".{stem}.lock"
        self.part = folder / f".{stem}.part"
        self._made = False
        self._lock = self._fd = -1
        self._reserving: threading.Thread | None = None

    # Opened here and not above: a signal's exception may come between a constructor and its `with`.
    def __enter__(self) -> Output:
        try:
            if not os.path.isdir(self.folder):
                self.folder.mkdir()
                self._made = True
            while not self._locked():
                pass
        except OSError as error:
            self._close()
            raise BadInput(f"{self.folder}: cannot be written: {error.strerror}") from None
        except BaseException:
            self._close()
            raise
        return self

    def _locked(self) -> bool:
        fd = os.open(self._lockfile, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock another run may have ended, and this be the file that it removed.
            if os.path.samestat(os.fstat(fd), os.lstat(self._lockfile)):
                self._lock = fd
        except BlockingIOError:
            raise BadInput(f"{self.folder / self.stem}: is being written by another process") from None
        except FileNotFoundError:
            pass
        finally:
            if self._lock < 0:
                os.close(fd)
        return self._lock >= 0

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._end_reserving()
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self.part.unlink(missing_ok=True)
            if self._fd >= 0:
                os.close(self._fd)
            with contextlib.suppress(OSError):
                self._lockfile.unlink()
            os.close(self._lock)
            self._lock = self._fd = -1
        if self._made:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def begin(self, path: Path) -> None:
        """Open the file that is to become `path`."""
        self.path = path
        with named(self.path):
            self._fd = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; any thread may."""
        rest = memoryview(data)
        with named(self.path):
            while rest:
                written = os.pwrite(self._fd, rest, offset)
                rest = rest[written:]
                offset += written

    def reserve(self, size: int) -> None:
        """Have the file system set space aside, in the background.

        In a memory file system that is half the work of writing. Where it fails, so will a write.
        """
        self._reserving = threading.Thread(target=self._reserve, args=(min(size, _AHEAD),))
        self._reserving.start()

    def _reserve(self, size: int) -> None:
        # The C library's posix_fallocate writes zeros where a file system has no such call, and would write
        # them over what is written meanwhile. Here it is the size that is kept: FALLOC_FL_KEEP_SIZE is 1.
        fallocate = ctypes.CDLL(None).fallocate
        fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        fallocate(self._fd, 1, 0, size)

    def _end_reserving(self) -> None:
        # A signal may have come before it started.
        if self._reserving is not None and self._reserving.ident is not None:
            self._reserving.join()

    def finish(self) -> None:
        """Make the file durable and give it its name."""
        assert self.path is not None
        self._end_reserving()
        with named(self.path):
            os.fsync(self._fd)
            os.replace(self.part, self.path)
            sync_folder(self.folder)
        os.close(self._fd)
        self._fd = -1


@contextlib.contextmanager
def named(path: Path | None) -> Iterator[None]:
    """Have the system's errors name the file that they are about."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_at(path: Path, fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset` of an open file, fewer only where it ends."""
    parts = []
    with named(path):
        while size and (part := os.pread(fd, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
    return b"".join(parts)
