"""The way of values from the CPU to a GPU: one buffer in page-locked memory, used again and again."""

from __future__ import annotations

import threading
from typing import Any

import torch

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
    target: torch.Tensor, plan: Any, rng: Any, start: int = 0, buffer: torch.Tensor | None = None
) -> None:
    """Fill a contiguous tensor with elements `start` and on of a plan, by the CPU, piece by piece.

    Each copy has ended before the buffer is used again.
    """
    flat = target.detach().view(-1)
    with _lock:
        buffer = page_locked() if buffer is None else buffer
        words = buffer.view(target.dtype)
        stored = buffer.numpy().view(plan.dtype.storage)
        for at in range(0, flat.numel(), words.numel()):
            count = min(words.numel(), flat.numel() - at)
            plan.fill(stored[:count], rng, start + at)
            flat[at : at + count].copy_(words[:count])
