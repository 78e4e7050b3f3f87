"""A replacement of ``numpy.random``: ``from fastinit import random``.

`Generator`, `default_rng`, `PCG64`, `PCG64DXSM` and `patch` are fastinit's; other public names are NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy.random as _numpy

if TYPE_CHECKING:  # a star import would clash with the names below
    from numpy.random import MT19937 as MT19937
    from numpy.random import SFC64 as SFC64
    from numpy.random import BitGenerator as BitGenerator
    from numpy.random import Philox as Philox
    from numpy.random import RandomState as RandomState
    from numpy.random import SeedSequence as SeedSequence
else:
    from numpy.random import *  # noqa: F403

from fastinit._bit_generator import PCG64 as PCG64
from fastinit._bit_generator import PCG64DXSM as PCG64DXSM
from fastinit._generator import Generator as Generator
from fastinit._generator import default_rng as default_rng

__all__ = sorted({*_numpy.__all__, "PCG64", "PCG64DXSM", "Generator", "default_rng", "patch"})


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name.endswith("__"):  # with NumPy's __path__ this module would be a package
        raise AttributeError(f"module 'fastinit.random' has no attribute {name!r}")
    return getattr(_numpy, name)


_lock = Lock()
_replaced: list[Any] = []  # what each open context replaced; NumPy's own is first


@contextmanager
def patch() -> Iterator[None]:
    """Context in which ``numpy.random.default_rng`` returns fastinit's Generator, for third-party code.

    The change affects every thread, until the last open context ends.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit import random
    >>> with random.patch():
    ...     isinstance(np.random.default_rng(7), random.Generator)
    True
    >>> isinstance(np.random.default_rng(7), random.Generator)
    False
    """
    with _lock:
        _replaced.append(_numpy.default_rng)
        _numpy.default_rng = default_rng
    try:
        yield
    finally:
        with _lock:
            before = _replaced.pop()
            if not _replaced:
                _numpy.default_rng = before
