"""`TensorSpec`, the description of a tensor, and the JSON of lists and headers."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastinit._dtypes import Dtype

from .errors import BadInput
from .storage import DTYPES, StoredDtype

#: The largest header (the format's limit) or list, and the largest sum of all tensors, in bytes.
MAX_HEADER = 100_000_000
MAX_BYTES = 2**63 - 1
_MAX_DIMENSIONS = 64  # NumPy's
_SMALL = 1 << 20
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a checkpoint.

    Parameters
    ----------
    name : str
        Its name.
    dtype : str
        Its dtype as safetensors spells it, a key of `DTYPES`.
    shape : tuple of int
        Its shape.

    Raises
    ------
    BadInput
        A checkpoint cannot hold such a tensor.

    Examples
    --------
    >>> from fastinit.checkpoint import TensorSpec
    >>> TensorSpec("head.weight", "BF16", (10, 4)).nbytes
    80
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        name, dtype, shape = self.name, self.dtype, self.shape
        if not isinstance(name, str) or not name:
            raise BadInput(f"a tensor's name must be a string with something in it, not {name!r}")
        if name == "__metadata__":
            raise BadInput("a tensor cannot be named __metadata__, which safetensors keeps for itself")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise BadInput(f"tensor name {name!r} is not valid Unicode") from None
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise BadInput(f"tensor {name!r} has dtype {dtype!r}; known are {', '.join(DTYPES)}")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            shown = list(shape) if isinstance(shape, tuple) else shape
            raise BadInput(f"tensor {name!r} has shape {shown!r:.200}; it must be a list of integers >= 0")
        # As in NumPy, zeros are left out: the other axes of an empty array must be addressable.
        stored = DTYPES[dtype]
        nbytes = math.prod(filter(None, shape)) * stored.storage.itemsize
        if len(shape) > _MAX_DIMENSIONS or nbytes > MAX_BYTES:
            raise BadInput(f"tensor {name!r} is too large: {len(shape)} dimensions, {list(shape)!r:.200}")
        if (packed := stored.packed) > 1 and self.size % packed:
            raise BadInput(
                f"tensor {name!r} has shape {list(shape)!r:.200}; {dtype} has {packed} elements in a byte"
            )

    @property
    def stored(self) -> StoredDtype:
        """The record of its dtype."""
        return DTYPES[self.dtype]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def words(self) -> int:
        """Number of stored words: of elements, unless the dtype is packed."""
        return self.size // DTYPES[self.dtype].packed

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.words * self.itemsize

    @property
    def itemsize(self) -> int:
        """Number of bytes of a word."""
        return DTYPES[self.dtype].storage.itemsize

    @property
    def storage(self) -> np.dtype[Any]:
        """NumPy's dtype of the stored words. That of BF16 is uint16."""
        return DTYPES[self.dtype].storage

    @property
    def floating(self) -> Dtype | None:
        """The record of a dtype that initialisers fill, or None."""
        return DTYPES[self.dtype].floating

    def as_numbers(self, words: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return stored words as numbers of a dtype that NumPy computes with and that holds each exactly.

        Examples
        --------
        >>> TensorSpec("head.weight", "BF16", (2,)).as_numbers(np.array([0x3F80, 0xC040], np.uint16))
        array([ 1., -3.], dtype=float32)
        >>> TensorSpec("head.weight", "F4", (2,)).as_numbers(np.array([0x72], np.uint8))
        array([1., 6.], dtype=float32)
        """
        return DTYPES[self.dtype].numbers(words)


def checked(name: Any, dtype: Any, shape: Any, where: str) -> TensorSpec:
    """Return a `TensorSpec` of unchecked values. Errors name their source, `where`."""
    try:
        return TensorSpec(name, dtype, shape)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def opened(path: Path) -> int:
    """Return a descriptor of a regular file. OSError for others: a pipe may never answer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise (
            OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISDIR(mode)
            else OSError(errno.EINVAL, "Not a regular file")
        )
    return fd


def read_bytes(path: Path) -> bytes:
    """Return at most the first ``MAX_HEADER + 1`` bytes of a file. BadInput if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_HEADER + 1)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _check_flat(text: bytes, where: str) -> None:
    """Raise BadInput for JSON that takes a hundred times its size in memory, and lists no tensors."""
    bare = _STRING.sub(b"", text)
    nested = re.search(rb"[\[,]\s*[\[{]", bare) or bare.count(b"{}") > 1000
    if nested or bare.count(b",") > 1000 + 2 * _MAX_DIMENSIONS * bare.count(b":"):
        raise BadInput(f"{where}: is no list of tensors: it has lists or objects where numbers belong")


def parse_json(text: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in `text`. BadInput for anything else, or for a repeated name."""
    if len(text) > MAX_HEADER:
        raise BadInput(f"{where}: is over the limit of {MAX_HEADER} bytes")

    if len(text) > _SMALL:
        _check_flat(text, where)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
            raise BadInput(f"{where}: {name!r} is there twice")
        return entries

    try:
        entries = json.loads(text.decode("utf-8-sig"), object_pairs_hook=unique)
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: is not valid JSON: {error}") from None
    if not isinstance(entries, dict):
        raise BadInput(f"{where}: must be a JSON object of tensors, not {type(entries).__name__}")
    return entries
