"""Writes files that appear only when they are complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Self

from fastinit._signals import held

from .errors import BadInput
from .remote import Download, Place, Upload
from .spec import opened

#: The name of an unfinished file that isn't `Locked`: its later name, the host, the process, and a number.
_PART = re.compile(r"\.(.+)\.[^.]*\.\d+\.[0-9a-f]{8}\.part")


class Input:
    """Context that reads a file in pieces."""

    in_order = False  # whether it must be read from the beginning to the end

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._fd = opened(self._path)
        self.size = os.fstat(self._fd).st_size
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self, size: int, offset: int) -> bytes:
        """Return `size` bytes at `offset`, fewer only if the file ends. Any thread may call."""
        return read_at(self._path, self._fd, size, offset)


class Output:
    """Context that writes files in turn. Each gets its name when it is complete.

    Until then it has a name that no other process gives, on any host. So several may write one file, and each
    of them replaces it by a complete one. However the context ends, no unfinished file of it stays.

    Parameters
    ----------
    folder : Path
        The folder of the files. It is made if its parent exists.

    Raises
    ------
    BadInput
        On entry, if the folder is not writable.
    """

    in_order = False  # whether a file must be written from the beginning to the end

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._part: Path | None = None
        self._path: Path | None = None
        self._fd = -1

    # Not in __init__: a signal may raise between the constructor and `with`.
    def __enter__(self) -> Self:
        try:
            self._enter()
        except OSError as error:
            self._close()
            raise BadInput(f"{self.folder}: cannot be written: {error.strerror}") from None
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _enter(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir()
            sync_folder(self.folder.parent)

    def _close(self) -> None:
        if self._part is not None:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):  # nothing in it is kept
                os.close(fd)

    def begin(self, file: str) -> None:
        """Open the file that is to get this name."""
        self._path = self.folder / file
        self._part = part_of(self._path)
        self._open(os.O_EXCL)

    def _open(self, flag: int) -> None:
        assert self._part is not None
        with named(self._path):
            self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flag, 0o666)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`. Any thread may call."""
        rest = memoryview(data)
        with named(self._path):
            while rest:
                written = os.pwrite(self._fd, rest, offset)
                rest = rest[written:]
                offset += written

    def finish(self) -> None:
        """Sync the file to the disk and give it its name. FileNotFoundError if another process removed it."""
        self._sync()
        with named(self._path):
            os.replace(self._part, self._path)  # type: ignore[arg-type]
            self._part = None
            sync_folder(self.folder)

    def _sync(self) -> None:
        """Have the file on the disk, and close it."""
        with named(self._path):
            os.fsync(self._fd)
            fd, self._fd = self._fd, -1
            os.close(fd)


class Locked(Output):
    """An `Output` of all files of a checkpoint, which keeps other runs on this host out until it ends.

    Unfinished files have names that the next run removes, which are the remains of a killed one. A kill
    releases the lock. Files may wait under these names, so that what they replace stays until all are there.

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
        super().__init__(folder)
        self._stem = stem
        # These names are no longer than the final ones.
        self._lockfile = folder / f".{stem}.lock"
        self._waiting: list[tuple[Path, Path]] = []
        self._replacing = False  # then what waits is all that there is
        self._made = False
        self._lock = -1

    def _enter(self) -> None:
        if not os.path.isdir(self.folder):
            self.folder.mkdir()
            self._made = True
            sync_folder(self.folder.parent)
        with held():  # else a signal may come between the lock and the note of it
            while not self._locked():
                pass
        for path in self._remains():
            path.unlink(missing_ok=True)

    def _remains(self) -> list[Path]:
        """Return the unfinished files of this run, or of a killed one."""
        pattern = re.compile(rf"\.{re.escape(self._stem)}\.part\d*")
        return [self.folder / name for name in os.listdir(self.folder) if pattern.fullmatch(name)]

    def _locked(self) -> bool:
        fd = os.open(self._lockfile, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and flock another run may have ended and removed this file.
            if os.path.samestat(os.fstat(fd), os.lstat(self._lockfile)):
                self._lock = fd
        except BlockingIOError:
            raise BadInput(f"{self.folder / self._stem}: is being written by another process") from None
        except FileNotFoundError:
            pass
        finally:
            if self._lock < 0:
                os.close(fd)
        return self._lock >= 0

    def _close(self) -> None:
        super()._close()
        if self._lock >= 0:
            for part, _ in () if self._replacing else self._waiting:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._lockfile.unlink()
            lock, self._lock = self._lock, -1
            with contextlib.suppress(OSError):
                os.close(lock)
        if self._made:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def begin(self, file: str) -> None:
        """Open the file that is to get this name."""
        number = len(self._waiting) or ""
        self._path, self._part = self.folder / file, self.folder / f".{self._stem}.part{number}"
        self._open(os.O_TRUNC)

    def wait(self) -> None:
        """Sync the file to the disk. It gets its name by `finish_all`."""
        assert self._path is not None
        assert self._part is not None
        self._sync()
        self._waiting.append((self._part, self._path))
        self._part = None

    @property
    def waits(self) -> bool:
        """Whether a file waits for its name."""
        return bool(self._waiting)

    def finish_all(self, old: Sequence[Place], content: Container[str]) -> None:
        """Give all files that wait their names, in order, and remove old ones that are not in the content.

        An index goes first if a file that it lists is replaced, so that it never lists new ones. That of the
        new files is the last of them. After an error, what waits stays if an old index has gone.
        """
        with held():
            self._replace(old, content)

    def _replace(self, old: Sequence[Place], content: Container[str]) -> None:
        sync_folder(self.folder)
        if any(path in old and path.suffix != ".json" for _, path in self._waiting):
            indexes = [path for path in old if path.suffix == ".json"]
            try:
                self._remove(indexes)
            finally:
                self._replacing = not all(path.exists() for path in indexes)
        while self._waiting:
            part, path = self._waiting[0]
            with named(path):
                os.replace(part, path)
            del self._waiting[0]
            if len(self._waiting) <= 1:  # before the last, which is the index if there is one
                sync_folder(self.folder)
        self._remove([path for path in old if path.name not in content])

    def _remove(self, paths: Sequence[Place]) -> None:
        for path in paths:
            with named(self.folder / path.name):
                path.unlink(missing_ok=True)
        if paths:
            sync_folder(self.folder)


def output(folder: Place) -> Output | Upload:
    """Return what writes files to a folder that others may write to, too."""
    return Output(folder) if isinstance(folder, Path) else Upload(folder)


def reading(path: Place) -> Input | Download:
    """Return what reads a file in pieces."""
    return Input(path) if isinstance(path, Path) else Download(path)


def part_of(path: Path) -> Path:
    """Return a name for a file until it is complete, which nothing else on any host gives."""
    host = os.uname().nodename.replace(".", "-")
    return path.parent / f".{path.name}.{host}.{os.getpid()}.{os.urandom(4).hex()}.part"


def parts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files in a folder that have a name of `part_of`, each with the name that it would get."""
    for name in os.listdir(folder) if folder.exists() else ():
        if found := _PART.fullmatch(name):
            yield folder / name, found[1]


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
