"""`torch.nn.init` with fastinit's values: its names, signatures, defaults, errors and warnings.

``import fastinit.torch.init as init`` takes the place of ``import torch.nn.init as init``. A tensor gets the
values of `fastinit.init`'s function of that name, whatever its device, strides and placements.

generator : torch.Generator, fastinit.random.Generator, numpy.random.Generator or int, optional
    fastinit's and NumPy's move past the tensor. Of torch's, the seed is drawn, as
    ``int(torch.randint(0, 2**63 - 1, (), generator=generator))``; None draws it from torch's default
    generator, so that ``torch.manual_seed`` governs.

Left to torch are tensors without elements, on the meta device, of a class that overrides what torch does, as
FakeTensor does, and of dtypes other than float16, bfloat16, float32 and float64. `patch` has the functions of
`torch.nn.init` themselves do the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.init import _calculate_correct_fan as _calculate_correct_fan
from torch.nn.init import _calculate_fan_in_and_fan_out as _calculate_fan_in_and_fan_out
from torch.nn.init import _make_deprecate
from torch.nn.init import calculate_gain as calculate_gain
from torch.nn.init import ones_ as ones_  # torch's own: they write the same bits on any device
from torch.nn.init import zeros_ as zeros_

from .patching import filled, patch

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "patch",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_Generator = Any


def uniform_(
    tensor: torch.Tensor, a: float = 0.0, b: float = 1.0, generator: _Generator = None
) -> torch.Tensor:
    """Draw uniformly from ``[a, b)``.

    Examples
    --------
    >>> bool(uniform_(torch.empty(3, 5), -1, 0).max() < 0)
    True
    """
    return filled("uniform_", tensor, generator, a=a, b=b)


def normal_(
    tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, generator: _Generator = None
) -> torch.Tensor:
    """Draw normals.

    Examples
    --------
    >>> one, other = normal_(torch.empty(3, 5), generator=7), torch.empty(3, 5, dtype=torch.bfloat16)
    >>> bool((normal_(other, generator=7) == one.bfloat16()).all())
    True
    """
    return filled("normal_", tensor, generator, mean=mean, std=std)


def trunc_normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: _Generator = None,
) -> torch.Tensor:
    """Draw normals that lie in ``[a, b]``.

    Examples
    --------
    >>> bool(trunc_normal_(torch.empty(3, 5), std=0.02, a=-0.04, b=0.04).abs().max() <= 0.04)
    True
    """
    return filled("trunc_normal_", tensor, generator, mean=mean, std=std, a=a, b=b)


def constant_(tensor: torch.Tensor, val: float) -> torch.Tensor:
    """Fill with one value, which is rounded once.

    Examples
    --------
    >>> constant_(torch.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return filled("constant_", tensor, val=val)


def eye_(tensor: torch.Tensor) -> torch.Tensor:
    """Fill a matrix with the identity.

    Examples
    --------
    >>> eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    return filled("eye_", tensor)


def dirac_(tensor: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """Fill a convolution's weight so that it passes on its input channels.

    Examples
    --------
    >>> dirac_(torch.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    return filled("dirac_", tensor, groups=groups)


def xavier_uniform_(tensor: torch.Tensor, gain: float = 1.0, generator: _Generator = None) -> torch.Tensor:
    """Draw uniformly with a variance of ``gain**2 * 2 / (fan_in + fan_out)``.

    Examples
    --------
    >>> bool(xavier_uniform_(torch.empty(256, 784)).abs().max() < (6 / (256 + 784)) ** 0.5)
    True
    """
    return filled("xavier_uniform_", tensor, generator, gain=gain)


def xavier_normal_(tensor: torch.Tensor, gain: float = 1.0, generator: _Generator = None) -> torch.Tensor:
    """Draw normals with a variance of ``gain**2 * 2 / (fan_in + fan_out)``.

    Examples
    --------
    >>> round(float(xavier_normal_(torch.empty(256, 784), calculate_gain("tanh")).std()), 3)
    0.073
    """
    return filled("xavier_normal_", tensor, generator, gain=gain)


def kaiming_uniform_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: _Generator = None,
) -> torch.Tensor:
    """Draw uniformly with a standard deviation of ``gain / sqrt(fan)``.

    Examples
    --------
    >>> bool(kaiming_uniform_(torch.empty(256, 784), a=5**0.5).abs().max() < 784**-0.5)
    True
    """
    return filled("kaiming_uniform_", tensor, generator, a=a, mode=mode, nonlinearity=nonlinearity)


def kaiming_normal_(
    tensor: torch.Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: _Generator = None,
) -> torch.Tensor:
    """Draw normals with a standard deviation of ``gain / sqrt(fan)``.

    Examples
    --------
    >>> round(float(kaiming_normal_(torch.empty(256, 800), nonlinearity="relu").std()), 3)
    0.05
    """
    return filled("kaiming_normal_", tensor, generator, a=a, mode=mode, nonlinearity=nonlinearity)


def orthogonal_(tensor: torch.Tensor, gain: float = 1, generator: _Generator = None) -> torch.Tensor:
    """Fill with a (semi-)orthogonal matrix, the first axis by the others. Half types are filled, too.

    Examples
    --------
    >>> w = orthogonal_(torch.empty(3, 5))
    >>> bool(torch.allclose(w @ w.T, torch.eye(3), atol=1e-6))
    True
    """
    return filled("orthogonal_", tensor, generator, gain=gain)


def sparse_(
    tensor: torch.Tensor, sparsity: float, std: float = 0.01, generator: _Generator = None
) -> torch.Tensor:
    """Draw a matrix of normals with the same number of zeros in each column.

    Examples
    --------
    >>> (sparse_(torch.empty(10, 3), 0.25) == 0).sum(0)
    tensor([3, 3, 3])
    """
    return filled("sparse_", tensor, generator, sparsity=sparsity, std=std)


uniform = _make_deprecate(uniform_)
normal = _make_deprecate(normal_)
constant = _make_deprecate(constant_)
eye = _make_deprecate(eye_)
dirac = _make_deprecate(dirac_)
xavier_uniform = _make_deprecate(xavier_uniform_)
xavier_normal = _make_deprecate(xavier_normal_)
kaiming_uniform = _make_deprecate(kaiming_uniform_)
kaiming_normal = _make_deprecate(kaiming_normal_)
orthogonal = _make_deprecate(orthogonal_)
sparse = _make_deprecate(sparse_)
