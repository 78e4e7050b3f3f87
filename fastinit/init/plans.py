"""Plans: descriptions of tensors, which fill the full tensor, a range of elements or a block."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastinit import _sampling
from fastinit._distributions import Parameters, named
from fastinit._dtypes import CHUNK, Dtype, rounded

Array = npt.NDArray[Any]
Float64s = npt.NDArray[np.float64]
Shape = tuple[int, ...]
Fans = tuple[int, int] | None
Block = tuple[range, ...]


class Plan:
    """A description of a tensor that an initialiser can make. `Initializer.plan` makes it.

    Attributes
    ----------
    shape : tuple of int
    dtype : Dtype
        Its ``name`` is NumPy's.
    size : int
        Number of elements.
    fans : tuple of int or None
        ``(fan_in, fan_out)``, if the initialiser depends on them.
    mean, std : float or None
        Expected mean and standard deviation of the elements, before they are rounded to the dtype.
    kurtosis : float
        The distribution's, or 3, a normal's, if the elements are not draws of one.
    distribution : str
        One that can be sampled, such as ``"normal"``; or ``"constant"`` or ``"structured"``.
    parameters : tuple of float
        As the distribution takes them, such as (mean, std); the value of a constant.
    addressable : bool
        True if a range of elements costs only itself, False if it costs as much as the full tensor.
    exact : bool
        True if the bits are the same on every machine, False if LAPACK computes them.
    random : bool
        True if it draws from a generator.
    by_place : bool
        True if an element depends on its place in C order alone, not on the shape.
    """

    __slots__ = ("distribution", "dtype", "fans", "kurtosis", "mean", "parameters", "shape", "size", "std")
    addressable: ClassVar[bool] = True
    exact: ClassVar[bool] = True
    random: ClassVar[bool] = True
    by_place: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        dtype: Dtype,
        distribution: str = "structured",
        parameters: Parameters = (),
        *,
        mean: float | None = None,
        std: float | None = None,
        fans: Fans = None,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.size = math.prod(shape)
        self.distribution, self.parameters = distribution, parameters
        self.mean, self.std, self.kurtosis, self.fans = mean, std, 3.0, fans

    def fill(self, out: Array, rng: Any, start: int = 0) -> None:
        """Write elements [start, start + out.size) of the tensor in C order. `rng` stays.

        Parameters
        ----------
        out : ndarray
            1-D, contiguous, of the dtype or its storage (uint16 for bfloat16).
        rng : fastinit.random.Generator
            Many calls may use it at once.
        start : int
        """
        if start < 0 or start + out.size > self.size:
            stop = start + out.size
            raise ValueError(f"elements [{start}, {stop}) are outside the {self.size} of shape {self.shape}")
        if out.size:
            self._range(self.dtype.view(out), rng, start)

    def fill_all(self, out: Array, rng: Any) -> None:
        """Write the full tensor into a C-contiguous array of its storage. `rng` moves past it."""
        self.fill(out.reshape(-1), rng)
        self.consume(rng)

    def fill_block(self, out: Array, rng: Any, block: Block) -> None:
        """Write ``full[block]`` into a C-contiguous array of its storage. `rng` stays."""
        full = np.empty(self.shape, out.dtype)
        self.fill(full.reshape(-1), rng)
        out[...] = full[np.ix_(*block)]

    def consume(self, rng: Any) -> None:
        """Move `rng` past the tensor."""

    def check(self, rng: Any) -> None:
        """Raise ValueError for a generator that cannot make the tensor."""

    def _range(self, out: Array, rng: Any, start: int) -> None:
        raise NotImplementedError


class Sampled(Plan):
    """Independent values of one distribution."""

    __slots__ = ("_made",)

    def __init__(
        self, shape: Shape, dtype: Dtype, distribution: str, parameters: Parameters, *, fans: Fans = None
    ) -> None:
        super().__init__(shape, dtype, distribution, parameters, fans=fans)
        self._made = dtype.made
        self.mean, self.std, self.kurtosis = named(distribution).moments(*parameters)
        reach = max(map(abs, named(distribution).reach(*parameters, self.mean)))
        if reach > dtype.working_max:
            raise ValueError(f"{distribution} parameters {parameters} are too large for {dtype.name}")
        extent = max(map(abs, named(distribution).values(*parameters)))
        if extent > dtype.max and self._made is dtype:  # float8 saturates
            raise ValueError(
                f"{distribution} parameters {parameters} are too large for {dtype.name}, which ends at"
                f" {dtype.max:g}"
            )

    def check(self, rng: Any) -> None:
        _sampling.check(rng, self.distribution)

    def _range(self, out: Array, rng: Any, start: int) -> None:
        # Other values than those of the core are made in pieces that stay in the cache.
        step = out.size if self._made is self.dtype else CHUNK
        for at in range(0, out.size, step):
            self._draw(_sampling.fill_at, rng, out[at : at + step], start + at)

    def fill_all(self, out: Array, rng: Any) -> None:
        self._draw(_sampling.fill, rng, out)

    def fill_block(self, out: Array, rng: Any, block: Block) -> None:
        axes = [(axis.start, axis.stop, axis.step) for axis in block]
        self._draw(_sampling.fill_block, rng, out, self.shape, axes)

    def _draw(self, fill: Callable[..., object], rng: Any, out: Array, *place: Any) -> None:
        made = self._made
        values = out if made is self.dtype else np.empty(out.shape, made.storage)
        fill(rng, values, *place, self.distribution, made.tag, *self.parameters)
        if values is not out:
            out[...] = self.dtype.narrow(values)

    def consume(self, rng: Any) -> None:
        _sampling.consume(rng, self.size, self.distribution, self.dtype.tag)


class Bernoulli(Plan):
    """Ones with a probability, else zeros: element i is 1 if the stream's uniform float64 i is below it."""

    __slots__ = ("_p",)

    def __init__(self, shape: Shape, dtype: Dtype, p: float) -> None:
        super().__init__(shape, dtype, mean=p, std=math.sqrt(p * (1.0 - p)))
        self._p = p

    def fill_all(self, out: Array, rng: Any) -> None:
        uniform = np.empty(out.size)
        _sampling.fill(rng, uniform, "uniform", "f64", 0.0, 1.0)
        out.reshape(-1)[...] = self._chosen(uniform)

    def _range(self, out: Array, rng: Any, start: int) -> None:
        uniform = np.empty(out.size)
        _sampling.fill_at(rng, uniform, start, "uniform", "f64", 0.0, 1.0)
        out[...] = self._chosen(uniform)

    def consume(self, rng: Any) -> None:
        _sampling.consume(rng, self.size, "uniform", "f64")

    def _chosen(self, uniform: Float64s) -> Array:
        return rounded((uniform < self._p).astype(np.float64), self.dtype)


class Constant(Plan):
    """One value in all elements."""

    __slots__ = ("_stored",)
    random = False

    def __init__(self, shape: Shape, dtype: Dtype, value: float) -> None:
        super().__init__(shape, dtype, "constant", (value,), mean=value, std=0.0)
        self._stored = rounded(np.float64(value), dtype)
        if math.isfinite(value) and not np.isfinite(dtype.widen(self._stored)):
            raise ValueError(f"{value} is too large for {dtype.name}")

    def _range(self, out: Array, rng: Any, start: int) -> None:
        out[...] = self._stored

    def fill_block(self, out: Array, rng: Any, block: Block) -> None:
        out[...] = self._stored


class Identity(Plan):
    """Zeros, and a one for each output channel o: at input channel ``o % period``, mid-kernel."""

    __slots__ = ("_in", "_out", "_period")
    random = False
    by_place = False

    def __init__(self, shape: Shape, dtype: Dtype, out_axis: int, in_axis: int, period: int) -> None:
        self._out, self._in, self._period = out_axis, in_axis, period
        super().__init__(shape, dtype)
        if self.size:
            ones = shape[out_axis] // period * min(period, shape[in_axis])
            self.mean = ones / self.size
            self.std = math.sqrt(self.mean * (1.0 - self.mean))

    def _where(self, channels: range) -> tuple[Array, ...]:
        outputs = np.arange(channels.start, channels.stop, channels.step)
        inputs = outputs % max(self._period, 1)
        met = inputs < self.shape[self._in]
        indices = [np.full(np.count_nonzero(met), size // 2) for size in self.shape]
        indices[self._out], indices[self._in] = outputs[met], inputs[met]
        return tuple(indices)

    def _range(self, out: Array, rng: Any, start: int) -> None:
        out[...] = 0
        ones = np.ravel_multi_index(self._where(range(self.shape[self._out])), self.shape) - start
        out[ones[(ones >= 0) & (ones < out.size)]] = rounded(np.float64(1.0), self.dtype)

    def fill_block(self, out: Array, rng: Any, block: Block) -> None:
        out[...] = 0
        if not out.size:
            return
        met = zip(self._where(block[self._out]), block, strict=True)
        steps = [(*divmod(index - axis.start, axis.step), len(axis)) for index, axis in met]
        inside = np.logical_and.reduce([(rest == 0) & (at >= 0) & (at < count) for at, rest, count in steps])
        out[tuple(at[inside] for at, _, _ in steps)] = rounded(np.float64(1.0), self.dtype)


class Sparse(Plan):
    """Normals with zeros: in each column, the ``ceil(sparsity * rows)`` elements with the smallest words."""

    __slots__ = ("_normals", "_zeros")
    addressable = False
    by_place = False

    def __init__(self, shape: Shape, dtype: Dtype, sparsity: float, std: float) -> None:
        rows = shape[0]
        self._zeros = math.ceil(sparsity * rows)
        self._normals = Sampled(shape, dtype, "normal", (0.0, std))
        kept = (rows - self._zeros) / rows if rows else 1.0
        super().__init__(shape, dtype, mean=0.0, std=std * math.sqrt(kept))

    def check(self, rng: Any) -> None:
        self._normals.check(rng)

    def fill_all(self, out: Array, rng: Any) -> None:
        self._normals.fill_all(out, rng)
        out[self._least(rng.integers(0, 2**32, self.shape, np.uint32))] = 0

    def _range(self, out: Array, rng: Any, start: int) -> None:
        self._normals.fill(out, rng, start)
        zeros = self._least(self._words(rng, range(self.shape[1])))
        out[zeros.reshape(-1)[start : start + out.size]] = 0

    def fill_block(self, out: Array, rng: Any, block: Block) -> None:
        self._normals.fill_block(out, rng, block)
        if out.size:
            rows, columns = block
            first, last = min(columns[0], columns[-1]), max(columns[0], columns[-1])
            zeros = self._least(self._words(rng, range(first, last + 1)))
            out[zeros[np.ix_(rows, [column - first for column in columns])]] = 0

    def consume(self, rng: Any) -> None:
        self._normals.consume(rng)
        _sampling.consume(rng, self.size, "uniform", "f32")  # one word for each value

    def _words(self, rng: Any, columns: range) -> Array:
        """Return the words of consecutive columns."""
        rows, width = self.shape
        after = copy.deepcopy(rng)
        self._normals.consume(after)
        words = np.empty((rows, len(columns)), np.uint32)
        if len(columns) == width:
            _sampling.words_at(after, words.reshape(-1), 0)
        else:
            for row in range(rows):
                _sampling.words_at(after, words[row], row * width + columns.start)
        return words

    def _least(self, words: Array) -> Array:
        """Return which elements of these columns become zero."""
        if not self._zeros:
            return np.zeros(words.shape, bool)
        # The lower half of a key is the row, so that the keys of a column differ.
        rows = np.arange(len(words), dtype=np.uint64)[:, None]
        keys = words.astype(np.uint64) << np.uint64(32) | rows
        least: Array = keys <= np.partition(keys, self._zeros - 1, axis=0)[self._zeros - 1]
        return least


def checked_gain(gain: float, dtype: Dtype) -> float:
    """Return the gain of an orthogonal matrix, whose elements may be as large as it."""
    if abs(gain) > dtype.max and dtype.made is dtype:
        raise ValueError(f"gain {gain} is too large for {dtype.name}, which ends at {dtype.max:g}")
    return gain


class Orthogonal(Plan):
    """A gain times a matrix, outputs by the rest, whose rows or columns (the fewer) are orthonormal."""

    __slots__ = ("_gain", "_order", "_stack")
    addressable = False
    by_place = False
    exact = False

    def __init__(self, shape: Shape, dtype: Dtype, gain: float, batch: Shape, outs: Shape) -> None:
        rest = tuple(axis for axis in range(len(shape)) if axis not in batch and axis not in outs)
        self._order = batch + outs + rest
        self._stack = tuple(math.prod(shape[axis] for axis in axes) for axes in (batch, outs, rest))
        self._gain = checked_gain(gain, dtype)
        super().__init__(shape, dtype, mean=0.0, std=gain / math.sqrt(max(*self._stack[1:], 1)))

    def check(self, rng: Any) -> None:
        _sampling.check(rng, "normal")

    def fill_all(self, out: Array, rng: Any) -> None:
        normals = np.empty(self._stack)
        _sampling.fill(rng, normals, "normal", "f64", 0.0, 1.0)
        with np.errstate(all="ignore"):
            out[...] = rounded(self._made(normals), self.dtype)

    def _range(self, out: Array, rng: Any, start: int) -> None:
        normals = np.empty(self._stack)
        _sampling.fill_at(rng, normals.reshape(-1), 0, "normal", "f64", 0.0, 1.0)
        with np.errstate(all="ignore"):
            made = self._made(normals).reshape(-1)
        out[...] = rounded(made[start : start + out.size], self.dtype)

    def consume(self, rng: Any) -> None:
        _sampling.consume(rng, math.prod(self._stack), "normal", "f64")

    def _made(self, normals: Float64s) -> Float64s:
        """Return the tensor made from a stack of normal matrices."""
        tensor = (self._gain * _haar(normals)).reshape([self.shape[axis] for axis in self._order])
        return tensor.transpose(np.argsort(self._order))


class DeltaOrthogonal(Orthogonal):
    """A gain times an orthogonal matrix in the middle of the kernel, with zeros around it."""

    __slots__ = ("_axes",)

    def __init__(self, shape: Shape, dtype: Dtype, gain: float, out_axis: int, in_axis: int) -> None:
        Plan.__init__(self, shape, dtype)
        self._gain, self._axes = checked_gain(gain, dtype), (out_axis, in_axis)
        self._stack = (1, shape[out_axis], shape[in_axis])
        if self.size:
            self.mean, self.std = 0.0, gain * math.sqrt(shape[in_axis] / self.size)

    def _made(self, normals: Float64s) -> Float64s:
        full = np.zeros(self.shape)
        middle: list[int | slice] = [(size - 1) // 2 for size in self.shape]
        for axis in self._axes:
            middle[axis] = slice(None)
        matrix = self._gain * _haar(normals)[0]
        if self.size:
            full[tuple(middle)] = matrix if self._axes[0] < self._axes[1] else matrix.T
        return full


def _haar(normals: Float64s) -> Float64s:
    """Return uniformly distributed (semi-)orthogonal matrices, made from a stack of normal ones."""
    wide = normals.shape[1] < normals.shape[2]
    q, r = np.linalg.qr(normals.swapaxes(1, 2) if wide else normals)
    # QR is unique, and Q uniform, only if the diagonal of R is positive: Mezzadri, arXiv:math-ph/0609050
    q = q * np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None, :]
    return q.swapaxes(1, 2) if wide else q
