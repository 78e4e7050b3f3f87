"""Checks of arguments that several initialisers share."""

from __future__ import annotations

import math
from collections.abc import Collection


def known(what: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(names)}")


def finite(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{what} must be finite, not {value}")


def not_negative(what: str, value: float) -> None:
    finite(what, value)
    if value < 0.0:
        raise ValueError(f"{what} must not be negative, not {value}")


def one_or_more(what: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{what} must be 1 or more, not {value}")
