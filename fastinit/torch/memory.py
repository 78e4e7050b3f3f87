"""Memory of new tensors: large pages, as NumPy asks for them."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import torch

__all__ = ["with_large_pages"]

#: The least size in bytes, as in NumPy.
_LARGE = 4 << 20


def with_large_pages(tensor: torch.Tensor) -> torch.Tensor:
    """Ask for large pages under a tensor that is still to be filled, and return it.

    Without them, the first touch of each 4 KiB costs more than its values do. Linux grants them to those who
    ask. It may ignore the advice, and elsewhere there is none.
    """
    if sys.platform == "linux" and tensor.device.type == "cpu":
        storage = tensor.untyped_storage()
        before = -storage.data_ptr() % mmap.PAGESIZE
        if storage.nbytes() >= _LARGE:
            _madvise()(storage.data_ptr() + before, storage.nbytes() - before, mmap.MADV_HUGEPAGE)
    return tensor


def _madvise() -> Any:
    function = ctypes.CDLL(None).madvise
    function.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return function
