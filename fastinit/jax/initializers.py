"""`jax.nn.initializers` with fastinit's values: its names, signatures, distributions and defaults.

Each function but `zeros` and `ones` returns an initialiser ``init(key, shape, dtype, out_sharding=None)``:

key : jax.Array or fastinit.random.Generator
    A key of `jax.random`, typed or raw. With w its 32-bit words, the array is what `fastinit.init` makes from
    ``fastinit.random.default_rng(w)``. A Generator fills from its position and moves past the array. It is a
    TypeError under `jax.jit`, where its values would be constants.
shape : sequence of int
dtype : dtype, optional
    float16, bfloat16, float32 or float64; by default JAX's float. float64 becomes float32 unless
    ``jax_enable_x64`` is set. Complex and other dtypes are a TypeError.
out_sharding : jax.sharding.Sharding or PartitionSpec, optional
    Where the array goes. Each device gets its own part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.nn.initializers import Initializer, constant, ones, zeros  # JAX's own: they draw nothing

from fastinit import _dtypes, init
from fastinit._dtypes import Dtype
from fastinit.init.fans import as_shape
from fastinit.init.initializer import planned
from fastinit.init.plans import Plan

from .placing import made

Axes = int | Sequence[int]
Shape = tuple[int, ...]


def _initializer(plan: Callable[[Shape, Dtype], Plan], default: Any) -> Initializer:
    """Return the initialiser that fills an array by the plan of its shape and dtype."""

    def initializer(
        key: Any, shape: Sequence[int], dtype: Any = default, out_sharding: Any = None
    ) -> jax.Array:
        record = _dtypes.of(jax.dtypes.canonicalize_dtype(float if dtype is None else dtype))
        return made(plan(as_shape(shape), record), key, out_sharding)

    return initializer


def _of_spec(
    spec: init.Initializer, dtype: Any, in_axis: Any = None, out_axis: Any = None, batch_axis: Any = ()
) -> Initializer:
    """Return the initialiser of a spec, with axes for its fans, if it has any."""
    ins, outs, batch = (tuple(x) if isinstance(x, list) else x for x in (in_axis, out_axis, batch_axis))
    return _initializer(
        lambda shape, record: planned(spec.plan, shape, "io", ins, outs, batch, record), dtype
    )


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Draw uniformly from ``[0, scale)``.

    Examples
    --------
    >>> import jax
    >>> bool(uniform(10.0)(jax.random.key(0), (2, 3)).max() < 10)
    True
    """
    return _of_spec(init.get("uniform", high=scale), dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Draw normals of mean 0.

    Examples
    --------
    >>> import jax
    >>> round(float(normal(0.02)(jax.random.key(0), (200, 300)).std()), 3)
    0.02
    """
    return _of_spec(init.get("normal", std=stddev), dtype)


def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> Initializer:
    """Draw normals between bounds.

    Parameters
    ----------
    stddev : float
        The standard deviation before truncation.
    dtype : dtype, optional
    lower, upper : float
        The bounds, in standard deviations.

    Examples
    --------
    >>> import jax
    >>> bool(abs(truncated_normal(1.0)(jax.random.key(0), (2, 3))).max() <= 2)
    True
    """
    return _of_spec(init.get("truncated_normal", std=stddev, low=lower, high=upper), dtype)


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Draw with mean 0 and variance ``scale / n``, n being a fan of the shape.

    Parameters
    ----------
    scale : float
    mode : {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"}
        Which fan n is. The averages are the arithmetic and the geometric mean of both fans.
    distribution : {"truncated_normal", "normal", "uniform"}
        A truncated normal is cut at two of its standard deviations, which are made larger for that.
    in_axis, out_axis : int or sequence of int
        The axes of inputs and outputs.
    batch_axis : int or sequence of int
        Axes over independent weights, which count in no fan. All other axes are a kernel's.
    dtype : dtype, optional

    Examples
    --------
    >>> import jax
    >>> w = variance_scaling(2.0, "fan_in", "normal")(jax.random.key(0), (256, 784))
    >>> bool(abs(w.std() / (2 / 256) ** 0.5 - 1) < 0.01)
    True
    """
    spec = init.get("variance_scaling", scale=scale, mode=mode, distribution=distribution)
    return _of_spec(spec, dtype, in_axis, out_axis, batch_axis)


def _scaling(name: str, scale: float, mode: str, distribution: str) -> Callable[..., Initializer]:
    """Return the function of a name for `variance_scaling`."""

    def scaled(
        in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    scaled.__name__ = scaled.__qualname__ = name
    scaled.__doc__ = f'Return ``variance_scaling({scale}, "{mode}", "{distribution}")`` with such axes.'
    return scaled


glorot_uniform = xavier_uniform = _scaling("glorot_uniform", 1.0, "fan_avg", "uniform")
glorot_normal = xavier_normal = _scaling("glorot_normal", 1.0, "fan_avg", "truncated_normal")
lecun_uniform = _scaling("lecun_uniform", 1.0, "fan_in", "uniform")
lecun_normal = _scaling("lecun_normal", 1.0, "fan_in", "truncated_normal")
he_uniform = kaiming_uniform = _scaling("he_uniform", 2.0, "fan_in", "uniform")
he_normal = kaiming_normal = _scaling("he_normal", 2.0, "fan_in", "truncated_normal")


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Draw a (semi-)orthogonal matrix, whose columns lie along one axis, and multiply it by `scale`.

    LAPACK computes it, so its bits may differ between machines, and each part costs as much as the array.

    Parameters
    ----------
    scale : float
    column_axis : int
        The axis of the columns. The other axes make the rows.
    dtype : dtype, optional

    Examples
    --------
    >>> import jax
    >>> w = orthogonal()(jax.random.key(0), (3, 8))
    >>> bool(abs(w @ w.T - jax.numpy.eye(3)).max() < 1e-6)
    True
    """
    spec = init.get("orthogonal", gain=scale)

    def plan(shape: Shape, record: Dtype) -> Plan:
        if len(shape) < 2:
            raise ValueError(f"orthogonal needs two axes or more: shape {shape} has {len(shape)}")
        rows = tuple(axis for axis in range(len(shape)) if axis != column_axis % len(shape))
        return planned(spec.plan, shape, "io", rows, column_axis, (), record)

    return _initializer(plan, dtype)


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Draw an orthogonal matrix in the middle of a kernel ``(*kernel, in, out)``, with zeros around it.

    Parameters
    ----------
    scale : float
    column_axis : int
        -1 or -2. Both give the same distribution, and here the same values.
    dtype : dtype, optional

    Examples
    --------
    >>> import jax
    >>> w = delta_orthogonal()(jax.random.key(0), (3, 4, 4))
    >>> bool((w[0] == 0).all() and abs(w[1] @ w[1].T - jax.numpy.eye(4)).max() < 1e-6)
    True
    """
    if column_axis not in (-1, -2, 0, 1):
        raise ValueError(f"column_axis must be an axis of a matrix, not {column_axis}")
    return _of_spec(init.get("delta_orthogonal", gain=scale), dtype, -2, -1)


__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
