"""A replacement of ``numpy.random``: ``from fastinit import random``.

`Generator`, `default_rng`, `PCG64`, `PCG64DXSM` and `patch` are fastinit's; other public names are NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy.random as _numpy

if TYPE_CHECKING:  # a star import would clash with the names below
    from numpy.random import MT19937 as MT19937
    from numpy.random import SFC64 as SFC64
    from numpy.random import BitGenerator as BitGenerator
    from numpy.random import Philox as Philox
    from numpy.random import RandomState as RandomState
    from numpy.random import SeedSequence as SeedSequence
    from numpy.random import beta as beta
    from numpy.random import binomial as binomial
    from numpy.random import bytes as bytes
    from numpy.random import chisquare as chisquare
    from numpy.random import choice as choice
    from numpy.random import dirichlet as dirichlet
    from numpy.random import exponential as exponential
    from numpy.random import f as f
    from numpy.random import gamma as gamma
    from numpy.random import geometric as geometric
    from numpy.random import get_state as get_state
    from numpy.random import gumbel as gumbel
    from numpy.random import hypergeometric as hypergeometric
    from numpy.random import laplace as laplace
    from numpy.random import logistic as logistic
    from numpy.random import lognormal as lognormal
    from numpy.random import logseries as logseries
    from numpy.random import multinomial as multinomial
    from numpy.random import multivariate_normal as multivariate_normal
    from numpy.random import negative_binomial as negative_binomial
    from numpy.random import noncentral_chisquare as noncentral_chisquare
    from numpy.random import noncentral_f as noncentral_f
    from numpy.random import normal as normal
    from numpy.random import pareto as pareto
    from numpy.random import permutation as permutation
    from numpy.random import poisson as poisson
    from numpy.random import power as power
    from numpy.random import rand as rand
    from numpy.random import randint as randint
    from numpy.random import randn as randn
    from numpy.random import random as random
    from numpy.random import random_integers as random_integers
    from numpy.random import random_sample as random_sample
    from numpy.random import ranf as ranf
    from numpy.random import rayleigh as rayleigh
    from numpy.random import sample as sample
    from numpy.random import seed as seed
    from numpy.random import set_state as set_state
    from numpy.random import shuffle as shuffle
    from numpy.random import standard_cauchy as standard_cauchy
    from numpy.random import standard_exponential as standard_exponential
    from numpy.random import standard_gamma as standard_gamma
    from numpy.random import standard_normal as standard_normal
    from numpy.random import standard_t as standard_t
    from numpy.random import triangular as triangular
    from numpy.random import uniform as uniform
    from numpy.random import vonmises as vonmises
    from numpy.random import wald as wald
    from numpy.random import weibull as weibull
    from numpy.random import zipf as zipf
else:
    from numpy.random import *  # noqa: F403

from fastinit._bit_generator import PCG64 as PCG64
from fastinit._bit_generator import PCG64DXSM as PCG64DXSM
from fastinit._generator import Generator as Generator
from fastinit._generator import default_rng as default_rng

__all__ = sorted({*_numpy.__all__, "PCG64", "PCG64DXSM", "Generator", "default_rng", "patch"})


if not TYPE_CHECKING:  # for type checkers, a name that isn't above is an error

    def __getattr__(name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # __path__ would make this module a package
            raise AttributeError(f"module 'fastinit.random' has no attribute {name!r}")
        return getattr(_numpy, name)


def __dir__() -> list[str]:
    """Every name that NumPy's module shows, and `patch`; not what this module imports."""
    return sorted({*__all__, *(name for name in dir(_numpy) if not name.startswith("_"))})


_lock = Lock()
_open: list[Any] = []  # NumPy's own default_rng, then those of the open contexts


@contextmanager
def patch(normals: Literal["box-muller", "ziggurat"] = "ziggurat") -> Iterator[None]:
    """Context in which ``numpy.random.default_rng`` returns fastinit's Generator, for third-party code.

    The change affects every thread, until the last open context ends. A fastinit Generator comes back itself.

    Parameters
    ----------
    normals : {"ziggurat", "box-muller"}, optional
        As for `Generator`. The ziggurat has NumPy's numbers, which the code of others expects; Box-Muller is
        faster on several threads.

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
    default_rng(0, normals=normals)  # refuses another word

    def replacement(seed: Any = None) -> Generator:
        return seed if isinstance(seed, Generator) else default_rng(seed, normals=normals)

    with _lock:
        if not _open:
            _open.append(_numpy.default_rng)
        _open.append(replacement)
        _numpy.default_rng = replacement
    try:
        yield
    finally:
        with _lock:
            _open.remove(replacement)
            _numpy.default_rng = _open[-1]
            if len(_open) == 1:
                _open.clear()
