"""What a format says of a file: where tensors stand in it, now or once it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..spec import TensorSpec


class Stored(NamedTuple):
    """A tensor in a file: what it is, and the offset of its first byte."""

    spec: TensorSpec
    path: Path
    offset: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A file to be written.

    Attributes
    ----------
    file : str
        Its name.
    header : bytes
        What it begins with.
    offsets : dict of str to int
        The offset of each tensor's first byte, by name, in the file.
    nbytes : int
        The length of the file.
    """

    file: str
    header: bytes
    offsets: dict[str, int]
    nbytes: int
