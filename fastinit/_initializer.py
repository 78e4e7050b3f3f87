"""An initialiser with its arguments: what `fastinit.init.get` returns, its spec, and how it fills arrays."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes
from fastinit._dispatch import default_fp
from fastinit._laws import Law
from fastinit._plan import Plan
from fastinit.fans import LAYOUTS, Axes, as_shape

__all__ = ["Array", "Initializer", "Options", "Shape", "get", "memory_of", "row"]

Array = npt.NDArray[Any]
Shape = int | Sequence[int]
Block = tuple[Any, ...] | slice
_Function = TypeVar("_Function", bound=Callable[..., Array])
_Target = TypeVar("_Target")


class Options(TypedDict, total=False):
    """What every initialiser takes; `Initializer.__call__` says what each means."""

    layout: str | None
    in_axis: Axes | None
    out_axis: Axes | None
    batch_axis: Axes
    dtype: npt.DTypeLike
    rng: Any
    out: Array | None
    block: Block | None


class _Row(NamedTuple):
    law: Callable[..., Law]
    defaults: dict[str, Any]  # in order; _REQUIRED where there is none


_REQUIRED = inspect.Parameter.empty
_ROWS: dict[str, _Row] = {}
_ALIASES = {
    f"{alias}_{distribution}": f"{name}_{distribution}"
    for alias, name in (("glorot", "xavier"), ("he", "kaiming"))
    for distribution in ("uniform", "normal")
}
_AXES: dict[str, Any] = {"in_axis": None, "out_axis": None, "batch_axis": ()}


class Initializer:
    """A rule for filling a weight, with its arguments; made by `get`.

    Two are equal when their `spec` is. They are immutable, hashable and can be pickled.

    Attributes
    ----------
    name : str
    arguments : dict
        Every argument, defaults included.
    spec : str
        The shortest string that `get` makes an equal initialiser from.

    Examples
    --------
    >>> from fastinit import init
    >>> init.get("he_normal", mode="fan_out", a=0)
    Initializer('kaiming_normal(mode=fan_out)')
    """

    __slots__ = ("_axes", "_law", "arguments", "name", "spec")

    name: str
    arguments: dict[str, Any]
    spec: str

    def __init__(self, name: str, given: dict[str, Any]) -> None:
        name = _ALIASES.get(name, name)
        if name not in _ROWS:
            known = ", ".join(sorted({*_ROWS, *_ALIASES}))
            raise ValueError(f"unknown initialiser {name!r}; known are {known}")
        law, defaults = _ROWS[name]
        unknown = [key for key in given if key not in defaults and key not in _AXES]
        missing = [key for key, value in defaults.items() if value is _REQUIRED and key not in given]
        if unknown or missing:
            takes = ", ".join(
                key if value is _REQUIRED else f"{key}={value}" for key, value in defaults.items()
            )
            problem = f"has no argument {unknown[0]!r}" if unknown else f"needs a value for {missing[0]!r}"
            raise ValueError(f"{name} {problem}; it takes {takes or 'none'}")
        own = {
            key: _coerced(f"{name}'s {key}", given.get(key, default), default)
            for key, default in defaults.items()
        }
        axes = {key: _axes(given.get(key, default)) for key, default in _AXES.items()}
        self._law = law(**own)
        self.name, self.arguments, self._axes = name, own, axes
        changed = {key: own[key] for key in own if own[key] != defaults[key]}
        changed |= {key: axes[key] for key in axes if axes[key] != _AXES[key]}
        written = ", ".join(f"{key}={_written(changed[key])}" for key in sorted(changed))
        self.spec = f"{name}({written})" if written else name

    def plan(
        self,
        shape: Shape,
        *,
        layout: str | None = "oi",
        in_axis: Axes | None = None,
        out_axis: Axes | None = None,
        batch_axis: Axes = (),
        dtype: npt.DTypeLike | str = np.float32,
    ) -> Plan:
        """Check everything and say what the tensor will be, without making it.

        Parameters
        ----------
        shape, layout, in_axis, out_axis, batch_axis, dtype
            As of a call; `dtype` may also be a tag. ``layout=None`` will do where no fans are asked for.

        Returns
        -------
        Plan

        Examples
        --------
        >>> from fastinit import init
        >>> plan = init.get("xavier_uniform").plan((256, 784))
        >>> plan.fans, plan.parameters
        ((784, 256), (-0.07595545253127499, 0.07595545253127499))
        """
        if layout is not None and layout not in LAYOUTS:
            raise ValueError(f"unknown layout {layout!r}; known are {', '.join(LAYOUTS)}")
        axes = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
        axes = {key: self._axes[key] if value == _AXES[key] else value for key, value in axes.items()}
        tag = dtype if isinstance(dtype, str) and dtype in _dtypes.STORAGE else _dtypes.tag(dtype)
        try:
            sizes = as_shape(shape)
        except TypeError as error:
            twin = "trunc_normal_" if self.name == "truncated_normal" else f"{self.name}_"
            hint = f"; to fill an array in place there is {twin}" if hasattr(shape, "shape") else ""
            raise TypeError(f"{error}{hint}") from None
        with default_fp():
            return self._law(sizes, tag, {"layout": layout, **axes})

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
        layout : {"oi", "io"}
            ``"oi"`` is torch's order (out, in, \\*kernel), ``"io"`` that of JAX and Keras (\\*kernel, in,
            out).
        in_axis, out_axis : int or sequence of int, optional
            The axes themselves, instead of `layout`; both or neither.
        batch_axis : int or sequence of int
            Axes over independent weights; `layout` orders the others.
        dtype : {float32, float64, float16, bfloat16}
            bfloat16 needs ``ml_dtypes``.
        rng : fastinit.random.Generator, optional
            Or anything that `fastinit.random.default_rng` takes, or a NumPy Generator. None is fresh entropy.
        out : ndarray, optional
            Where to put the values; of this dtype, of the result's shape.
        block : tuple of slice, optional
            Return ``full[block]`` of the tensor of this shape, bit for bit, at the cost of the block alone.
            `rng` is needed, and stands afterwards where the full tensor would have left it.

        Returns
        -------
        ndarray
            `out` where it was given.
        """
        tag = _dtypes.tag(dtype)
        plan = self.plan(
            shape, layout=layout, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=tag
        )
        ranges = None if block is None else _ranges(block, plan.shape)
        if block is not None and rng is None and plan.random:
            raise ValueError(
                "block= needs an rng: the blocks of a tensor come from one position of one generator"
            )
        result = plan.shape if ranges is None else tuple(len(axis) for axis in ranges)
        if out is None:
            out = np.empty(result, _dtypes.dtype(plan.tag))
        elif not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
        elif out.dtype.name != _dtypes.name(plan.tag) or not out.dtype.isnative:
            raise TypeError(f"out has dtype {out.dtype}, but dtype asks for {_dtypes.name(plan.tag)}")
        elif out.shape != result:
            raise ValueError(f"out has shape {out.shape}, but the result has {result}")
        _fill(plan, _dtypes.storage(out, plan.tag), rng, ranges)
        return out

    def fill_(self, tensor: _Target, generator: Any = None) -> _Target:
        """Fill an array in place and return it.

        Parameters
        ----------
        tensor : ndarray or torch.Tensor
            Of one of the four dtypes, contiguous or not, in layout ``"oi"``. A torch tensor must be on the
            CPU.
        generator : fastinit.random.Generator, optional
            As `rng` of a call.
        """
        target, tag = memory_of(tensor)
        _fill(self.plan(target.shape, dtype=tag or target.dtype), target, generator, None)
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
    """Return an initialiser by name, by spec string, or as it is.

    Parameters
    ----------
    spec : str or Initializer
        A name, or a string such as ``"kaiming_normal(mode=fan_out, a=0.1)"``: values are numbers, words,
        quoted strings, True, False, None, tuples or lists. ``in_axis``, ``out_axis`` and ``batch_axis`` may
        stand in it, for calls that name none.
    **arguments
        The arguments, where `spec` is a name alone.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        For an unknown name or argument, a value out of range, or a spec that can't be read.

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
        with default_fp():  # reading and writing decimals rounds too
            return Initializer(*_parsed(spec))
    except ValueError as error:
        raise ValueError(f"in {spec!r}: {error}") from None


def row(law: Callable[..., Law]) -> Callable[[_Function], _Function]:
    """Enter a function into the table of initialisers: its own parameters and defaults, and their law."""

    def enter(function: _Function) -> _Function:
        signature = inspect.signature(function)
        shape, *own, _ = signature.parameters.values()  # the last is **options, spelled out below
        _ROWS[function.__name__] = _Row(law, {parameter.name: parameter.default for parameter in own})
        shared = inspect.signature(Initializer.__call__).parameters.values()
        parameters = [shape, *own, *(each for each in shared if each.kind is inspect.Parameter.KEYWORD_ONLY)]
        function.__dict__["__signature__"] = signature.replace(parameters=parameters)
        return function

    return enter


def _fill(plan: Plan, target: Array, rng: Any, block: tuple[range, ...] | None) -> None:
    if not target.flags.writeable:
        raise ValueError("the array to fill is read-only")
    shared = any(step == 0 and n > 1 for step, n in zip(target.strides, target.shape, strict=True))
    if shared and target.size and plan.distribution != "constant":
        raise ValueError(
            "elements of the array to fill share their memory, as those of an expanded tensor do: fill a copy"
        )
    # a draw is numbered in C order, so other orders go through a temporary
    whole = target if target.flags.c_contiguous else np.empty(target.shape, target.dtype)
    generator = _generator(rng) if plan.random else None
    if block is None:
        plan.fill_all(whole, generator)
    else:
        plan.fill_block(whole, generator, block)
        plan.consume(generator)
    if whole is not target:
        target[...] = whole


def _generator(rng: Any) -> Any:
    from fastinit import random

    if isinstance(rng, random.Generator):
        return rng
    if isinstance(rng, np.random.Generator):
        return random.Generator(rng.bit_generator)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(rng, torch.Generator):
        raise TypeError("a torch.Generator has another stream: give a fastinit or NumPy Generator, or a seed")
    return random.default_rng(rng)


def memory_of(tensor: Any) -> tuple[Array, str | None]:
    """Return the memory of an array or a torch tensor, as its tag's storage, and the tag, if it has one."""
    if isinstance(tensor, np.ndarray):
        try:
            tag = _dtypes.tag(tensor.dtype)
        except TypeError:
            return tensor, None
        return _dtypes.storage(tensor, tag), tag
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is None or not isinstance(tensor, torch.Tensor):
        raise TypeError(f"a NumPy array or a torch tensor is wanted, not {type(tensor).__name__}")
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise TypeError(f"the tensor must be dense and on the CPU, not {tensor.layout} on {tensor.device}")
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)  # so that autograd knows that it has changed
    if tensor.dtype == torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy().view(np.uint16), "bf16"
    return memory_of(tensor.detach().numpy())


def _ranges(block: Block, shape: tuple[int, ...]) -> tuple[range, ...]:
    """Return the indices that a block has along each axis."""
    parts = block if isinstance(block, tuple) else (block,)
    if sum(part is Ellipsis for part in parts) == 1:
        at = next(at for at, part in enumerate(parts) if part is Ellipsis)
        parts = parts[:at] + (slice(None),) * (len(shape) - len(parts) + 1) + parts[at + 1 :]
    if len(parts) > len(shape) or not all(isinstance(part, slice) for part in parts):
        raise ValueError(
            f"block must be a tuple of slices, at most {len(shape)} for shape {shape}, not {block!r}"
        )
    parts += (slice(None),) * (len(shape) - len(parts))
    return tuple(range(size)[part] for size, part in zip(shape, parts, strict=True))


def _parsed(spec: str) -> tuple[str, dict[str, Any]]:
    try:
        call = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("a spec is a name, or name(argument=value, ...)")
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise ValueError("arguments are written argument=value")
    names = [str(keyword.arg) for keyword in call.keywords]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is given twice")
    return call.func.id, dict(zip(names, (_value(keyword.value) for keyword in call.keywords), strict=True))


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name):
        return f"-{node.operand.id}"  # -inf
    try:
        return ast.literal_eval(node)
    except ValueError:
        text = ast.unparse(node)
        raise ValueError(f"{text!r} is not a number, a word, a string or a tuple; quote it?") from None


def _written(value: Any) -> str:
    if isinstance(value, str) and not value.isidentifier():
        return repr(value)
    return str(value)


def _coerced(what: str, value: Any, default: Any) -> Any:
    """Return a value in the type of its default (float where there is none), so that equal arguments are one
    spec."""
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise ValueError(f"{what} must be a word, not {value!r}")
    kind = int if isinstance(default, int) else float
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or (kind is int and number != value):
        raise ValueError(f"{what} must be {'an integer' if kind is int else 'a number'}, not {value!r}")
    return number


def _axes(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
