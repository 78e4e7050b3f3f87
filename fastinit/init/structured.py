"""The initialisers of constants and matrices, written as in `schemes`."""

from __future__ import annotations

from typing import Any

from fastinit._dtypes import Dtype

from .checks import finite, not_negative, one_or_more
from .fans import Roles, check_groups, resolve_axes
from .initializer import Scheme
from .plans import Bernoulli, Constant, DeltaOrthogonal, Identity, Orthogonal, Plan, Shape, Sparse
from .registry import register

__all__: list[str] = []

Axes = dict[str, Any]

_INTEGERS = " A tensor of integers or bools takes what ``int`` or ``bool`` makes of the value."


def _number(val: float) -> dict[str, float]:
    """Accept a bool as a number, as torch does."""
    return {"value": float(val) if isinstance(val, bool) else val}


@register(names={"value": "val"}, convert=_number, draws=False, integers=lambda val: val, note=_INTEGERS)
def constant(value: float) -> Scheme:
    """Fill with one value; draws nothing."""
    return lambda shape, dtype, axes: Constant(shape, dtype, value)


@register(draws=False, integers=lambda: 0, note=_INTEGERS)
def zeros() -> Scheme:
    """Fill with zeros; draws nothing."""
    return lambda shape, dtype, axes: Constant(shape, dtype, 0.0)


@register(draws=False, integers=lambda: 1, note=_INTEGERS)
def ones() -> Scheme:
    """Fill with ones; draws nothing."""
    return lambda shape, dtype, axes: Constant(shape, dtype, 1.0)


@register()
def bernoulli(*, p: float = 0.5) -> Scheme:
    """Fill with ones with probability p, else with zeros.

    Element i is 1 if the i-th uniform float64 of the stream is below p.

    Examples
    --------
    >>> bool(abs(bernoulli((100, 100), p=0.25, rng=0).mean() - 0.25) < 0.02)
    True
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be between 0 and 1, not {p}")
    return lambda shape, dtype, axes: Bernoulli(shape, dtype, p)


@register(draws=False)
def eye() -> Scheme:
    """Fill a matrix with the identity; draws nothing.

    Examples
    --------
    >>> eye((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    return lambda shape, dtype, axes: Identity(_of_rank("eye", shape, 2), dtype, 0, 1, shape[0])


@register(draws=False, axes=True)
def dirac(*, groups: int = 1) -> Scheme:
    """Fill a convolution's weight so that it passes its input channels on; draws nothing.

    Parameters
    ----------
    shape : sequence of int
        Three to five axes.
    groups : int
        Number of groups. In each, output channel d passes on input channel d.
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
    one_or_more("groups", groups)

    def plan(shape: Shape, dtype: Dtype, axes: Axes) -> Plan:
        roles = _channels("dirac", shape, axes)
        check_groups(groups, shape, roles)
        [channels], [others] = roles.channels, roles.outs if roles.transposed else roles.ins
        return Identity(shape, dtype, channels, others, shape[channels] // groups)

    return plan


@register(axes=True)
def orthogonal(*, gain: float = 1.0) -> Scheme:
    """Fill with a matrix, outputs by the rest, that is drawn uniformly from the (semi-)orthogonal ones.

    The columns are orthonormal if there are fewer of them than rows, else the rows are. The matrix is the Q
    of a QR decomposition in float64 of standard normals, drawn in C order. Its signs make R's diagonal
    positive.

    Notes
    -----
    An exception from the promise of equal bits: those of LAPACK depend on the machine's BLAS and threads, so
    values are equal only to rounding (``Plan.exact`` is False). `block` costs as much as the full tensor.

    LAPACK does not hear Ctrl-C, which is raised after it: for thousands of rows and columns, minutes later.

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
    finite("gain", gain)

    def plan(shape: Shape, dtype: Dtype, axes: Axes) -> Plan:
        roles = resolve_axes(shape, **axes)
        return Orthogonal(shape, dtype, gain, roles.batch, roles.outs)

    return plan


@register(axes=True)
def delta_orthogonal(*, gain: float = 1.0) -> Scheme:
    """Fill a convolution's weight with an orthogonal matrix at ``(k - 1) // 2`` of its kernel, else zeros.

    As in JAX, the shape has three to five axes and at least as many outputs as inputs. The bits may differ
    between machines, as for `orthogonal`.

    References
    ----------
    Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018.
    """
    finite("gain", gain)

    def plan(shape: Shape, dtype: Dtype, axes: Axes) -> Plan:
        [in_axis], [out_axis] = _channels("delta_orthogonal", shape, axes)[:2]
        if shape[in_axis] > shape[out_axis]:
            raise ValueError(
                f"delta_orthogonal needs at least as many outputs as inputs: shape {shape} has "
                f"{shape[out_axis]} and {shape[in_axis]}"
            )
        return DeltaOrthogonal(shape, dtype, gain, out_axis, in_axis)

    return plan


@register()
def sparse(sparsity: float, *, std: float = 0.01) -> Scheme:
    """Draw a matrix of normals with the same number of zeros in each column.

    Parameters
    ----------
    shape : sequence of int
        ``(rows, columns)``
    sparsity : float
        ``ceil(sparsity * rows)`` elements of each column are zero.
    std : float
    **options
        See `Initializer.__call__`. `block` costs as much as its full columns.

    Notes
    -----
    The stream gives the normals of the full tensor, then one 32-bit word w for each element (a buffered half
    first), both in C order. In each column, the elements with the smallest pairs (w, row) are zero.

    References
    ----------
    Martens, "Deep learning via Hessian-free optimization", 2010.

    Examples
    --------
    >>> (sparse((10, 3), 0.25, rng=0) == 0).sum(axis=0)
    array([3, 3, 3])
    """
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity must be between 0 and 1, not {sparsity}")
    not_negative("std", std)
    return lambda shape, dtype, axes: Sparse(_of_rank("sparse", shape, 2), dtype, sparsity, std)


def _channels(name: str, shape: Shape, axes: Axes) -> Roles:
    roles = resolve_axes(_of_rank(name, shape, 3, 5), **axes)
    if len(roles.ins) != 1 or len(roles.outs) != 1 or roles.batch:
        raise ValueError(f"{name} takes one in_axis, one out_axis and no batch_axis")
    return roles


def _of_rank(name: str, shape: Shape, least: int, most: int | None = None) -> Shape:
    if not least <= len(shape) <= (most or least):
        needs = f"{least} to {most}" if most else f"{least}"
        raise ValueError(f"{name} needs {needs} axes: shape {shape} has {len(shape)}")
    return shape
