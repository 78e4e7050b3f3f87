"""The layout of tensors in a file, existing or to be written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..spec import TensorSpec


class Stored(NamedTuple):
    """A tensor in a file, with the offset of its first byte."""

    spec: TensorSpec
    path: Path
    offset: int


class Shard(NamedTuple):
    """A file to be written: its name, first bytes and length, and the offset of each tensor's first byte."""

    file: str
    header: bytes
    offsets: dict[str, int]
    nbytes: int

    @property
    def data_bytes(self) -> int:
        """The number of bytes of all tensors."""
        return self.nbytes - len(self.header)
