"""Operations with alpha dropout. The mask is computed again from a generator's position, not stored."""

from __future__ import annotations

from typing import Any

from fastinit import _activations as _a
from fastinit import random


def run_dropout(op: int, x: Any, y: Any, out: Any, p: float, rng: Any, moves: bool) -> Any:
    """Run an operation on x, and on y if it takes two operands. `moves`: whether the generator moves."""
    if not 0 <= p <= 1:
        raise ValueError(f"the probability of dropout must be in [0, 1], not {p}")
    if p == 0:  # alpha dropout alone changes nothing; callers with SELU handle 0 themselves
        return _a.elementwise(_a.LEAKY_RELU, x, None, out, 1.0)
    if rng is None:
        raise TypeError("dropout needs rng: a generator, or a seed")
    if not hasattr(rng, "_source"):
        rng = random.default_rng(rng)
    return _a.dropout(op, x, y, out, p, rng, moves)
