"""`Initializer`, an initialiser with its arguments, and `get`, which makes one."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, Unpack, overload

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes
from fastinit._arrays import is_sharded, memory_of
from fastinit._dispatch import default_fp
from fastinit._dtypes import Dtype
from fastinit._tables import kept

from . import specs
from .checks import known
from .fans import LAYOUTS, Axes, as_shape
from .filling import Array, Block, fill, fill_sharded, ranges_of
from .plans import Plan

Shape = int | Sequence[int]
_Target = TypeVar("_Target")

if TYPE_CHECKING:
    from fastinit._typing import Float32, Float64, Out

    class _Options(TypedDict, total=False):
        layout: str | None
        in_axis: Axes | None
        out_axis: Axes | None
        batch_axis: Axes
        rng: Any
        block: Block | None


# (shape, dtype, keyword arguments of compute_fans) -> plan
Scheme = Callable[[tuple[int, ...], Dtype, dict[str, Any]], Plan]


class _Entry(NamedTuple):
    scheme: Callable[..., Scheme]  # takes the initialiser's own arguments
    defaults: dict[str, Any]  # of these arguments, in order; _REQUIRED if there is none
    in_place: str


@kept
def planned(
    plan: Callable[..., Plan],
    shape: Shape,
    layout: str | None,
    in_axis: Axes | None,
    out_axis: Axes | None,
    batch_axis: Axes,
    dtype: Dtype | np.dtype[Any],
) -> Plan:
    """Call the method `Initializer.plan`."""
    return plan(shape, layout=layout, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype)


_REQUIRED = inspect.Parameter.empty
_ENTRIES: dict[str, _Entry] = {}
_ALIASES: dict[str, str] = {}
_AXES: dict[str, Any] = {"in_axis": None, "out_axis": None, "batch_axis": ()}


def enter(name: str, scheme: Callable[..., Scheme], in_place: str, alias: str | None) -> None:
    """Add an initialiser to the table: its name, its scheme, its in-place form's name, and its alias."""
    if alias is not None:
        _ALIASES[alias] = name
    parameters = inspect.signature(scheme).parameters.values()
    _ENTRIES[name] = _Entry(scheme, {each.name: each.default for each in parameters}, in_place)


class Initializer:
    """An initialiser with its arguments, made by `get`.

    It is immutable, hashable and picklable. Two are equal if their `spec` is equal.

    Attributes
    ----------
    name : str
    arguments : dict
        Every argument, defaults included.
    spec : str
        The shortest string from which `get` makes an equal initialiser.

    Examples
    --------
    >>> from fastinit import init
    >>> init.get("he_normal", mode="fan_out", a=0)
    Initializer('kaiming_normal(mode=fan_out)')
    """

    __slots__ = ("_axes", "_scheme", "arguments", "name", "spec")

    def __init__(self, name: str, given: dict[str, Any]) -> None:
        name = _ALIASES.get(name, name)
        if name not in _ENTRIES:
            names = ", ".join(sorted({*_ENTRIES, *_ALIASES}))
            raise ValueError(f"unknown initialiser {name!r}; known are {names}")
        scheme, defaults, _ = _ENTRIES[name]
        unknown = [key for key in given if key not in defaults and key not in _AXES]
        missing = [key for key, value in defaults.items() if value is _REQUIRED and key not in given]
        if unknown or missing:
            takes = ", ".join(k if v is _REQUIRED else f"{k}={v}" for k, v in defaults.items())
            problem = f"has no argument {unknown[0]!r}" if unknown else f"needs a value for {missing[0]!r}"
            raise ValueError(f"{name} {problem}; it takes {takes or 'none'}")
        own = {k: _coerced(f"{name}'s {k}", given.get(k, v), v) for k, v in defaults.items()}
        if isinstance(own.get("mode"), str):
            own["mode"] = own["mode"].lower()  # as in torch
        axes = {key: _axes(given.get(key, default)) for key, default in _AXES.items()}
        self._scheme = scheme(**own)
        self.name, self.arguments, self._axes = name, own, axes
        changed = {key: own[key] for key in own if own[key] != defaults[key]}
        changed |= {key: axes[key] for key in axes if axes[key] != _AXES[key]}
        self.spec = specs.write(name, changed)

    def plan(
        self,
        shape: Shape,
        *,
        layout: str | None = "oi",
        in_axis: Axes | None = None,
        out_axis: Axes | None = None,
        batch_axis: Axes = (),
        dtype: npt.DTypeLike | Dtype = np.float32,
    ) -> Plan:
        """Check all arguments and describe the tensor, without making it.

        Parameters
        ----------
        shape, layout, in_axis, out_axis, batch_axis, dtype
            As of a call. An initialiser without fans also takes ``layout=None``.

        Examples
        --------
        >>> from fastinit import init
        >>> plan = init.get("xavier_uniform").plan((256, 784))
        >>> plan.fans, plan.parameters
        ((784, 256), (-0.07595545253127499, 0.07595545253127499))
        """
        if layout is not None:
            known("layout", layout, LAYOUTS)
        axes = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
        axes = {key: _axes(value) for key, value in axes.items()}
        axes = {key: self._axes[key] if value == _AXES[key] else value for key, value in axes.items()}
        record = _dtypes.of(dtype)
        try:
            sizes = as_shape(shape)
        except TypeError as error:
            twin = _ENTRIES[self.name].in_place
            hint = f"; to fill an array in place there is {twin}" if hasattr(shape, "shape") else ""
            raise TypeError(f"{error}{hint}") from None
        with default_fp():
            return self._scheme(sizes, record, {"layout": layout, **axes})

    @overload
    def __call__(
        self, shape: Shape, *, dtype: Float32 = ..., out: None = None, **options: Unpack[_Options]
    ) -> npt.NDArray[np.float32]: ...
    @overload
    def __call__(
        self, shape: Shape, *, dtype: Float64 = ..., out: None = None, **options: Unpack[_Options]
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def __call__(
        self, shape: Shape, *, dtype: npt.DTypeLike = ..., out: Out, **options: Unpack[_Options]
    ) -> Out: ...
    @overload
    def __call__(
        self,
        shape: Shape,
        *,
        dtype: npt.DTypeLike = ...,
        out: Array | None = None,
        **options: Unpack[_Options],
    ) -> Array: ...
    def __call__(
        self,
        shape: Shape,
        *,
        layout: str | None = "oi",
        in_axis: Axes | None = None,
        out_axis: Axes | None = None,
        batch_axis: Axes = (),
        dtype: npt.DTypeLike = np.float32,
        rng: Any = None,
        out: Array | None = None,
        block: Block | None = None,
    ) -> Array:
        """Return an array filled by this initialiser.

        Parameters
        ----------
        shape : int or sequence of int
        layout : str
            ``"oi"`` is torch's order (out, in, \\*kernel), ``"io"`` that of JAX and Keras (\\*kernel, in,
            out). `compute_fans` has those of transposed and depthwise convolutions.
        in_axis, out_axis : int or sequence of int, optional
            The axes, instead of `layout`; give both or neither.
        batch_axis : int or sequence of int
            Axes over independent weights; `layout` orders the others.
        dtype : {float32, float64, float16, bfloat16}
            bfloat16 needs ``ml_dtypes``.
        rng : fastinit.random.Generator, optional
            Or anything that `fastinit.random.default_rng` takes. None takes entropy from the system. The seed
            of a torch.Generator is drawn from it.
        out : ndarray, optional
            An array to write to, of `dtype` and the result's shape.
        block : tuple of slice, optional
            Return ``full[block]``, ``full`` being the tensor of this shape, at the cost of the block alone.
            It needs `rng`, which moves past the full tensor.

        Returns
        -------
        ndarray
            `out`, if given.

        Warns
        -----
        UserWarning
            `rng` is an int that made a tensor before, which begins with the same draws. ``fold_in(name)`` of
            a generator gives each tensor its own. The warning is given once in a process.
        """
        record = _dtypes.of(dtype)
        plan = planned(self.plan, shape, layout, in_axis, out_axis, batch_axis, record)
        ranges = None if block is None else ranges_of(block, plan.shape)
        if block is not None and rng is None and plan.random:
            raise ValueError(
                "block= needs an rng: the blocks of a tensor come from one position of one generator"
            )
        result = plan.shape if ranges is None else tuple(len(axis) for axis in ranges)
        if out is None:
            out = np.empty(result, record.numpy)
        elif not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
        elif not record.names(out.dtype):
            raise TypeError(f"out has dtype {out.dtype}, but dtype asks for {record.name}")
        elif out.shape != result:
            raise ValueError(f"out has shape {out.shape}, but the result has {result}")
        fill(plan, record.view(np.asarray(out)), rng, ranges)
        return out

    def fill_(
        self,
        tensor: _Target,
        generator: Any = None,
        *,
        layout: str | None = "oi",
        in_axis: Axes | None = None,
        out_axis: Axes | None = None,
        batch_axis: Axes = (),
    ) -> _Target:
        """Fill an array in place and return it.

        Parameters
        ----------
        tensor : ndarray, torch.Tensor, or anything with the buffer protocol or DLPack
            Of float16, bfloat16, float32 or float64, with any strides. A torch tensor must be on the CPU and
            may require grad. Of a DTensor, each rank fills its own part, with the values of the whole tensor.
        generator : fastinit.random.Generator, optional
            As `rng` of a call. If it is None, the seed for a torch tensor is drawn from torch's default
            generator, so that ``torch.manual_seed`` governs.
        layout, in_axis, out_axis, batch_axis
            As of a call.
        """
        if is_sharded(tensor):
            whole: Any = tensor
            own = _dtypes.of(str(whole.dtype).removeprefix("torch."))
            plan = planned(self.plan, tuple(whole.shape), layout, in_axis, out_axis, batch_axis, own)
            fill_sharded(plan, whole, generator)
            return tensor
        target, record = memory_of(tensor, output=True, fills=True)
        plan = planned(self.plan, target.shape, layout, in_axis, out_axis, batch_axis, record or target.dtype)
        fill(plan, target, generator, None, tensor)
        return tensor

    def __eq__(self, other: object) -> bool:
        return self.spec == other.spec if isinstance(other, Initializer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f"Initializer({self.spec!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.spec,)


def get(spec: str | Initializer, **arguments: Any) -> Initializer:
    """Return the initialiser of a name or spec string; an Initializer is returned itself.

    Parameters
    ----------
    spec : str or Initializer
        A name, or a string such as ``"kaiming_normal(mode=fan_out, a=0.1)"`` or ``"normal(0, 0.02)"``: values
        are numbers, words, quoted strings, True, False, None, tuples or lists. Those without a name have the
        order of the function's own arguments. ``in_axis``, ``out_axis`` and ``batch_axis`` are defaults for
        calls.
    **arguments
        The arguments, if `spec` is a name.

    Raises
    ------
    ValueError
        The name or an argument is unknown, a value is out of range, or the spec has another syntax.

    Examples
    --------
    >>> from fastinit import init
    >>> init.get("kaiming_normal", mode="fan_out").spec
    'kaiming_normal(mode=fan_out)'
    >>> init.get("normal(std=0.02)")((2, 3), rng=0).shape
    (2, 3)
    """
    if isinstance(spec, str) and spec.strip().isidentifier():
        with default_fp():
            return Initializer(spec.strip(), arguments)
    if arguments:
        raise TypeError(f"arguments go with a name alone, not with {spec!r}")
    if isinstance(spec, Initializer):
        return spec
    if not isinstance(spec, str):
        raise TypeError(f"an initialiser is a name, a spec string or an Initializer, not {spec!r}")
    try:
        with default_fp():  # reading and writing decimals rounds
            name, values, given = specs.parse(spec)
            return Initializer(name, _named(name, values, given) if values else given)
    except ValueError as error:
        raise ValueError(f"in {spec!r}: {error}") from None


def _named(name: str, values: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name, `values` being an initialiser's first. ValueError if they don't fit."""
    entry = _ENTRIES.get(_ALIASES.get(name, name))
    if entry is None:
        return {}  # the name is an error of its own
    names = list(entry.defaults)
    if len(values) > len(names):
        raise ValueError(f"{name} takes {', '.join(names) or 'none'}, but {len(values)} values are given")
    first = dict(zip(names, values, strict=False))
    if twice := first.keys() & given.keys():
        raise ValueError(f"{min(twice)!r} is given twice")
    return {**first, **given}


def _coerced(what: str, value: Any, default: Any) -> Any:
    """Return a value in the type of its default, or as a float, so that equal arguments have one spec."""
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise ValueError(f"{what} must be a word, not {value!r}")
    if isinstance(default, bool):
        if isinstance(value, (bool, np.bool)):
            return bool(value)
        raise ValueError(f"{what} must be True or False, not {value!r}")
    kind = int if isinstance(default, int) else float
    try:
        if kind is int and hasattr(value, "__index__") and not isinstance(value, bool):
            return operator.index(value)
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or (kind is int and number != value):
        raise ValueError(f"{what} must be {'an integer' if kind is int else 'a number'}, not {value!r}")
    return number


def _axes(value: Any) -> Any:
    """Return an axis as an int, several as a tuple of ints, and None as itself. TypeError for others."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, float)):
        raise TypeError(f"an axis is an integer, not {value}")
    if hasattr(value, "__index__") and not getattr(value, "shape", ()):
        return operator.index(value)
    return tuple(operator.index(each) for each in value)


def _keywords(function: Callable[..., Any]) -> list[inspect.Parameter]:
    every = inspect.signature(function).parameters.values()
    return [each for each in every if each.kind is inspect.Parameter.KEYWORD_ONLY]


#: The keyword arguments that all array forms share, and those that forms in place share if they take axes.
OPTIONS, OPTIONS_IN_PLACE = _keywords(Initializer.__call__), _keywords(Initializer.fill_)
