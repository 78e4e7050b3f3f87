"""The way of values from the CPU to a GPU: one buffer in page-locked memory, used again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import torch

from .sharding import Run

__all__ = ["fill_through", "page_locked"]

#: The size of the buffer in bytes.
SIZE = 64 << 20

_lock = threading.Lock()
_buffers: list[torch.Tensor] = []


def page_locked() -> torch.Tensor:
    """Return the process's buffer, bytes that the driver copies without a copy of its own."""
    if not _buffers:
        _buffers.append(torch.empty(SIZE, dtype=torch.uint8, device="cpu", pin_memory=True))
    return _buffers[0]


def fill_through(
    target: torch.Tensor, plan: Any, rng: Any, places: Iterable[Run], buffer: torch.Tensor | None = None
) -> None:
    """Fill a contiguous tensor with runs of a plan's elements, by the CPU, piece by piece.

    Each copy has ended before the buffer is used again.
    """
    flat = target.detach().view(-1)
    with _lock:
        buffer = page_locked() if buffer is None else buffer
        words = buffer.view(target.dtype)
        stored = buffer.numpy().view(plan.dtype.storage)
        at = used = 0
        for start, length in places:
            while length:
                count = min(length, len(stored) - used)
                plan.fill(stored[used : used + count], rng, start)
                start, length, used = start + count, length - count, used + count
                if used == len(stored) or at + used == flat.numel():
                    flat[at : at + used].copy_(words[:used])
                    at, used = at + used, 0
