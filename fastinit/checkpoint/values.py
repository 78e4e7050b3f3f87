"""Stored elements as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: The distance from 1 to the next value, for each dtype that rounds.
EPSILON = {"F64": 2.0**-52, "F32": 2.0**-23, "F16": 2.0**-10, "BF16": 2.0**-7}


def as_numbers(stored: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return stored elements in a dtype that NumPy computes with.

    BF16 and F16 become float32, which holds each exactly, and BOOL becomes uint8. Others stay as they are.

    Examples
    --------
    >>> as_numbers(np.array([0x3F80, 0xC040], np.uint16), "BF16")
    array([ 1., -3.], dtype=float32)
    """
    if dtype == "BF16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F16":
        return stored.astype(np.float32)
    return stored.view(np.uint8) if dtype == "BOOL" else stored
