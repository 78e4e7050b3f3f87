"""Files that appear when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import BadInput


class Output:
    """The files of one checkpoint, written one after another. Each gets its name when it is complete.

    Until then a file has a temporary name. All files have the same one, so the next run uses up what a kill
    left behind, whatever shards it makes. A lock keeps other runs away from the first file to the last; a
    kill releases it. Whatever ends the context, nothing unfinished stays.

    Parameters
    ----------
    folder : Path
        Where the files go. It is made if its parent is there, and removed again if it stays empty.
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
        # These names are no longer than those that the files get.
        self._lockfile = folder / f".{stem}.lock"
        self.part = folder / f".{stem}.part"
        self._path: Path | None = None
        self._made = False
        self._lock = self._fd = -1

    # Not in __init__: a signal's exception may come between a constructor and its `with`.
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
            # Another run may have ended between open and flock, and have removed this file.
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
        self._path = path
        with named(path):
            self._fd = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`. Any thread may call."""
        rest = memoryview(data)
        with named(self._path):
            while rest:
                written = os.pwrite(self._fd, rest, offset)
                rest = rest[written:]
                offset += written

    def finish(self) -> None:
        """Make the file durable and give it its name."""
        assert self._path is not None
        with named(self._path):
            os.fsync(self._fd)
            os.replace(self.part, self._path)
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
    """Return `size` bytes at `offset` of an open file, fewer only if the file ends."""
    parts = []
    with named(path):
        while size and (part := os.pread(fd, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
    return b"".join(parts)
