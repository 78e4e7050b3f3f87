"""File formats of checkpoints. Each is one module here, and a row of `FORMATS`.

A format knows names and headers, and never touches a tensor's data: that is made, written, read and compared
by the code that all formats share. So an element's bytes are the same in every format: little-endian, in C
order, with nothing between the elements of a tensor. A module of a format has these names; `Format` has
their types.

``SUFFIX``
    How the names of its files end, with the dot.
``read(path)``
    The tensors of a file, of an index or of a folder, each with its place, and the metadata.
``is_index(entries)``, ``read_index(path)``
    Whether a JSON object is an index of shards, and the same as ``read`` for one, whatever its name.
``is_shard(path)``
    Whether a file's name says that it is one of several.
``family(folder, stem)``
    The files in a folder that a checkpoint may consist of, its index first.
``split(specs, stem, max_bytes)``
    Which tensors go into which file.
``lay_out(file, specs, metadata)``
    The header of a file, and where each tensor stands in it.
``index_name(stem)``, ``index(specs, shards)``
    The name of the index, and its bytes; only a checkpoint of several files has one, and it is written last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..spec import TensorSpec
from . import safetensors
from .layout import Shard, Stored

__all__ = ["FORMATS", "Format", "Shard", "Stored", "of", "read"]


class Format(Protocol):
    """What a module of a format has. Every function raises `BadInput` for what the format cannot hold."""

    SUFFIX: str

    def read(self, path: Path) -> tuple[list[Stored], dict[str, str]]: ...
    def is_index(self, entries: Mapping[str, Any]) -> bool: ...
    def read_index(self, path: Path) -> tuple[list[Stored], dict[str, str]]: ...
    def is_shard(self, path: Path) -> bool: ...
    def family(self, folder: Path, stem: str) -> list[Path]: ...
    def split(
        self, specs: Sequence[TensorSpec], stem: str, max_bytes: int | None
    ) -> dict[str, list[TensorSpec]]: ...
    def lay_out(self, file: str, specs: Iterable[TensorSpec], metadata: Mapping[str, str]) -> Shard: ...
    def index_name(self, stem: str) -> str: ...
    def index(self, specs: Sequence[TensorSpec], shards: Sequence[Shard]) -> bytes: ...


#: The formats. The first is that of folders, and of files whose names say nothing.
FORMATS: tuple[Format, ...] = (safetensors,)


def read(path: str | os.PathLike[str]) -> tuple[list[Stored], dict[str, str]]:
    """Read where the tensors of a checkpoint are, and its metadata, in whichever format it is."""
    return of(Path(path)).read(Path(path))


def of(path: Path) -> Format:
    """Return the format that a path's name ends as.

    Examples
    --------
    >>> of(Path("model.safetensors")).SUFFIX
    '.safetensors'
    """
    return next((each for each in FORMATS if path.suffix == each.SUFFIX), FORMATS[0])
