"""Steps: what happens to a tensor after its first fill, such as a scale or a padding row of zeros."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastinit import _dtypes, init
from fastinit._dispatch import default_fp
from fastinit._dtypes import Dtype

from .views import View

__all__ = ["Step", "Stepped", "TensorPlan", "check", "part"]

Array = npt.NDArray[Any]


class TensorPlan(Protocol):
    """What fills a tensor: an `init.Plan`, or an object with the same attributes."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def fans(self) -> tuple[int, int] | None: ...
    @property
    def mean(self) -> float | None: ...
    @property
    def std(self) -> float | None: ...
    @property
    def kurtosis(self) -> float: ...
    @property
    def distribution(self) -> str: ...
    @property
    def addressable(self) -> bool: ...
    @property
    def exact(self) -> bool: ...
    def fill(self, out: Array, rng: Any, start: int = 0) -> None: ...


_VIEW = r"(?P<view>(?:[(\[][^=]*?)?)"
_ASSIGN = re.compile(rf"{_VIEW}\s*=\s*(?P<value>.+)", re.DOTALL)
_SCALE = re.compile(rf"{_VIEW}\s*(?P<operation>[-+*/])\s*(?P<number>-?[\w.]+(?:e[-+]?\d+)?)")
_NORM = re.compile(r"\(([\d, ]+)\)\.norm\(([\d, ]*)\)")
_CALL = re.compile(rf"{_VIEW}\s*(?P<function>[a-z]\w*)(?:\((?P<bounds>[^()]*)\))?")

_OPERATIONS: dict[str, Callable[[Array, Any], Array]] = {
    "*": np.multiply,
    "/": np.divide,
    "+": np.add,
    "-": np.subtract,
}
# These round as NumPy and the C library of the machine do, so their bits are outside the contract.
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "inverse_softplus": lambda x: x + np.log(-np.expm1(-x)),
    "log": np.log,
    "log1p": np.log1p,
    "negative": np.negative,
    "reciprocal": np.reciprocal,
    "sqrt": np.sqrt,
    "square": np.square,
}


@dataclass(frozen=True)
class Step:
    """One step, on all elements or on a view.

    Its text is ``* 0.5``, ``/ 3.0``, ``+ 1.0``, ``- 1.0``, ``clamp(-2.0, 2.0)``, a function such as ``exp``,
    or ``= normal(std=0.02)``. The view, if any, comes first: ``[0] = zeros``. Each result is rounded to the
    tensor's dtype, as in torch.

    Attributes
    ----------
    view : View or None
        The elements; None for all.
    kind : str
        ``"="``, an operator, ``"clamp"``, or the function's name.
    operands : tuple
        The Initializer, the number, or both bounds.

    Examples
    --------
    >>> Step.parse("[0] = zeros", (10, 4)).kind, Step.parse("/ 3", (10, 4)).operands
    ('=', (3.0,))
    """

    view: View | None
    kind: str
    operands: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str, shape: tuple[int, ...]) -> Step:
        """Return the step of a text for a tensor of a shape. ValueError if there is none."""
        view, kind, operands = _parsed(text.strip())
        return cls(View.parse(view, shape) if view else None, kind, operands)

    @property
    def exact(self) -> bool:
        """Whether the bits are the same on every machine."""
        return self.kind not in _FUNCTIONS


def check(text: str) -> None:
    """Raise ValueError if a text is no step of any shape."""
    _parsed(text.strip())


def _parsed(text: str) -> tuple[str, str, tuple[Any, ...]]:
    if found := _ASSIGN.fullmatch(text):
        return found["view"], "=", (init.get(found["value"]),)
    try:
        if found := _SCALE.fullmatch(text):
            if found["operation"] == "/" and float(found["number"]) == 0:
                raise ValueError
            return found["view"], found["operation"], (float(found["number"]),)
        if found := _CALL.fullmatch(text):
            if found["function"] == "clamp" and found["bounds"]:
                low, high = map(float, found["bounds"].split(","))
                return found["view"], "clamp", (low, high)
            if found["function"] in _FUNCTIONS and found["bounds"] is None:
                return found["view"], found["function"], ()
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is no step; steps are '* 2', '/ 2', '+ 1', '- 1', 'clamp(-1, 1)', '= zeros',"
        f" {', '.join(_FUNCTIONS)}, and '[0:2] = zeros' for some elements"
    )


class Stepped:
    """The plan of a tensor with steps, used like an `init.Plan`.

    Parameters
    ----------
    plan : Plan
        The first fill.
    steps : sequence of Step
    """

    def __init__(self, plan: TensorPlan, steps: Sequence[Step]) -> None:
        self.shape, self.dtype, self.fans = plan.shape, plan.dtype, plan.fans
        self.distribution = plan.distribution
        self._plan = plan
        self._steps = [(step, *self._operation(step)) for step in steps]
        plans = [plan, *(sub for _, _, sub in self._steps if sub is not None)]
        self.addressable = all(each.addressable for each in plans)
        self.exact = all(each.exact for each in plans) and all(step.exact for step in steps)
        self.mean, self.std = self._moments()
        # Elements that a step sets leave fewer that are drawn.
        size = math.prod(plan.shape)
        drawn = math.prod(1 - step.view.size / size for step in steps if step.view and step.kind == "=")
        self.kurtosis = plan.kurtosis / drawn if drawn else plan.kurtosis

    def __reduce__(self) -> tuple[type[Stepped], tuple[TensorPlan, list[Step]]]:
        return Stepped, (self._plan, [step for step, _, _ in self._steps])

    def fill(self, out: Array, rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` in C order."""
        self._plan.fill(out, rng, start)
        for step, operation, plan in self._steps:
            where = slice(0, out.size) if step.view is None else step.view.inside(start, start + out.size)
            if isinstance(where, slice) and where.start >= where.stop:
                continue
            if operation is not None:
                out[where] = operation(out[where])
            elif step.view is None:
                plan.fill(out, rng, start)
            elif plan.by_place:  # each element has the value of its own place
                values = np.empty(out.size, out.dtype)
                plan.fill(values, rng, start)
                out[where] = values[where]
            else:
                run = step.view.run or 0
                plan.fill(out[where], _moved(rng, run), start + where.start - run)

    def _operation(self, step: Step) -> tuple[Callable[[Array], Array] | None, Any]:
        """Return the function of stored values that does a step, or None and the plan that fills."""
        dtype: Dtype | None = self.dtype
        if step.kind == "=" and dtype is not None:
            return None, self._assigned(step)
        if step.kind == "=" and step.operands[0].name in ("zeros", "ones"):
            value = float(step.operands[0].name == "ones")
            return lambda values: np.full_like(values, value), None
        if not isinstance(dtype, Dtype):
            raise ValueError(f"step {step.kind!r} is for floating-point tensors")
        if step.kind == "clamp":
            low, high = (dtype.widen(_dtypes.rounded(np.float64(each), dtype)) for each in step.operands)
            return lambda values: dtype.narrow(np.clip(dtype.widen(values), low, high)), None
        if step.kind in _FUNCTIONS:
            function = _FUNCTIONS[step.kind]
        else:
            number = dtype.widen(np.zeros(1, dtype.storage)).dtype.type(step.operands[0])
            if step.kind in "+-":  # torch rounds an addend to the dtype, but no factor
                number = dtype.widen(_dtypes.rounded(np.float64(number), dtype))
            binary = _OPERATIONS[step.kind]
            function = lambda values: binary(values, number)  # noqa: E731

        def operation(values: Array) -> Array:
            with default_fp(), np.errstate(all="ignore"):
                return _dtypes.rounded(function(dtype.widen(values)).astype(np.float64), dtype)

        return operation, None

    def _assigned(self, step: Step) -> TensorPlan:
        """Return the plan of an assignment: the full tensor's, or the view's if its shape matters."""
        (initializer,) = step.operands
        dtype = self.dtype if self.dtype is not None else np.float64
        shape = self.shape
        if step.view is not None:
            lengths = (len(step.view.axes[axis]) for axis in step.view.order)
            shape = tuple(length for length in lengths if length > 1)
        plan: init.Plan = initializer.plan(shape, dtype=dtype)
        if step.view is not None and plan.by_place:
            plan = initializer.plan((math.prod(self.shape),), dtype=dtype)
        elif step.view is not None and step.view.run is None:
            raise ValueError(f"{initializer.spec} on part of a tensor needs a part that is a run of elements")
        return plan

    def _moments(self) -> tuple[float | None, float | None]:
        """Return the expected mean and std, None if they are not known."""
        mean, std = self._plan.mean, self._plan.std
        size = math.prod(self.shape)
        for step, _, plan in self._steps:
            if mean is None or std is None or not (step.view is None or step.kind == "="):
                return None, None
            if step.kind == "=":
                share = step.view.size / size if step.view is not None and size else 1.0
                mean, std = _mixed(mean, std, plan.mean, plan.std, share)
            elif step.kind in "+-":
                mean += step.operands[0] if step.kind == "+" else -step.operands[0]
            elif step.kind in "*/":
                factor = step.operands[0] if step.kind == "*" else 1.0 / step.operands[0]
                mean, std = mean * factor, std * abs(factor)
            else:
                return None, None
        return mean, std


def _mixed(
    mean: float, std: float, of_part: float | None, std_of_part: float | None, share: float
) -> tuple[float | None, float | None]:
    """Return the moments if a share of elements gets other moments."""
    if of_part is None or std_of_part is None:
        return None, None
    mixed = (1 - share) * mean + share * of_part
    variance = (1 - share) * (std * std + (mean - mixed) ** 2) + share * (
        std_of_part * std_of_part + (of_part - mixed) ** 2
    )
    return mixed, math.sqrt(variance)


def _moved(rng: Any, elements: int) -> Any:
    """Return a copy of a generator that has drawn so many normals of float64, as `orthogonal` draws."""
    moved = copy.deepcopy(rng)
    init.get("normal").plan((elements,), dtype=np.float64).consume(moved)
    return moved


class Part:
    """The plan of a tensor that is part of another one, or the norm of it, used like an `init.Plan`.

    Parameters
    ----------
    plan : Plan
        That of the other tensor.
    view : View
        The elements of the other tensor, in order.
    shape : tuple of int
        The shape of the part.
    """

    def __init__(self, plan: TensorPlan, view: View, shape: tuple[int, ...]) -> None:
        if view.size != math.prod(shape):
            raise ValueError(f"the view has {view.size} elements, but shape {shape} has {math.prod(shape)}")
        self.shape, self.dtype, self.fans = shape, plan.dtype, None
        self.distribution, self.mean, self.std = plan.distribution, plan.mean, plan.std
        self.kurtosis = plan.kurtosis
        self.exact = plan.exact
        self._plan, self._view = plan, view
        # Another order would need the full tensor for each piece.
        self.addressable = plan.addressable and self._inner > 64

    @property
    def _inner(self) -> int:
        """The number of consecutive elements that are consecutive in the other tensor, too."""
        if self._view.run is not None:
            return self._view.size
        inner = 1
        for axis in range(len(self._view.shape) - 1, -1, -1):
            size, indices = self._view.shape[axis], self._view.axes[axis]
            if indices.step != 1 or list(self._view.order) != sorted(self._view.order):
                break
            inner *= len(indices)
            if len(indices) != size:
                break
        return inner

    def fill(self, out: Array, rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` in C order."""
        if not out.size:
            return
        run = self._view.run
        if run is not None and self._plan.addressable:
            self._plan.fill(out, rng, run + start)
        elif self.addressable:
            places = self._view.places(start, start + out.size)
            for first, last in _runs(places):
                self._plan.fill(out[first:last], rng, int(places[first]))
        else:
            full = np.empty(math.prod(self._plan.shape), out.dtype)
            self._plan.fill(full, rng)
            out[...] = full[self._view.places(start, start + out.size)]


class Norm:
    """The plan of the Euclidean norm of another tensor along some axes, which stay with length 1.

    Its bits are outside the contract, as NumPy's sums differ between machines.
    """

    fans = None
    distribution = "structured"
    addressable = exact = False
    mean = std = None
    kurtosis = 3.0

    def __init__(self, plan: TensorPlan, axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, plan.dtype
        self._plan, self._axes = plan, axes

    def fill(self, out: Array, rng: Any, start: int = 0) -> None:
        """Write elements ``[start, start + out.size)`` in C order."""
        full = np.empty(self._plan.shape, out.dtype)
        self._plan.fill(full.reshape(-1), rng)
        out[...] = norm(full, self._axes, self.dtype).reshape(-1)[start : start + out.size]


def norm(stored: Array, axes: tuple[int, ...], dtype: Dtype) -> Array:
    """Return the Euclidean norm of stored values along axes, which stay with length 1."""
    squares = np.square(dtype.widen(stored).astype(np.float64))
    return _dtypes.rounded(np.sqrt(squares.sum(axis=axes, keepdims=True)), dtype)


def part(
    text: str, shape: tuple[int, ...] | None, plan_of: Callable[[tuple[int, ...]], TensorPlan]
) -> Part | Norm:
    """Return the plan of a part of a tensor, or of its norm.

    Parameters
    ----------
    text : str
        A view with the tensor's shape, such as ``(4, 8)[:2]``, or ``(4, 8).norm(1)``.
    shape : tuple of int or None
        The shape of the part; None for one axis of all its elements.
    plan_of : callable
        Returns the plan of the tensor, given its shape.
    """
    if found := _NORM.fullmatch(text):
        full, axes = (tuple(int(n) for n in found[group].split(",") if n.strip()) for group in (1, 2))
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(full))
        return Norm(plan_of(full), axes, kept if shape is None else shape)
    view = View.parse(text)
    shape = (view.size,) if shape is None else shape
    return Part(plan_of(view.shape), view, shape)


def _runs(places: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the first and last index of each run of consecutive numbers."""
    ends = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    yield from itertools.pairwise(ends)
