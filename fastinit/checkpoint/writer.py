"""Writes files that appear only when they are complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import BadInput


class Output:
    """Context that writes the files of a checkpoint in turn. Each gets its name when it is complete.

    Until then it has a temporary name, the same for all files, so the next run overwrites the remains of a
    killed one. A lock keeps other runs out until the context ends; a kill releases it. However the context
    ends, no unfinished file stays.

    Parameters
    ----------
    folder : Path
        The folder of the files. It is made if its parent exists, and removed if it stays empty.
    stem : str
        The start of the files' names.

    Raises
    ------
    BadInput
        On entry, if the folder is not writable or another run has the lock.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder = folder
        self.stem = stem
        # These names are no longer than the final ones.
        self._lockfile = folder / f".{stem}.lock"
        self.part = folder / f".{stem}.part"
        self._path: Path | None = None
        self._made = False
        self._lock = self._fd = -1

    # Not in __init__: a signal may raise between the constructor and `with`.
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
            # Between open and flock another run may have ended and removed this file.
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
        """Sync the file to the disk and give it its name."""
        assert self._path is not None
        with named(self._path):
            os.fsync(self._fd)
            os.replace(self.part, self._path)
            sync_folder(self.folder)
        os.close(self._fd)
        self._fd = -1


@contextlib.contextmanager
def named(path: Path | None) -> Iterator[None]:
    """Context in which an OSError gets the name of the file."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
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
