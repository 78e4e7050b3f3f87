"""`View`: some elements of a tensor, by slices of its axes, and their places in it."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["View"]

Indices = npt.NDArray[np.int64]


class View(NamedTuple):
    """Some elements of a tensor.

    Its text is ``[1:3, 0]``, or ``(4, 2, 8)[1:3, 0].transpose(1, 0)`` if the tensor is seen in another shape
    of as many elements, and the axes of what is left in another order.

    Attributes
    ----------
    shape : tuple of int
        The shape in which the tensor is seen.
    axes : tuple of range
        The indices along each axis, with a step of 1 or more.
    order : tuple of int
        The order of the axes in which the view lists its elements.

    Examples
    --------
    >>> view = View.parse("(4, 6)[1:3, ::2]", (24,))
    >>> view.places(0, 6)
    array([ 6,  8, 10, 12, 14, 16])
    >>> View.of_strides((24,), (2, 3), (6, 2), 6).text((24,))
    '(4, 3, 2)[1:3, :, 0]'
    """

    shape: tuple[int, ...]
    axes: tuple[range, ...]
    order: tuple[int, ...]

    @classmethod
    def parse(cls, text: str, shape: tuple[int, ...] | None = None) -> View:
        """Return the view of a text. `shape` is that of the tensor, needed if the text has none.

        Raises
        ------
        ValueError
            The text is not a view, or not one of this shape.
        """
        try:
            seen, index, order = _parsed(ast.parse(f"x{text.strip()}", mode="eval").body)
        except (SyntaxError, ValueError):
            raise ValueError(f"{text!r} is not a view, such as [1:3, 0] or (4, 2)[:, 0]") from None
        if seen is None and shape is None:
            raise ValueError(f"{text!r} must begin with the shape of the tensor")
        if seen is not None and shape is not None and math.prod(seen) != math.prod(shape):
            raise ValueError(f"{text!r} has another number of elements than shape {shape}")
        shape = seen or shape or ()
        if len(index) > len(shape):
            raise ValueError(f"{text!r} has too many axes for shape {shape}")
        axes = [range(size) for size in shape]
        for axis, part in enumerate(index):
            axes[axis] = axes[axis][part] if isinstance(part, slice) else _one(axes[axis], part, text)
        kept = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
        kept += range(len(index), len(shape))
        if order is not None and sorted(order) != list(range(len(kept))):
            raise ValueError(f"{text!r}: {order} are not the axes that are left")
        single = [axis for axis in range(len(shape)) if axis not in kept]
        return cls(shape, tuple(axes), (*single, *(kept[n] for n in order or range(len(kept)))))

    @classmethod
    def of_strides(
        cls, shape: tuple[int, ...], sizes: Sequence[int], strides: Sequence[int], offset: int
    ) -> View | None:
        """Return the view with these sizes and strides in elements, or None if no slices give it."""
        dims = [(stride, size, n) for n, (stride, size) in enumerate(zip(strides, sizes, strict=True))]
        dims = [dim for dim in dims if dim[1] != 1]
        return _sliced(cls, shape, dims, offset) or _sliced(cls, _split(math.prod(shape), dims), dims, offset)

    def text(self, shape: tuple[int, ...]) -> str:
        """Return the text from which `parse` makes this view of a tensor of a shape."""
        parts = [
            f"{axis.start}"
            if len(axis) == 1 and size != 1
            else ":"
            if axis == range(size)
            else f"{axis.start}:{axis.stop}" + (f":{axis.step}" if axis.step > 1 else "")
            for axis, size in zip(self.axes, self.shape, strict=True)
        ]
        kept = [axis for axis, part in enumerate(parts) if ":" in part]
        order = [kept.index(axis) for axis in self.order if axis in kept]
        while len(parts) > 1 and parts[-1] == ":":
            parts.pop()
        seen = "" if self.shape == shape else str(self.shape)
        moved = "" if order == sorted(order) else f".transpose({', '.join(map(str, order))})"
        return f"{seen}[{', '.join(parts)}]{moved}"

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(map(len, self.axes))

    @property
    def run(self) -> int | None:
        """The place of the first element if the view is a run of the tensor's elements, else None."""
        if not self.size:
            return 0
        first = self._place([axis[0] for axis in self.axes])
        last = self._place([axis[-1] for axis in self.axes])
        ordered = [axis for axis in self.order if len(self.axes[axis]) > 1]
        return first if last - first + 1 == self.size and ordered == sorted(ordered) else None

    def places(self, start: int, stop: int) -> Indices:
        """Return the places in the tensor of elements [start, stop) of the view."""
        lengths = [len(self.axes[axis]) for axis in self.order]
        found = np.unravel_index(np.arange(start, stop), lengths) if lengths else ()
        coordinates: list[Any] = [0] * len(self.axes)
        for axis, at in zip(self.order, found, strict=True):
            coordinates[axis] = self.axes[axis].start + self.axes[axis].step * at
        return np.asarray(self._place(coordinates) + np.zeros(stop - start, np.int64), np.int64)

    def inside(self, start: int, stop: int) -> Any:
        """Return which of elements [start, stop) of the tensor are in the view: a slice or a mask."""
        run = self.run
        if run is not None:
            return slice(
                min(max(run - start, 0), stop - start), min(max(run + self.size - start, 0), stop - start)
            )
        mask = np.ones(stop - start, bool)
        places = np.arange(start, stop)
        for size, axis in zip(reversed(self.shape), reversed(self.axes), strict=True):
            places, at = np.divmod(places, size)
            if axis != range(size):
                mask &= (at >= axis.start) & (at < axis.stop) & ((at - axis.start) % axis.step == 0)
        return mask

    def _place(self, coordinates: Sequence[Any]) -> Any:
        place: Any = 0
        for size, at in zip(self.shape, coordinates, strict=True):
            place = place * size + at
        return place


def _parsed(node: ast.expr) -> tuple[tuple[int, ...] | None, list[int | slice], tuple[int, ...] | None]:
    """Return the shape, the index and the order in ``x(shape)[index].transpose(order)``."""
    order = None
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="transpose"), args=args, keywords=[]):
            node, order = value, tuple(map(_integer, args))
    match node:
        case ast.Subscript(value=value, slice=index):
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
        case _:
            raise ValueError
    match value:
        case ast.Name(id="x"):
            return None, list(map(_part, parts)), order
        case ast.Call(func=ast.Name(id="x"), args=args, keywords=[]):
            return tuple(map(_integer, args)), list(map(_part, parts)), order
    raise ValueError


def _part(node: ast.expr) -> int | slice:
    if isinstance(node, ast.Slice):
        return slice(
            *(None if each is None else _integer(each) for each in (node.lower, node.upper, node.step))
        )
    return _integer(node)


def _integer(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    raise ValueError


def _one(axis: range, index: int, text: str) -> range:
    if index not in axis:
        raise ValueError(f"{text!r}: index {index} is outside an axis of {len(axis)}")
    return range(index, index + 1)


def _sliced(
    cls: type[View], shape: tuple[int, ...], dims: list[tuple[int, int, int]], offset: int
) -> View | None:
    """Return the view of dimensions (stride, size, number) that slices the axes of `shape`, or None."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axes: list[range] = []
    taken: dict[int, int] = {}
    for size, stride in zip(shape, strides, strict=True):
        start = offset // stride % size if size and stride else 0
        inside = [dim for dim in dims if stride <= dim[0] < stride * max(size, 1) and dim[0] % stride == 0]
        if len(inside) > 1:
            return None
        length, step = (inside[0][1], inside[0][0] // stride) if inside else (1, 1)
        if start + (length - 1) * step >= size:
            return None
        if inside:
            taken[inside[0][2]] = len(axes)
        axes.append(range(start, start + (length - 1) * step + 1, step))
    if len(taken) < len(dims) or offset >= math.prod(shape):
        return None
    order = [axis for axis in range(len(shape)) if axis not in taken.values()]
    return cls(shape, tuple(axes), (*order, *(taken[number] for number in sorted(taken))))


def _split(size: int, dims: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """Return the shape whose axes have these strides, as far as they divide each other."""
    shape = []
    for stride in _distinct(dims):
        if not stride or size % stride:
            return ()
        shape.append(size // stride)
        size = stride
    return (*shape, size) if size > 1 or not shape else tuple(shape)


def _distinct(dims: Sequence[tuple[int, int, int]]) -> Iterator[int]:
    yield from sorted({stride for stride, _, _ in dims}, reverse=True)
