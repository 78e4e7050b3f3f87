"""Initialisers: rules from the field for filling a weight, over this package's streams.

Each is there in three ways: ``kaiming_normal(shape, ...)`` returns an array, ``kaiming_normal_(tensor, ...)``
fills a NumPy array or a torch tensor in place with torch's name, argument order and defaults, and
``get("kaiming_normal")`` returns an `Initializer`. ``glorot_*`` and ``he_*`` are other names of ``xavier_*``
and ``kaiming_*``.

The functions' own parameters are documented with them; those that all share (`layout`, `in_axis`, `out_axis`,
`batch_axis`, `dtype`, `rng`, `out`, `block`) with `Initializer.__call__`.
"""

from __future__ import annotations

from typing import Unpack

from fastinit import _laws
from fastinit._initializer import Array, Initializer, Options, Shape, get, row
from fastinit._inplace import (
    constant_,
    delta_orthogonal_,
    dirac_,
    eye_,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
    variance_scaling_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)
from fastinit._plan import Plan
from fastinit.fans import calculate_gain, compute_fans

__all__ = [
    "Initializer",
    "Plan",
    "calculate_gain",
    "compute_fans",
    "constant",
    "constant_",
    "delta_orthogonal",
    "delta_orthogonal_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "get",
    "glorot_normal",
    "glorot_normal_",
    "glorot_uniform",
    "glorot_uniform_",
    "he_normal",
    "he_normal_",
    "he_uniform",
    "he_uniform_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "lecun_normal",
    "lecun_normal_",
    "lecun_uniform",
    "lecun_uniform_",
    "normal",
    "normal_",
    "ones",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "truncated_normal",
    "uniform",
    "uniform_",
    "variance_scaling",
    "variance_scaling_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros",
    "zeros_",
]

# pickled initialisers and documentation know it by its public name, which also fills the table on import
get.__module__ = Initializer.__module__ = __name__


@row(_laws.scaled)
def variance_scaling(
    shape: Shape,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    **options: Unpack[Options],
) -> Array:
    """Draw with mean 0 and variance ``scale / n``, n being a fan of the shape: what the next six are rows of.

    Parameters
    ----------
    shape : int or sequence of int
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        What n is; the averages are the arithmetic and the geometric mean of both fans.
    distribution : {"truncated_normal", "normal", "uniform"}
        The truncated normal is cut at 2 standard deviations, which are widened by 1 / 0.8796... so that the
        variance is `scale / n` after the cut, as JAX and Keras do.
    **options
        See `Initializer.__call__`.

    Examples
    --------
    >>> w = variance_scaling((256, 784), 2.0, "fan_out", "normal", rng=0)
    >>> bool(abs(w.std() / (2 / 256) ** 0.5 - 1) < 0.01)
    True
    """
    return get("variance_scaling", scale=scale, mode=mode, distribution=distribution)(shape, **options)


@row(lambda gain: _laws.xavier(gain, "uniform"))
def xavier_uniform(shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]) -> Array:
    """Draw uniformly from ``[-b, b)``, ``b = gain * sqrt(6 / (fan_in + fan_out))``; for tanh and sigmoid.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> w = xavier_uniform((256, 784), rng=0)
    >>> bool(abs(w).max() < (6 / (784 + 256)) ** 0.5)
    True
    """
    return get("xavier_uniform", gain=gain)(shape, **options)


@row(lambda gain: _laws.xavier(gain, "normal"))
def xavier_normal(shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]) -> Array:
    """Draw normals with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``; see `xavier_uniform`.

    JAX's and Keras's glorot_normal is ``variance_scaling(shape, 1.0, "fan_avg", "truncated_normal")``.
    """
    return get("xavier_normal", gain=gain)(shape, **options)


@row(lambda a, mode, nonlinearity: _laws.kaiming(a, mode, nonlinearity, "uniform"))
def kaiming_uniform(
    shape: Shape,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **options: Unpack[Options],
) -> Array:
    """Draw uniformly from ``[-b, b)``, ``b = gain * sqrt(3 / fan)``; for ReLU and its kin.

    Parameters
    ----------
    shape : int or sequence of int
    a : float
        Negative slope of leaky_relu; other nonlinearities have no use for it.
    mode : {"fan_in", "fan_out"}
        Whose variance is kept: the signal's on its way forward, or the gradient's on its way back.
    nonlinearity : str
        Sets the gain: a name that `calculate_gain` knows.
    **options
        See `Initializer.__call__`.

    Notes
    -----
    torch.nn.Linear and the convolutions use ``a=sqrt(5)`` for their weights.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> kaiming_uniform((64, 3, 7, 7), a=5 ** 0.5, rng=0).std().round(3)
    np.float32(0.048)
    """
    return get("kaiming_uniform", a=a, mode=mode, nonlinearity=nonlinearity)(shape, **options)


@row(lambda a, mode, nonlinearity: _laws.kaiming(a, mode, nonlinearity, "normal"))
def kaiming_normal(
    shape: Shape,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **options: Unpack[Options],
) -> Array:
    """Draw normals with standard deviation ``gain / sqrt(fan)``; parameters as of `kaiming_uniform`.

    JAX's and Keras's he_normal is ``variance_scaling(shape, 2.0, "fan_in", "truncated_normal")``.

    Examples
    --------
    >>> kaiming_normal((3, 3, 64, 128), layout="io", mode="fan_out", rng=0).std().round(3)
    np.float32(0.042)
    """
    return get("kaiming_normal", a=a, mode=mode, nonlinearity=nonlinearity)(shape, **options)


@row(lambda: _laws.scaled(1.0, "fan_in", "uniform"))
def lecun_uniform(shape: Shape, **options: Unpack[Options]) -> Array:
    """Draw uniformly from ``[-b, b)``, ``b = sqrt(3 / fan_in)``; with SELU.

    References
    ----------
    LeCun et al., "Efficient BackProp", 1998; Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return get("lecun_uniform")(shape, **options)


@row(lambda: _laws.scaled(1.0, "fan_in", "normal"))
def lecun_normal(shape: Shape, **options: Unpack[Options]) -> Array:
    """Draw normals with standard deviation ``sqrt(1 / fan_in)``; see `lecun_uniform`.

    JAX's and Keras's lecun_normal is ``variance_scaling(shape, 1.0, "fan_in", "truncated_normal")``.
    """
    return get("lecun_normal")(shape, **options)


@row(_laws.uniform)
def uniform(shape: Shape, *, low: float = 0.0, high: float = 1.0, **options: Unpack[Options]) -> Array:
    """Draw uniformly from ``[low, high)``."""
    return get("uniform", low=low, high=high)(shape, **options)


@row(_laws.normal)
def normal(shape: Shape, *, mean: float = 0.0, std: float = 1.0, **options: Unpack[Options]) -> Array:
    """Draw normals.

    Examples
    --------
    >>> full = normal((1000, 1000), std=0.02, rng=7)
    >>> part = normal((1000, 1000), std=0.02, rng=7, block=(slice(500, 600), slice(None, None, -3)))
    >>> bool((part == full[500:600, ::-3]).all())
    True
    """
    return get("normal", mean=mean, std=std)(shape, **options)


@row(_laws.truncated_normal)
def truncated_normal(
    shape: Shape,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    **options: Unpack[Options],
) -> Array:
    """Draw normals that lie between bounds.

    Parameters
    ----------
    shape : int or sequence of int
    mean, std : float
        Of the normal before it is cut: `std` is not corrected for the cut.
    low, high : float
        The bounds, in standard deviations from the mean as in JAX and SciPy. (Those of `trunc_normal_` are
        absolute, as torch's are.)
    **options
        See `Initializer.__call__`.

    Examples
    --------
    >>> bool(abs(truncated_normal((100, 100), std=0.02, rng=0)).max() <= 0.04)
    True
    """
    return get("truncated_normal", mean=mean, std=std, low=low, high=high)(shape, **options)


@row(_laws.constant)
def constant(shape: Shape, value: float, **options: Unpack[Options]) -> Array:
    """Fill with one value; draws nothing."""
    return get("constant", value=value)(shape, **options)


@row(lambda: _laws.constant(0.0))
def zeros(shape: Shape, **options: Unpack[Options]) -> Array:
    """Fill with zeros; draws nothing."""
    return get("zeros")(shape, **options)


@row(lambda: _laws.constant(1.0))
def ones(shape: Shape, **options: Unpack[Options]) -> Array:
    """Fill with ones; draws nothing."""
    return get("ones")(shape, **options)


@row(_laws.eye)
def eye(shape: Shape, **options: Unpack[Options]) -> Array:
    """Fill a matrix with the identity; draws nothing.

    Examples
    --------
    >>> eye((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    return get("eye")(shape, **options)


@row(_laws.dirac)
def dirac(shape: Shape, *, groups: int = 1, **options: Unpack[Options]) -> Array:
    """Fill a convolution's weight so that it passes its input channels on; draws nothing.

    Parameters
    ----------
    shape : sequence of int
        Of three to five axes.
    groups : int
        In each of so many groups of outputs, output channel d passes on input channel d of the group.
    **options
        See `Initializer.__call__`.

    Examples
    --------
    >>> dirac((2, 2, 3))
    array([[[0., 1., 0.],
            [0., 0., 0.]],
    <BLANKLINE>
           [[0., 0., 0.],
            [0., 1., 0.]]], dtype=float32)
    """
    return get("dirac", groups=groups)(shape, **options)


@row(_laws.orthogonal)
def orthogonal(shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]) -> Array:
    """Fill with a matrix, outputs by the rest, that is drawn uniformly from the (semi-)orthogonal ones.

    The columns are orthogonal where there are fewer of them than rows, else the rows. It is computed in
    float64 for every dtype: QR of standard normals drawn in C order, signs chosen so that R has a positive
    diagonal.

    Notes
    -----
    The named exception from the promise of equal bits: LAPACK's depend on the machine's BLAS and its threads,
    so the values are reproducible to rounding only (``Plan.exact`` is False). `block` costs the whole tensor.

    References
    ----------
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> w = orthogonal((3, 8), rng=0)
    >>> bool(np.allclose(w @ w.T, np.eye(3), atol=1e-6))
    True
    """
    return get("orthogonal", gain=gain)(shape, **options)


@row(_laws.delta_orthogonal)
def delta_orthogonal(shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]) -> Array:
    """Fill a convolution's weight with an orthogonal matrix at ``(k - 1) // 2`` of its kernel, else zeros.

    JAX's definition, for three to five axes and at least as many outputs as inputs. What `orthogonal` says of
    bits holds here too.

    References
    ----------
    Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018.
    """
    return get("delta_orthogonal", gain=gain)(shape, **options)


@row(_laws.sparse)
def sparse(shape: Shape, sparsity: float, *, std: float = 0.01, **options: Unpack[Options]) -> Array:
    """Draw a matrix of normals with as many zeros in each column.

    Parameters
    ----------
    shape : sequence of int
        ``(rows, columns)``
    sparsity : float
        ``ceil(sparsity * rows)`` elements of each column are zero.
    std : float
    **options
        See `Initializer.__call__`. `block` costs whole columns.

    Notes
    -----
    First come the normals of the whole tensor, then one 32-bit word w for each element (rows * columns of
    them, a buffered half first), both in C order. In each column the elements with the smallest pairs (w,
    row) are zero. So the zeros are as reproducible as the normals.

    References
    ----------
    Martens, "Deep learning via Hessian-free optimization", 2010.

    Examples
    --------
    >>> (sparse((10, 3), 0.25, rng=0) == 0).sum(axis=0)
    array([3, 3, 3])
    """
    return get("sparse", sparsity=sparsity, std=std)(shape, **options)


glorot_uniform, glorot_normal = xavier_uniform, xavier_normal
he_uniform, he_normal = kaiming_uniform, kaiming_normal
glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_
he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_
