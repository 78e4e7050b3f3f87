"""Initialisers in place, with the names, the argument order and the defaults of ``torch.nn.init``.

Each fills the NumPy array or the torch tensor that it is given, in layout ``"oi"``, and returns it;
`generator` is what `rng` is elsewhere. See `Initializer.fill_`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fastinit._initializer import get, memory_of
from fastinit._laws import standard_bounds

__all__ = [
    "constant_",
    "delta_orthogonal_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "variance_scaling_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

T = TypeVar("T")


def variance_scaling_(
    tensor: T,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    generator: Any = None,
) -> T:
    """Fill in place; see `fastinit.init.variance_scaling`."""
    return get("variance_scaling", scale=scale, mode=mode, distribution=distribution).fill_(tensor, generator)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.xavier_uniform`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastinit.init import calculate_gain
    >>> w = np.empty((256, 784), np.float32)
    >>> xavier_uniform_(w, gain=calculate_gain("relu"), generator=0) is w
    True
    """
    return get("xavier_uniform", gain=gain).fill_(tensor, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.xavier_normal`."""
    return get("xavier_normal", gain=gain).fill_(tensor, generator)


def kaiming_uniform_(
    tensor: T, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> T:
    """Fill in place; see `fastinit.init.kaiming_uniform`."""
    return get("kaiming_uniform", a=a, mode=mode, nonlinearity=nonlinearity).fill_(tensor, generator)


def kaiming_normal_(
    tensor: T, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> T:
    """Fill in place; see `fastinit.init.kaiming_normal`."""
    return get("kaiming_normal", a=a, mode=mode, nonlinearity=nonlinearity).fill_(tensor, generator)


def lecun_uniform_(tensor: T, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.lecun_uniform`."""
    return get("lecun_uniform").fill_(tensor, generator)


def lecun_normal_(tensor: T, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.lecun_normal`."""
    return get("lecun_normal").fill_(tensor, generator)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Any = None) -> T:
    """Fill in place with draws from ``[a, b)``; see `fastinit.init.uniform`."""
    return get("uniform", low=a, high=b).fill_(tensor, generator)


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.normal`."""
    return get("normal", mean=mean, std=std).fill_(tensor, generator)


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> T:
    """Fill in place with normals between the values `a` and `b`, as torch does; see
    `fastinit.init.truncated_normal`."""
    low, high = standard_bounds(mean, std, a, b)
    return get("truncated_normal", mean=mean, std=std, low=low, high=high).fill_(tensor, generator)


def constant_(tensor: T, val: float) -> T:
    """Fill in place; see `fastinit.init.constant`.

    An integer or bool tensor takes what ``int`` or ``bool`` makes of the value.
    """
    target, tag = memory_of(tensor)
    if tag is None and target.dtype.kind in "biu":
        target[...] = bool(val) if target.dtype.kind == "b" else int(val)
        return tensor
    return get("constant", value=float(val) if isinstance(val, bool) else val).fill_(tensor)


def ones_(tensor: T) -> T:
    """Fill in place with ones, integers and bools too."""
    return constant_(tensor, 1.0)


def zeros_(tensor: T) -> T:
    """Fill in place with zeros, integers and bools too."""
    return constant_(tensor, 0.0)


def eye_(tensor: T) -> T:
    """Fill in place; see `fastinit.init.eye`."""
    return get("eye").fill_(tensor)


def dirac_(tensor: T, groups: int = 1) -> T:
    """Fill in place; see `fastinit.init.dirac`."""
    return get("dirac", groups=groups).fill_(tensor)


def orthogonal_(tensor: T, gain: float = 1, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.orthogonal`."""
    return get("orthogonal", gain=gain).fill_(tensor, generator)


def delta_orthogonal_(tensor: T, gain: float = 1, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.delta_orthogonal`."""
    return get("delta_orthogonal", gain=gain).fill_(tensor, generator)


def sparse_(tensor: T, sparsity: float, std: float = 0.01, generator: Any = None) -> T:
    """Fill in place; see `fastinit.init.sparse`."""
    return get("sparse", sparsity=sparsity, std=std).fill_(tensor, generator)
