"""How large the values of a tensor are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

__all__ = ["NOTHING", "Size", "root_mean_square", "size_of"]


class Size(NamedTuple):
    """The size of a tensor's values.

    Attributes
    ----------
    mean, std : float
        Of all values.
    spread : float
        The standard deviation between inputs, which are the first axis: root mean square over all else.
    units : int
        The number of values of an input.
    """

    mean: float
    std: float
    spread: float
    units: int

    @property
    def rms(self) -> float:
        """The root mean square of all values."""
        return math.hypot(self.mean, self.std)


NOTHING = Size(math.nan, math.nan, math.nan, 1)


def size_of(tensor: torch.Tensor) -> Size:
    """Return the size of a tensor. The std of one that has infinities or NaN is infinite, all else NaN."""
    values, largest = _scaled(tensor)
    count = tensor.shape[0] if tensor.dim() else 1
    units = max(values.numel() // max(count, 1), 1)
    if not values.numel():
        return NOTHING
    if not math.isfinite(largest):
        return Size(math.nan, math.inf, math.nan, units)
    rows = values.reshape(count, -1)
    spread = math.nan if count < 2 else largest * math.sqrt(float(rows.var(dim=0).mean()))
    return Size(largest * float(values.mean()), largest * float(values.std(correction=0)), spread, units)


def root_mean_square(tensor: torch.Tensor) -> float:
    """Return the root mean square of a tensor, without leaving the range of its dtype; NaN if it has none."""
    values, largest = _scaled(tensor)
    return largest * math.sqrt(float((values * values).mean())) if math.isfinite(largest) else math.nan


def _scaled(tensor: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the values over the largest of them, and this: their squares neither overflow nor vanish."""
    values = tensor.detach()  # so nothing here is kept for gradients
    values = values if values.dtype == torch.float64 else values.float()
    largest = float(values.abs().max()) if values.numel() else math.nan
    return (values / largest if largest > 0.0 else values), largest
