"""File formats of checkpoints. Each is one module here, and a row of `FORMATS`.

A format knows names and headers, and never touches a tensor's data: that is made, written, read and compared
by the code that all formats share. So an element's bytes are the same in every format: little-endian, in C
order, with nothing between the elements of a tensor. A module of a format has these names. Its functions
raise `BadInput` for what the format cannot hold; `safetensors` has their types.

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
from pathlib import Path
from types import ModuleType

from . import safetensors
from .layout import Shard, Stored

__all__ = ["FORMATS", "Shard", "Stored", "of", "read"]


#: The formats. The first is that of folders, and of files whose names say nothing.
FORMATS: tuple[ModuleType, ...] = (safetensors,)


def read(path: str | os.PathLike[str]) -> tuple[list[Stored], dict[str, str]]:
    """Read where the tensors of a checkpoint are, and its metadata, in whichever format it is."""
    stored, metadata = of(Path(path)).read(Path(path))
    return stored, metadata


def of(path: Path) -> ModuleType:
    """Return the format that the end of a path's name says."""
    return next((each for each in FORMATS if path.suffix == each.SUFFIX), FORMATS[0])
