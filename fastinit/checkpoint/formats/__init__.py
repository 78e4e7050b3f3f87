"""File formats of checkpoints. Each is one module here and a row of `FORMATS`.

A format defines names and headers. Shared code makes, writes, reads and compares the tensors' data, so its
bytes are the same in every format: little-endian, in C order, contiguous. A format's module has the names
below. Its functions raise `BadInput` for what the format cannot hold; `safetensors` has their types.

``SUFFIX``
    The suffix of its files, with the dot.
``read(path)``
    The tensors in a file, index or folder, each with its offset, and the metadata.
``is_index(entries)``, ``read_index(path)``
    Whether a JSON object is an index of shards, and ``read`` for an index of any name.
``is_shard(path)``
    Whether a file's name is that of a shard.
``index_beside(path)``
    The index in a shard's folder that lists it, or None.
``belongs(name, stem)``
    Whether a file's name is one of a checkpoint's.
``family(folder, stem)``
    The files in a folder that may belong to a checkpoint, its index first.
``split(specs, stem, max_bytes)``
    The tensors of each file.
``lay_out(file, specs, metadata)``
    The header of a file, and each tensor's offset.
``layouts(shard)``
    That layout, and others in which earlier versions wrote the same tensors.
``index_name(stem)``, ``index(specs, shards)``
    The name and the bytes of the index. Only a checkpoint of several files has one. It is written last.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from ..errors import BadInput
from ..remote import Place
from . import safetensors
from .layout import Shard, Stored

__all__ = ["FORMATS", "Shard", "Stored", "of", "read"]

#: The formats. The first is the default, for folders and other suffixes.
FORMATS: tuple[ModuleType, ...] = (safetensors,)


def read(path: str | os.PathLike[str]) -> tuple[list[Stored], dict[str, str]]:
    """Read the tensors' offsets and the metadata of a checkpoint in any format."""
    if not os.fspath(path):
        raise BadInput("the path is empty; . is the current folder")
    stored, metadata = of(Path(path)).read(Path(path))
    return stored, metadata


def of(path: Place) -> ModuleType:
    """Return the format of a path's suffix."""
    return next((each for each in FORMATS if path.suffix == each.SUFFIX), FORMATS[0])
