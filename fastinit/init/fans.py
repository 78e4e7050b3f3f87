"""Fans and gains, which set the scale of a weight from its shape and the layer's activation."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat

from fastinit._dispatch import default_fp

from .checks import known, one_or_more

if TYPE_CHECKING:
    from fastinit._typing import Nonlinearity

Axes = int | Sequence[int]


class Roles(NamedTuple):
    """The axes of a weight, by what they count. The axes that none names are the kernel's."""

    ins: tuple[int, ...]
    outs: tuple[int, ...]
    batch: tuple[int, ...] = ()
    transposed: bool = False

    @property
    def channels(self) -> tuple[int, ...]:
        """The axes with the channels of all groups, where the others have those of one group."""
        return self.ins if self.transposed else self.outs


LAYOUTS = {
    "oi": Roles((1,), (0,)),
    "io": Roles((-2,), (-1,)),
    "torch_transposed": Roles((0,), (1,), transposed=True),
    "keras_transposed": Roles((-1,), (-2,), transposed=True),
    "keras_depthwise": Roles((), (-1,), batch=(-2,)),
}
_MOST = sys.maxsize  # elements of a byte


def compute_fans(
    shape: int | Sequence[int],
    *,
    layout: str = "oi",
    in_axis: Axes | None = None,
    out_axis: Axes | None = None,
    batch_axis: Axes = (),
    groups: int = 1,
) -> tuple[int, int]:
    """Return fan_in, the inputs that each output sums, and fan_out, the outputs that each input reaches.

    Parameters
    ----------
    shape : sequence of int
        The weight's shape, with at least two axes besides `batch_axis`.
    layout : str
        ====================== =========================== ==============================================
        ``"oi"``               (out, in, \\*kernel)         torch
        ``"io"``               (\\*kernel, in, out)         JAX, Flax, Keras
        ``"torch_transposed"`` (in, out, \\*kernel)         torch.nn.ConvTranspose1d, 2d and 3d
        ``"keras_transposed"`` (\\*kernel, out, in)         Keras's Conv1DTranspose, 2D and 3D; Flax's
                                                           ConvTranspose with ``transpose_kernel=True``
        ``"keras_depthwise"``  (\\*kernel, in, multiplier)  Keras's DepthwiseConv1D and 2D, and the first
                                                           kernel of its SeparableConv1D and 2D
        ====================== =========================== ==============================================

    in_axis, out_axis : int or sequence of int, optional
        The axes of inputs and outputs, instead of `layout`; give both or neither. Negative axes count from
        the end. Axes that are not named are the kernel's.
    batch_axis : int or sequence of int
        Axes over independent weights, such as the experts in a mixture. They count in no fan. `layout`
        orders the other axes.
    groups : int
        Groups of a convolution. The weight has the channels of one group along its input axis, or, if it is
        transposed, along its output axis. So only the other fan is divided. ``groups=1`` gives torch's fans,
        which ignore groups.

    Raises
    ------
    ValueError
        The shape has fewer than two axes, the layout is unknown, an axis is out of range or named twice, or
        `groups` doesn't divide the outputs (of a transposed weight, the inputs).

    Examples
    --------
    >>> compute_fans((256, 784))
    (784, 256)
    >>> compute_fans((64, 3, 7, 7))
    (147, 3136)
    >>> compute_fans((7, 7, 3, 64), layout="io")
    (147, 3136)
    >>> compute_fans((32, 1, 3, 3), groups=32)
    (9, 9)
    >>> compute_fans((4, 3, 3), layout="torch_transposed", groups=2)
    (6, 9)
    """
    sizes = as_shape(shape)
    [count] = _indices(groups)
    one_or_more("groups", count)
    return fans_of(sizes, resolve_axes(sizes, layout, in_axis, out_axis, batch_axis), count)


def fans_of(sizes: tuple[int, ...], roles: Roles, groups: int) -> tuple[int, int]:
    """Return fan_in and fan_out of a weight with these sizes and roles of its axes."""
    if groups > 1:
        check_groups(groups, sizes, roles)
    ins, outs, batch, transposed = roles
    inputs = math.prod([sizes[axis] for axis in ins])
    outputs = math.prod([sizes[axis] for axis in outs])
    named = ins + outs + batch
    kernel = math.prod([size for axis, size in enumerate(sizes) if axis not in named])
    if transposed:
        return inputs // groups * kernel, outputs * kernel
    return inputs * kernel, outputs // groups * kernel


def check_groups(groups: int, shape: tuple[int, ...], roles: Roles) -> None:
    """Raise ValueError if a weight cannot be that of so many groups."""
    if groups > 1 and not roles.ins:
        raise ValueError(f"groups={groups}, but each input of a depthwise weight is a group already")
    channels = math.prod(shape[axis] for axis in roles.channels)
    if channels % groups:
        what = "inputs" if roles.transposed else "outputs"
        raise ValueError(f"groups={groups} does not divide the {channels} {what} of shape {shape}")


def calculate_gain(nonlinearity: Nonlinearity, param: float | None = None) -> float:
    """Return the factor on a weight's standard deviation that makes up for the activation after it.

    =============================== ======================= ==================================
    nonlinearity                    gain                    from
    =============================== ======================= ==================================
    linear, conv*d,                 1                       torch
    conv_transpose*d, sigmoid
    tanh                            5/3                     torch
    relu                            sqrt(2)                 1 / sqrt(E[f(z)^2]), He et al. 2015
    leaky_relu                      sqrt(2 / (1 + slope^2)) the same
    selu                            3/4                     torch, found empirically
    gelu                            1.5335304411955353      the same as relu;
                                                            E = 1/3 + 1 / (2 sqrt(3) pi)
    silu                            1.676532470331091       the same, E by quadrature
    =============================== ======================= ==================================

    With z a standard normal, the gain ``1 / sqrt(E[f(z)^2])`` keeps the mean square of the signal from layer
    to layer.

    Parameters
    ----------
    nonlinearity : str
        A name from the table.
    param : float, optional
        The negative slope of leaky_relu, 0.01 by default. Others ignore it.

    Raises
    ------
    ValueError
        The name is unknown, or the slope is not a number with a finite square.

    Examples
    --------
    >>> calculate_gain("leaky_relu", 0.2)
    1.3867504905630728
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    with default_fp():
        return math.sqrt(squared_gain(nonlinearity, param))


# Initialisers set variances, so the table holds squares: sqrt(2 / fan) is not made from a rounded sqrt(2).
_SQUARED_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid"), 1.0),
    "tanh": 25.0 / 9.0,
    "relu": 2.0,
    "leaky_relu": None,
    "selu": 9.0 / 16.0,
    "gelu": 2.3517156140733729,
    "silu": 2.8107611240744711,
}


def squared_gain(nonlinearity: Nonlinearity, param: float | None = None) -> float:
    """Return the square of `calculate_gain`: the factor on the variance."""
    if not isinstance(nonlinearity, str) or nonlinearity not in _SQUARED_GAINS:
        raise ValueError(f"unknown nonlinearity {nonlinearity!r}; known are {', '.join(_SQUARED_GAINS)}")
    square = _SQUARED_GAINS[nonlinearity]
    if square is not None:
        return square
    slope: Any = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, Real):
        raise ValueError(f"param, the negative slope of {nonlinearity}, must be a number, not {slope!r}")
    return 2.0 / (1.0 + finite_square("param, the negative slope", slope))


def finite_square(what: str, value: SupportsFloat) -> float:
    """Return the square of an argument. Raise ValueError if it is NaN, infinite or overflows."""
    try:
        square = float(value) * float(value)
    except OverflowError:
        square = math.inf
    if not square < math.inf:
        raise ValueError(f"{what} must be a number whose square is finite, not {value!r}")
    return square


def as_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return a shape as a tuple of ints. Raise ValueError for a bad size, TypeError for no shape."""
    try:
        if isinstance(shape, (bool, bytes, bytearray, memoryview, Mapping, Set)):
            raise TypeError
        sizes = _indices(shape)
    except TypeError:
        given = type(shape).__name__ if hasattr(shape, "shape") else repr(shape)
        raise TypeError(f"a shape is an int or a sequence of ints, not {given}") from None
    if min(sizes, default=0) < 0:
        raise ValueError(f"shape {sizes} has a negative size")
    if math.prod([size for size in sizes if size]) > _MOST:
        raise ValueError(f"shape {sizes} is larger than memory can be")
    return sizes


def resolve_axes(
    shape: tuple[int, ...], layout: str, in_axis: Axes | None, out_axis: Axes | None, batch_axis: Axes
) -> Roles:
    """Return the axes of inputs, outputs and batch, counted from the front."""
    known("layout", layout, LAYOUTS)
    if (in_axis is None) != (out_axis is None):
        raise ValueError("in_axis and out_axis go together: give both, or neither and a layout")
    batch = _normalised(shape, "batch_axis", batch_axis)
    if in_axis is not None and out_axis is not None:
        ins, outs = _normalised(shape, "in_axis", in_axis), _normalised(shape, "out_axis", out_axis)
        roles = Roles(ins, outs, batch)
    else:
        rest = [axis for axis in range(len(shape)) if axis not in batch]
        if len(rest) < 2:
            raise ValueError(
                f"fans need two axes or more, an input's and an output's: shape {shape} has {len(rest)}"
                + (f" besides batch_axis {batch}" if batch else "")
            )
        *places, transposed = LAYOUTS[layout]
        ins, outs, more = [tuple([rest[place] for place in each]) for each in places]
        roles = Roles(ins, outs, batch + more, transposed)
    named = ins + outs + roles.batch
    if len(set(named)) < len(named):
        raise ValueError(f"in_axis {ins}, out_axis {outs} and batch_axis {batch} name an axis twice")
    return roles


def _indices(value: int | Iterable[int]) -> tuple[int, ...]:
    items = value if isinstance(value, Iterable) else (value,)
    if any([isinstance(item, bool) for item in items]):
        raise TypeError(f"integers are wanted, not {value!r}")
    return tuple([index(item) for item in items])


def _normalised(shape: tuple[int, ...], name: str, axes: Axes) -> tuple[int, ...]:
    listed = _indices(axes)
    for axis in listed:
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"{name} {axis} is out of range for shape {shape}")
    return tuple([axis % len(shape) for axis in listed])
