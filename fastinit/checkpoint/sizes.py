"""Sizes in bytes, in decimal units as Hugging Face's."""

from __future__ import annotations

import math
import re

from .errors import BadInput

_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB", "EB")


def parse(size: int | str) -> int:
    """Return the bytes of a number or a string such as ``"500MB"``. ``"5GiB"`` is binary.

    Examples
    --------
    >>> parse("1.5GB"), parse("4096"), parse("1Mi")
    (1500000000, 4096, 1048576)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?))?B?", str(size).strip().upper())
    base = 1024 if match and match[3] else 1000
    factor = base ** " KMGT".index(match[2] or " ") if match else 0
    number = float(match[1]) * factor if match and not isinstance(size, bool) else math.nan
    if not (math.isfinite(number) and (result := round(number)) >= 1):
        raise BadInput(f"size {size!r} is not a number of bytes, or one with KB, MB, GB or TB")
    return result


def unit(size: float) -> tuple[float, str]:
    """Return the best unit to show a size in: its bytes and its name.

    Examples
    --------
    >>> unit(497_759_232)
    (1000000.0, 'MB')
    """
    power = 0
    while size >= 1000.0 ** (power + 1) and power < len(_UNITS) - 1:
        power += 1
    return 1000.0**power, _UNITS[power]


def shown(size: float) -> str:
    """Return a size as text with a unit.

    Examples
    --------
    >>> shown(1.7e16)
    '17.0 PB'
    """
    factor, name = unit(size)
    return f"{size / factor:.{1 if factor > 1 else 0}f} {name}"
