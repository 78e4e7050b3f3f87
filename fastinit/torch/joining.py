"""Finds the pieces of a tensor that an operation made of several."""

from __future__ import annotations

from .tracker import Ref, name_of

__all__ = ["pieces_of"]


def pieces_of(ref: Ref) -> tuple[list[Ref], int] | None:
    """Return the tensors that lie side by side in a tensor, and the axis, or None if it is not made so."""
    if len(ref.history) != 1 or not ref.full:
        return None
    (call,) = ref.history
    if name_of(call.function) not in ("cat", "stack") or ref.geometry.sizes != call.target.sizes:
        return None
    pieces = list(call.args[0])
    axis = call.args[1] if call.args[1:] else call.kwargs.get("dim", 0)
    return pieces, axis % len(call.target.sizes)
