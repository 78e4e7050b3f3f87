"""The files of a checkpoint, kept open while tensors are read in pieces."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .formats import Stored
from .spec import opened
from .writer import read_at


class Files(contextlib.ExitStack):
    """Context that keeps the files of some tensors open.

    Parameters
    ----------
    stored : iterable of Stored
        The tensors.
    """

    def __init__(self, stored: Iterable[Stored]) -> None:
        super().__init__()
        self._descriptors: dict[Path, int] = {}
        try:
            for path in {tensor.path for tensor in stored}:
                self._descriptors[path] = opened(path)
                self.callback(os.close, self._descriptors[path])
        except OSError:
            self.close()
            raise

    def read(self, tensor: Stored, start: int, stop: int) -> npt.NDArray[Any]:
        """Return words ``[start, stop)`` of a tensor in storage dtype. Any thread may call."""
        storage = tensor.spec.storage
        size, offset = (stop - start) * storage.itemsize, tensor.offset + start * storage.itemsize
        data = read_at(tensor.path, self._descriptors[tensor.path], size, offset)
        if len(data) < size:
            raise OSError(f"{tensor.path}: became shorter while it was read")
        return np.frombuffer(data, storage)
