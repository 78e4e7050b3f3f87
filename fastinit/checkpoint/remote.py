"""Places of checkpoints in file systems of fsspec, such as object stores, which have no rename."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from .errors import BadInput
from .pieces import PIECE


class Url:
    """A file or folder in a file system of fsspec, with what checkpoints need of `pathlib.Path`.

    Parameters
    ----------
    system : fsspec.AbstractFileSystem
        The file system.
    path : str
        The path in it.
    """

    def __init__(self, system: Any, path: str) -> None:
        self.system = system
        self.path = path.rstrip("/")

    def __truediv__(self, name: str) -> Url:
        return Url(self.system, f"{self.path}/{name}")

    def __str__(self) -> str:
        return str(self.system.unstrip_protocol(self.path))

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: Url) -> bool:
        return str(self) < str(other)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the name, with the dot."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without the suffix."""
        return Path(self.name).stem

    @property
    def parent(self) -> Url:
        """The folder."""
        return Url(self.system, self.path.rpartition("/")[0])

    def absolute(self) -> Url:
        """Return itself."""
        return self

    def exists(self) -> bool:
        """Whether it is there."""
        return bool(self.system.exists(self.path))

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return bool(self.system.isdir(self.path))

    def mkdir(self) -> None:
        """Make the folder if its parent exists. Object stores have none, and need none."""
        with contextlib.suppress(FileExistsError):
            self.system.mkdir(self.path, create_parents=False)

    def iterdir(self) -> Iterator[Url]:
        """Yield what is in the folder now."""
        self.system.invalidate_cache(self.path)  # of listings
        with contextlib.suppress(FileNotFoundError):
            for path in self.system.ls(self.path, detail=False):
                yield self / path.rstrip("/").rpartition("/")[2]

    def check(self) -> None:
        """Raise BadInput if the folder can't be looked into, though it need not be there."""
        try:
            with told(self):
                next(self.iterdir(), None)
        except OSError as error:
            raise BadInput(f"{self}: cannot be used: {error.strerror}") from None

    def read_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return bytes(self.system.cat_file(self.path))

    def unlink(self, *, missing_ok: bool) -> None:
        """Remove the file."""
        with contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.path)


#: Where files are: in folders of this machine, or elsewhere.
Place = Path | Url


def place(target: str | os.PathLike[str]) -> Place:
    """Return the place of a path or a URL. BadInput if the URL's file system can't be used."""
    if not isinstance(target, str) or "://" not in target:
        return Path(target)
    try:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem
    except ImportError:
        raise BadInput(f"{target}: a URL needs fsspec: pip install 'fastinit-engine[fsspec]'") from None
    try:
        system, path = fsspec.core.url_to_fs(target)
    except (ImportError, ValueError, OSError) as error:
        raise BadInput(f"{target}: cannot be used: {error}") from None
    return Path(path) if isinstance(system, LocalFileSystem) else Url(system, path)


class Upload:
    """Context that writes files in turn, as `writer.Output` does, each from its beginning to its end.

    A store shows an object once all of it is there. What another file system shows of an unfinished file is
    removed, unless by a kill; its size tells.
    """

    in_order = True

    def __init__(self, folder: Url) -> None:
        self.folder = folder
        self._path = folder
        self._file: Any = None

    def __enter__(self) -> Self:
        with told(self.folder):
            if not self.folder.exists():
                self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        with contextlib.suppress(Exception):
            written = self._file.tell()
            self._file.discard()
        with contextlib.suppress(Exception):
            self._file.closed = True  # its finaliser would complete it
        with contextlib.suppress(Exception):
            # What is larger is another process's, and may be whole.
            if self._path.system.info(self._path.path)["size"] <= written:
                self._path.unlink(missing_ok=True)

    def begin(self, file: str) -> None:
        """Open the file that is to get this name."""
        self._path = self.folder / file
        with told(self._path):
            self._file = self._path.system.open(self._path.path, "wb")

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`, which is the number of bytes written before."""
        with told(self._path):
            if self._file.tell() != offset:
                raise OSError(f"{offset} does not follow")
            self._file.write(bytes(data))

    def finish(self) -> None:
        """Give the file its name."""
        file, self._file = self._file, None
        with told(self._path):
            file.close()


class Download:
    """Context that reads a file in pieces, as `writer.Input` does."""

    in_order = True

    def __init__(self, path: Url) -> None:
        self._path = path

    def __enter__(self) -> Self:
        system, path = self._path.system, self._path.path
        with told(self._path):
            system.invalidate_cache(self._path.parent.path)
            self.size = int(system.info(path)["size"])
            self._file = system.open(path, "rb", block_size=PIECE)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int, offset: int) -> bytes:
        """Return `size` bytes at `offset`, fewer only if the file ends."""
        with told(self._path):
            self._file.seek(offset)
            return bytes(self._file.read(size))


@contextlib.contextmanager
def told(path: Url) -> Iterator[None]:
    """Context in which every error is an OSError with the URL."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except Exception as error:
        raise OSError(0, " ".join(str(error).split()) or type(error).__name__, str(path)) from error
